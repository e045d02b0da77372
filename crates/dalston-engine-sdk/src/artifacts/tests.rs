//! Artifacts on a store in memory, and on servers that do not answer.

use std::time::Instant;

use object_store::memory::InMemory;
use tokio::net::TcpListener;

use super::*;
use crate::error::ErrorKind;

fn in_memory() -> Artifacts {
    Artifacts::new(Arc::new(InMemory::new()), "bucket")
}

fn key(key: &str) -> Path {
    Path::parse(key).expect("a plain key")
}

#[tokio::test]
async fn what_was_written_is_read() {
    let artifacts = in_memory();
    let key = key("jobs/1/tasks/2/output.json");
    assert!(!artifacts.exists(&key).await.expect("a store"));
    assert_eq!(artifacts.read(&key).await.expect("a store"), None);
    for text in ["{}", r#"{"again":true}"#] {
        artifacts.write(&key, text.into()).await.expect("a store");
        let read = artifacts.read(&key).await.expect("a store");
        assert_eq!(read.as_deref(), Some(text.as_bytes()));
    }
    assert!(artifacts.exists(&key).await.expect("a store"));
}

#[tokio::test]
async fn a_file_is_downloaded_as_it_is() {
    let artifacts = in_memory();
    let bytes: Vec<_> = (0..3_000_000_u32).map(|it| it as u8).collect();
    let key = key("jobs/1/audio/prepared.wav");
    artifacts.write(&key, bytes.clone()).await.expect("a store");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audio");
    let uri = "s3://bucket/jobs/1/audio/prepared.wav";
    let n_bytes = artifacts.download(uri, &file).await.expect("an object");
    assert_eq!(n_bytes, 3_000_000);
    assert!(std::fs::read(&file).expect("a file") == bytes);
}

#[tokio::test]
async fn what_a_task_names_wrongly_is_its_own_fault() {
    let artifacts = in_memory();
    let folder = tempfile::tempdir().expect("a folder");
    for (uri, message) in [
        ("s3://bucket/none", "there is no object s3://bucket/none"),
        (
            "s3://other/none",
            r#"URI "s3://other/none" is not in the bucket bucket"#,
        ),
        (
            "file:///etc/passwd",
            r#"URI "file:///etc/passwd" is not of the form s3://bucket/key"#,
        ),
    ] {
        let file = folder.path().join("audio");
        let err = artifacts.download(uri, &file).await.expect_err("refused");
        assert_eq!(err.kind(), ErrorKind::Input);
        assert_eq!(err.to_string(), message);
        assert!(!file.exists());
    }
}

/// A store at `port` of this machine that may take 200 ms.
fn store_at(port: u16) -> Artifacts {
    let config = StoreConfig {
        bucket: "bucket".into(),
        region: Some("us-east-1".into()),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
    };
    let artifacts = Artifacts::connect(&config).expect("settings");
    artifacts.with_silence(Duration::from_millis(200))
}

#[tokio::test]
async fn a_store_that_says_nothing_or_is_away_is_given_up_and_no_fault_of_the_task() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ports = [&silent, &gone].map(|it| it.local_addr().expect("an address").port());
    drop(gone);
    let begin = Instant::now();
    for artifacts in ports.map(store_at) {
        let key = key("a");
        for result in [
            artifacts.exists(&key).await.map(drop),
            artifacts.read(&key).await.map(drop),
            artifacts.write(&key, Vec::new()).await,
            artifacts.ping().await,
        ] {
            let err = result.expect_err("nobody answers");
            assert_eq!(err.kind(), ErrorKind::Unavailable);
        }
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
