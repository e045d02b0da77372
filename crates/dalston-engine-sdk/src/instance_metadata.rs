//! Asks the metadata service of EC2 for the id of the instance that this process runs on.
//!
//! The service answers version 2 of its protocol (IMDSv2): a PUT gives a token, and a GET with the token gives
//! the value. A container reaches the service only if the instance allows two network hops to it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The id of this EC2 instance, such as `i-0123456789abcdef0`.
///
/// # Errors
///
/// The system's error, or a description of an answer that is none.
pub(crate) async fn ec2_instance_id() -> io::Result<String> {
    instance_id(SocketAddr::from(([169, 254, 169, 254], 80)), TIMEOUT).await
}

/// For both requests together. On EC2 an answer takes milliseconds; elsewhere often nobody answers at all.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Longest answer that is read, in bytes. A token has about 60.
const MAX_BYTES: u64 = 8192;

async fn instance_id(service: SocketAddr, time: Duration) -> io::Result<String> {
    let asked = async {
        let token = "X-aws-ec2-metadata-token-ttl-seconds: 60";
        let token = request(service, "PUT /latest/api/token", token).await?;
        let header = format!("X-aws-ec2-metadata-token: {token}");
        request(service, "GET /latest/meta-data/instance-id", &header).await
    };
    timeout(time, asked).await?
}

/// Sends one request and returns the body of its answer, which is one word.
async fn request(service: SocketAddr, line: &str, header: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(service).await?;
    let host = service.ip();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match body.trim() {
        word if status.split(' ').nth(1) == Some("200") && is_word(word) => Ok(word.to_owned()),
        _ => {
            let status: String = status.chars().take(100).collect();
            Err(io::Error::other(format!(
                "the metadata service answers {status:?}, expected 200 and one word"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    /// A metadata service that gives the id only for its token. Ends with the test.
    async fn service() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 1024];
                let n = stream.read(&mut request).await.expect("a request");
                let request = String::from_utf8_lossy(&request[..n]).to_lowercase();
                let answer = match &*request {
                    put if put.starts_with("put /latest/api/token ")
                        && put.contains("\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\n") =>
                    {
                        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
                    }
                    get if get.starts_with("get /latest/meta-data/instance-id ")
                        && get.contains("\r\nx-aws-ec2-metadata-token: secret\r\n") =>
                    {
                        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ni-0abc"
                    }
                    _ => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
                };
                stream.write_all(answer.as_bytes()).await.expect("a client");
            }
        });
        address
    }

    #[tokio::test]
    async fn the_id_comes_with_a_token() {
        let id = instance_id(service().await, Duration::from_secs(5)).await;
        assert_eq!(id.expect("a service"), "i-0abc");
    }

    #[tokio::test]
    async fn a_refusal_is_no_id() {
        let asked = request(service().await, "GET /latest/meta-data/instance-id", "X: y").await;
        assert_eq!(
            asked.expect_err("no token").to_string(),
            "the metadata service answers \"HTTP/1.1 401 Unauthorized\", expected 200 and one word"
        );
    }

    #[tokio::test]
    async fn a_service_that_says_nothing_costs_the_time_limit_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let begun = Instant::now();
        let id = instance_id(address, Duration::from_millis(50)).await;
        assert_eq!(id.expect_err("silence").kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
