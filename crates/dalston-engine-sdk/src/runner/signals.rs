//! SIGTERM and SIGINT as a request to [`Shutdown`].

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the worker is asked to stop.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Shutdown {
    /// The worker goes on.
    #[default]
    No,
    /// The worker claims no new task and finishes its running tasks within the grace period.
    Drain,
    /// The worker puts its running tasks back and ends.
    Now,
}

/// Listens for signals: the first asks the worker to drain, the second to stop now. Must be called within
/// a tokio runtime.
///
/// # Errors
///
/// The system does not let this process listen.
pub fn shutdown_signals() -> io::Result<watch::Receiver<Shutdown>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ask, asked) = watch::channel(Shutdown::No);
    tokio::spawn(async move {
        for shutdown in [Shutdown::Drain, Shutdown::Now] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(now = shutdown == Shutdown::Now, "shutdown_signal_received");
            ask.send_replace(shutdown);
        }
        // Keeps the sender alive, so that a receiver sees `Now` at any later time, and never an error.
        std::future::pending::<()>().await;
    });
    Ok(asked)
}
