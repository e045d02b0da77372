//! A TCP proxy that fails on command: between the worker and its Redis or its store.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::program::free_port;

/// Bytes that move at once.
const PIECE: usize = 16 * 1024;
/// How long a port that is ours may be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the proxy does to every connection, those that exist included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// Resets what is connected and refuses what would connect, like a server that is down.
    Refuse,
    /// Accepts and moves no byte, like a network that drops packets.
    Hang,
    /// Resets a connection when it has moved this many more bytes, both directions together.
    ResetAfter(usize),
    /// Holds every piece back for this long before it goes on.
    Delay(Duration),
    /// Moves this many bytes per second, per connection and direction.
    Throttle(usize),
    /// Waits for a request, says this and closes, like a server that is overloaded.
    Answer(&'static [u8]),
}

/// A proxy on a port of its own; it and all its connections are gone when this value is.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    fault: watch::Sender<Fault>,
    // Its end ends every task.
    _runtime: Runtime,
}

impl FaultProxy {
    /// Starts a proxy to the server at this address; it passes everything on at first.
    pub fn start(server: &str) -> Self {
        let server: SocketAddr = server.parse().expect("the address is IP and port");
        let port = free_port();
        let (fault, seen) = watch::channel(Fault::None);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        runtime.block_on(async {
            let listener = listen(port).await;
            tokio::spawn(serve(listener, port, server, seen));
        });
        Self {
            port,
            fault,
            _runtime: runtime,
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes what happens from now on, within milliseconds.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn serve(
    listener: TcpListener,
    port: u16,
    server: SocketAddr,
    mut fault: watch::Receiver<Fault>,
) {
    let mut listener = Some(listener);
    loop {
        if *fault.borrow_and_update() == Fault::Refuse {
            // A socket that is bound and does not listen refuses, and keeps the port ours.
            listener = None;
            let _bound = bind(port).await;
            if fault.changed().await.is_err() {
                return;
            }
            continue;
        }
        let listening = match &mut listener {
            Some(listener) => listener,
            none => none.insert(listen(port).await),
        };
        tokio::select! {
            changed = fault.changed() => if changed.is_err() { return },
            accepted = listening.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(connection(client, server, fault.clone()));
            },
        }
    }
}

/// One client's connection, from its first byte to its end.
async fn connection(mut client: TcpStream, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    // A server that is really down looks down through the proxy.
    let Ok(mut upstream) = TcpStream::connect(server).await else {
        return reset(&client);
    };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let mut asked = vec![0; PIECE];
    let mut answered = vec![0; PIECE];
    let mut left = None;
    loop {
        let current = *fault.borrow_and_update();
        match current {
            Fault::Refuse => break,
            Fault::ResetAfter(n_bytes) => left = left.or(Some(n_bytes)),
            _ => left = None,
        }
        // A hanging proxy waits for the next change alone.
        let moves = current != Fault::Hang;
        let moved = tokio::select! {
            changed = fault.changed() => if changed.is_ok() { continue } else { return },
            n = client.read(&mut asked), if moves => match (n, current) {
                (Ok(1..), Fault::Answer(text)) => return answer(client, text).await,
                (Ok(n @ 1..), _) => pass(&asked[..n], &mut upstream, current, &mut fault).await.then_some(n),
                // Our clients close both directions at once.
                _ => return,
            },
            n = upstream.read(&mut answered), if moves => match n {
                Ok(n @ 1..) => pass(&answered[..n], &mut client, current, &mut fault).await.then_some(n),
                _ => return,
            },
        };
        let Some(n_moved) = moved else { break };
        if let Some(left) = &mut left {
            match left.checked_sub(n_moved) {
                Some(rest) => *left = rest,
                None => break,
            }
        }
    }
    reset(&client);
    reset(&upstream);
}

/// Says the text, then waits for the client to close: closing before its last byte was read would reset
/// the connection, and the text be lost with it.
async fn answer(mut client: TcpStream, text: &[u8]) {
    let said = client.write_all(text).await.is_ok() && client.shutdown().await.is_ok();
    let mut rest = vec![0; PIECE];
    while said && matches!(client.read(&mut rest).await, Ok(1..)) {}
}

/// Passes bytes on as the fault says; false when they were lost with the connection.
///
/// A fault that comes up meanwhile is met with the bytes still in hand: one that hangs holds them,
/// one that refuses loses them.
async fn pass(
    bytes: &[u8],
    to: &mut TcpStream,
    current: Fault,
    fault: &mut watch::Receiver<Fault>,
) -> bool {
    match current {
        Fault::Delay(time) => {
            sleep(time).await;
            to.write_all(bytes).await.is_ok()
        }
        Fault::Throttle(bytes_per_second) => {
            // Ten pieces a second, each checked against a change of mind.
            for piece in bytes.chunks((bytes_per_second / 10).max(1)) {
                if *fault.borrow() == current {
                    sleep(Duration::from_millis(100)).await;
                }
                if to.write_all(piece).await.is_err() {
                    return false;
                }
            }
            true
        }
        Fault::ResetAfter(0) => false,
        _ => to.write_all(bytes).await.is_ok(),
    }
}

/// Makes the end of this connection a reset and no orderly close.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn listen(port: u16) -> TcpListener {
    let bound = bind(port).await;
    bound.listen(1024).expect("a bound socket can listen")
}

/// A socket on this port, which is ours.
///
/// A program that another thread starts has copies of all our sockets until it is executed, one that
/// listened on this port and is closed here among them: so long the port is taken.
async fn bind(port: u16) -> TcpSocket {
    let began = Instant::now();
    loop {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        // Connections that were reset a moment ago must not keep the port from us.
        socket
            .set_reuseaddr(true)
            .expect("a TCP socket knows the option");
        match socket.bind((Ipv4Addr::LOCALHOST, port).into()) {
            Ok(()) => return socket,
            Err(error) if error.kind() == ErrorKind::AddrInUse && began.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("port {port} of the proxy: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
