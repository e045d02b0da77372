//! SIGTERM and SIGINT as a request to [`Shutdown`].

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the worker is asked to go in stopping.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Shutdown {
    /// Not at all.
    #[default]
    No,
    /// Take nothing new, finish what is at hand within the grace period.
    Drain,
    /// Put back what is at hand and end.
    Now,
}

/// Listens for signals: the first asks to drain, the second to stop now. Must be called within a tokio
/// runtime.
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
        // Kept alive: a channel without a sender says nothing of its last value to `wait_for`.
        std::future::pending::<()>().await;
    });
    Ok(asked)
}
