//! Tests of the fault proxy between a client and a server that echoes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use super::*;

/// Starts a server that sends back every byte that it reads; returns its address.
fn echo() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut copy = stream.try_clone().unwrap();
                std::io::copy(&mut stream, &mut copy)
            });
        }
    });
    address
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    stream
}

fn ask(stream: &mut TcpStream, n_bytes: usize) -> std::io::Result<()> {
    stream.write_all(&vec![7; n_bytes])?;
    let mut answer = vec![0; n_bytes];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, vec![7; n_bytes]);
    Ok(())
}

fn kind(outcome: std::io::Result<()>) -> ErrorKind {
    outcome.expect_err("the proxy was told to fail").kind()
}

/// Sets the fault and waits, because connections run in another thread and see the change a little later.
fn set(proxy: &FaultProxy, fault: Fault) {
    proxy.set(fault);
    thread::sleep(Duration::from_millis(50));
}

#[test]
fn without_a_fault_everything_passes() {
    let proxy = FaultProxy::start(&echo());
    ask(&mut connect(&proxy), 1_000_000).unwrap();
}

#[test]
fn refusing_resets_old_connections_and_refuses_new_ones_until_it_ends() {
    let proxy = FaultProxy::start(&echo());
    let mut old = connect(&proxy);
    ask(&mut old, 10).unwrap();
    set(&proxy, Fault::Refuse);
    let end = kind(ask(&mut old, 10));
    assert!(
        matches!(end, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{end}"
    );
    let refused = TcpStream::connect(proxy.address()).map(drop);
    assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
    set(&proxy, Fault::None);
    ask(&mut connect(&proxy), 10).unwrap();
}

#[test]
fn programs_started_meanwhile_do_not_keep_the_port() {
    let proxy = FaultProxy::start(&echo());
    thread::scope(|scope| {
        let programs = scope.spawn(|| {
            for _ in 0..300 {
                std::process::Command::new("true").status().unwrap();
            }
        });
        while !programs.is_finished() {
            proxy.set(Fault::Refuse);
            thread::sleep(Duration::from_millis(1));
            proxy.set(Fault::None);
            thread::sleep(Duration::from_millis(1));
        }
    });
    thread::sleep(Duration::from_millis(50));
    ask(&mut connect(&proxy), 10).unwrap();
}

#[test]
fn a_hanging_proxy_answers_nothing_and_then_goes_on_where_it_stopped() {
    let proxy = FaultProxy::start(&echo());
    let mut stream = connect(&proxy);
    ask(&mut stream, 10).unwrap();
    set(&proxy, Fault::Hang);
    assert_eq!(kind(ask(&mut stream, 10)), ErrorKind::WouldBlock);
    assert_eq!(kind(ask(&mut connect(&proxy), 10)), ErrorKind::WouldBlock);
    proxy.set(Fault::None);
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [7; 10]);
}

#[test]
fn a_connection_is_reset_after_the_bytes_it_was_allowed() {
    let proxy = FaultProxy::start(&echo());
    set(&proxy, Fault::ResetAfter(1000));
    let mut stream = connect(&proxy);
    ask(&mut stream, 400).unwrap();
    assert!(ask(&mut stream, 400).is_err());
    ask(&mut connect(&proxy), 400).unwrap();
}

#[test]
fn a_delay_is_waited_in_each_direction() {
    let proxy = FaultProxy::start(&echo());
    proxy.set(Fault::Delay(Duration::from_millis(100)));
    let started = Instant::now();
    ask(&mut connect(&proxy), 10).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_throttle_moves_so_many_bytes_a_second() {
    let proxy = FaultProxy::start(&echo());
    proxy.set(Fault::Throttle(1000));
    let mut stream = connect(&proxy);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let started = Instant::now();
    ask(&mut stream, 500).unwrap();
    // Each direction takes half a second, and the two may overlap.
    assert!(started.elapsed() >= Duration::from_millis(500));
}

#[test]
fn a_fixed_answer_replaces_the_servers() {
    let proxy = FaultProxy::start(&echo());
    proxy.set(Fault::Answer(b"no"));
    let mut stream = connect(&proxy);
    stream.write_all(b"a question").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "no");
}

#[test]
fn a_server_that_is_down_looks_down() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let proxy = FaultProxy::start(&nobody);
    assert!(ask(&mut connect(&proxy), 10).is_err());
}
