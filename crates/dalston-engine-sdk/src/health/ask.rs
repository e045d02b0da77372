//! Asks a worker of this machine for its health, as a container's health check does.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why a worker is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No process answers on the port.
    #[error("no worker answers on port {port}")]
    Silent {
        /// The port.
        port: u16,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },

    /// The answer is another than 200.
    #[error("port {port} answers {status:?}, expected 200")]
    Unwell {
        /// The port.
        port: u16,
        /// The first line of the answer.
        status: String,
    },
}

/// Longest time that a worker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads `/health` of the worker on `port` of this machine; returns the page, a JSON object.
///
/// # Errors
///
/// [`AskError`]: restart the worker.
pub async fn ask(port: u16) -> Result<String, AskError> {
    let answer = tokio::time::timeout(TIMEOUT, get(port, "/health")).await;
    let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|source| AskError::Silent { port, source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(body.to_owned());
    }
    Err(AskError::Unwell {
        port,
        status: status.chars().take(100).collect(),
    })
}

/// Sends an HTTP/1.0 request, because then the end of the connection ends the answer, and no length has to
/// be parsed.
async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
