//! Artifacts on a store in memory, on servers that do not answer, and on servers that refuse.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use object_store::memory::InMemory;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
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
    artifacts
        .write(&key, bytes.clone().into())
        .await
        .expect("a store");
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

/// A store at `port` of this machine, with an idle timeout of 200 ms.
fn store_at(port: u16) -> Artifacts {
    let config = StoreConfig {
        bucket: "bucket".into(),
        region: Some("us-east-1".into()),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
    };
    let artifacts = Artifacts::connect(&config).expect("settings");
    artifacts.with_idle_timeout(Duration::from_millis(200))
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
            artifacts.write(&key, Bytes::new()).await,
            artifacts.ping().await,
        ] {
            let err = result.expect_err("nobody answers");
            assert_eq!(err.kind(), ErrorKind::Unavailable);
        }
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A store that answers 403 where `refuses` holds for the request's first line, and 404 otherwise.
async fn store_that(refuses: fn(&str) -> bool) -> Artifacts {
    store_that_says("", refuses).await
}

/// As [`store_that`], with `words` as the body of every answer.
async fn store_that_says(words: &'static str, refuses: fn(&str) -> bool) -> Artifacts {
    store_that_answers(move |request| {
        let status = match refuses(request.lines().next().unwrap_or_default()) {
            true => "403 Forbidden",
            false => "404 Not Found",
        };
        let n_bytes = words.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {n_bytes}\r\nConnection: close\r\n\r\n{words}"
        )
    })
    .await
}

/// A store that sends what `answer` says to each request, and closes.
async fn store_that_answers(answer: impl Fn(&str) -> String + Send + 'static) -> Artifacts {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.expect("a request");
            }
            let _ = stream.write_all(answer(&head).as_bytes()).await;
        }
    });
    let store = AmazonS3Builder::new()
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_allow_http(true)
        .with_bucket_name("bucket")
        .with_access_key_id("known")
        .with_secret_access_key("secret")
        .build();
    Artifacts::new(Arc::new(store.expect("settings")), "bucket")
}

/// The error's kind of every sort of request about `bucket/a`.
async fn kinds(artifacts: &Artifacts) -> Vec<Option<ErrorKind>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audio");
    let key = key("a");
    let results = [
        artifacts.exists(&key).await.map(drop),
        artifacts.read(&key).await.map(drop),
        artifacts.write(&key, Bytes::new()).await,
        artifacts.download("s3://bucket/a", &file).await.map(drop),
    ];
    let kind = |result: Result<(), TaskError>| result.err().map(|err| err.kind());
    results.into_iter().map(kind).collect()
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_no_fault_of_the_task() {
    let artifacts = store_that(|_| true).await;
    assert_eq!(kinds(&artifacts).await, [Some(ErrorKind::Unavailable); 4]);
}

#[tokio::test]
async fn an_object_that_is_refused_alone_is_not_asked_for_again() {
    let artifacts = store_that(|request| request.contains("/bucket/a ")).await;
    assert_eq!(kinds(&artifacts).await, [Some(ErrorKind::Engine); 4]);
    let err = artifacts.read(&key("a")).await.expect_err("refused");
    assert_eq!(
        err.to_string(),
        "the store refuses this worker the object a"
    );
}

/// A key as long as those of the contracts.
const LONG_KEY: &str = "jobs/7c9e6679-7425-40de-944b-e07fc1f90ae7/tasks/550e8400-e29b-41d4-a716-446655440000/\
                        request.json";

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_fault_of_the_task() {
    let artifacts = store_that_says("<Error><Code>NoSuchBucket</Code></Error>", |_| false).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audio");
    for result in [
        artifacts.read(&key(LONG_KEY)).await.map(drop),
        artifacts.download("s3://bucket/a", &file).await.map(drop),
        artifacts.write(&key(LONG_KEY), Bytes::new()).await,
    ] {
        let err = result.expect_err("there is no bucket");
        assert_eq!(err.kind(), ErrorKind::Unavailable);
        assert!(err.chain().contains("NoSuchBucket"), "{}", err.chain());
    }
}

