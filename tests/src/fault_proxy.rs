//! A TCP proxy that fails on command, between a worker and its Redis or its store.
//!
//! One task accepts connections and one task serves each connection. All of them watch one value, the current
//! fault: [`FaultProxy::set`] changes the value, which wakes every task, so connections that already exist
//! fail as well. A task that moves bytes finishes moving them before it looks at the fault again.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::program::free_port;

/// Bytes that one read may take.
const PIECE: usize = 16 * 1024;
/// How long the proxy's own port may be occupied; see [`bind`].
const BIND_TIMEOUT: Duration = Duration::from_secs(5);

/// What the proxy does to every connection, including those that already exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes all bytes on.
    None,
    /// Resets connections and refuses new ones, like a server that is down.
    Refuse,
    /// Accepts connections and moves no byte, like a network that drops packets.
    Hang,
    /// Resets a connection after this many more bytes, counted over both directions.
    ResetAfter(usize),
    /// Delays every piece by this time.
    Delay(Duration),
    /// Moves this many bytes a second, for each connection and direction.
    Throttle(usize),
    /// Waits for a request, sends these bytes and closes, like a server that is overloaded.
    Answer(&'static [u8]),
    /// As [`Answer`](Self::Answer), to requests whose first bytes contain this text. Passes all others on.
    AnswerTo(&'static str, &'static [u8]),
}

/// A proxy on its own port. Dropping the value ends the proxy and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    fault: watch::Sender<Fault>,
    server: Arc<Mutex<SocketAddr>>,
    // Dropping the runtime ends every task, and with the tasks their sockets.
    _runtime: Runtime,
}

impl FaultProxy {
    /// Starts a proxy to the server at this address, without a fault.
    pub fn start(server: &str) -> Self {
        let server = Arc::new(Mutex::new(parse(server)));
        let port = free_port();
        let (fault, seen) = watch::channel(Fault::None);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        runtime.block_on(async {
            let listener = listen(port).await;
            tokio::spawn(serve(listener, port, Arc::clone(&server), seen));
        });
        Self {
            port,
            fault,
            server,
            _runtime: runtime,
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sets the fault. Every connection sees it within milliseconds.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Leads new connections to the server at this address, as a name does after a failover. Connections that
    /// already exist stay open and keep their server.
    pub fn redirect(&self, server: &str) {
        *self.server.lock().expect("nobody panics under the lock") = parse(server);
    }
}

fn parse(server: &str) -> SocketAddr {
    server.parse().expect("the address is IP and port")
}

async fn serve(
    listener: TcpListener,
    port: u16,
    server: Arc<Mutex<SocketAddr>>,
    mut fault: watch::Receiver<Fault>,
) {
    let mut listener = Some(listener);
    loop {
        if *fault.borrow_and_update() == Fault::Refuse {
            // Connections to a socket that is bound and does not listen are refused, and no other process can
            // take the port meanwhile.
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
                let server = *server.lock().expect("nobody panics under the lock");
                tokio::spawn(connection(client, server, fault.clone()));
            },
        }
    }
}

/// Serves one connection of a client until either side closes it or the fault ends it.
async fn connection(mut client: TcpStream, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    // If the server is down, the client sees a reset and no accepted connection that stays silent.
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
        // While the proxy hangs, only a change of the fault can wake this task.
        let moves = current != Fault::Hang;
        let moved = tokio::select! {
            changed = fault.changed() => if changed.is_ok() { continue } else { return },
            n = client.read(&mut asked), if moves => match (n, current) {
                (Ok(1..), Fault::Answer(text)) => return answer(client, text).await,
                (Ok(n @ 1..), Fault::AnswerTo(part, text)) if contains(&asked[..n], part) => {
                    return answer(client, text).await;
                }
                (Ok(n @ 1..), _) => pass(&asked[..n], &mut upstream, current, &mut fault).await.then_some(n),
                // The client closed the connection. Clients of the tests close both directions at once, so the
                // server's remaining bytes have no reader.
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

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|it| it == part.as_bytes())
}

/// Sends the text, then reads until the client closes. Closing a socket with unread bytes resets the
/// connection, and a reset can discard the text before the client has read it.
async fn answer(mut client: TcpStream, text: &[u8]) {
    let said = client.write_all(text).await.is_ok() && client.shutdown().await.is_ok();
    let mut rest = vec![0; PIECE];
    while said && matches!(client.read(&mut rest).await, Ok(1..)) {}
}

/// Passes bytes on as the fault demands. Returns whether they were passed on; if not, the caller resets the
/// connection.
///
/// The caller sees a change of the fault only after this function returns. Bytes that were read before the
/// change are therefore passed on, whatever the new fault is.
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
            // Ten pieces a second. After a change of the fault, the remaining pieces follow without a pause.
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

/// Makes dropping this connection a reset instead of an orderly close.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn listen(port: u16) -> TcpListener {
    let bound = bind(port).await;
    bound.listen(1024).expect("a bound socket can listen")
}

/// Binds a socket to the proxy's own port.
///
/// When another thread starts a program, the new process has copies of all sockets of this process until the
/// program is executed. A copy of a listening socket that is closed here keeps the port occupied for that
/// long.
async fn bind(port: u16) -> TcpSocket {
    let began = Instant::now();
    loop {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        // Without this option, connections that were just reset keep the port occupied.
        socket
            .set_reuseaddr(true)
            .expect("a TCP socket knows the option");
        match socket.bind((Ipv4Addr::LOCALHOST, port).into()) {
            Ok(()) => return socket,
            Err(error)
                if error.kind() == ErrorKind::AddrInUse && began.elapsed() < BIND_TIMEOUT =>
            {
                sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("port {port} of the proxy: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