#[tokio::test]
async fn of_what_a_store_says_the_log_gets_the_beginning() {
    let words = concat!(
        "<Error><Code>SignatureDoesNotMatch</Code>                                                  ",
        "                                                                                           ",
        "                                                                                           ",
        "                                                                                           ",
        "x-amz-security-token:hunter2</Error>"
    );
    let artifacts = store_that_says(words, |_| true).await;
    let err = artifacts.read(&key(LONG_KEY)).await.expect_err("refused");
    let logged = err.chain();
    assert!(logged.contains("SignatureDoesNotMatch"), "{logged}");
    assert!(!logged.contains("hunter2"), "{logged}");
}

/// The answer to a request for an object of this version that breaks off after 1000 bytes.
fn piece_of(object: &str, e_tag: &str, request: &str) -> String {
    let request = request.to_lowercase();
    let from = request
        .split_once("range: bytes=")
        .and_then(|(_, range)| range.split_once('-'))
        .map(|(from, _)| from.parse::<usize>().expect("a number"));
    let status = match from {
        Some(_) => "206 Partial Content",
        None => "200 OK",
    };
    let begin = from.unwrap_or_default();
    let (rest, last, size) = (object.len() - begin, object.len() - 1, object.len());
    let piece = &object[begin..size.min(begin + 1000)];
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {rest}\r\nContent-Range: bytes {begin}-{last}/{size}\r\n\
         Last-Modified: Tue, 01 Dec 2026 00:00:00 GMT\r\nETag: \"{e_tag}\"\r\nConnection: close\r\n\r\n{piece}"
    )
}

/// Downloads `s3://bucket/a`; returns the file's content.
async fn downloaded(artifacts: &Artifacts) -> Result<String, TaskError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audio");
    artifacts.download("s3://bucket/a", &file).await?;
    Ok(std::fs::read_to_string(file).expect("a file"))
}

#[tokio::test]
async fn a_download_goes_on_where_its_connection_broke() {
    let object: String = (0..2000).map(|it| format!("{it:05}\n")).collect();
    let n_answers = Arc::new(AtomicUsize::new(0));
    let artifacts = store_that_answers({
        let (object, n_answers) = (object.clone(), Arc::clone(&n_answers));
        move |request| {
            n_answers.fetch_add(1, Ordering::SeqCst);
            piece_of(&object, "one", request)
        }
    })
    .await;
    // More breaks than the store's client repairs by itself.
    assert_eq!(downloaded(&artifacts).await.expect("progress"), object);
    assert_eq!(
        n_answers.load(Ordering::SeqCst),
        12,
        "no byte is sent twice"
    );
}

#[tokio::test]
async fn an_object_that_changes_during_its_download_is_read_from_its_start() {
    let [one, two] = ["1", "2"].map(|it| it.repeat(3500));
    let asked = AtomicUsize::new(0);
    let changed = two.clone();
    let artifacts = store_that_answers(move |request| {
        let wants_one = request.to_lowercase().contains("if-match: \"one\"");
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => piece_of(&one, "one", request),
            _ if wants_one => "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\
                               Connection: close\r\n\r\n"
                .to_owned(),
            _ => piece_of(&changed, "two", request),
        }
    })
    .await;
    assert_eq!(downloaded(&artifacts).await.expect("progress"), two);
}

#[tokio::test]
async fn a_download_that_gets_no_further_is_given_up() {
    let begun = AtomicUsize::new(0);
    let artifacts = store_that_answers(move |request| match begun.fetch_add(1, Ordering::SeqCst) {
        0 => piece_of(&"1".repeat(3500), "one", request),
        _ => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            .to_owned(),
    })
    .await;
    let err = downloaded(&artifacts).await.expect_err("nothing more");
    assert_eq!(err.kind(), ErrorKind::Unavailable);
}
