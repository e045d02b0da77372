//! Redis and the store behind TLS, with certificates of an authority that no system knows.

use std::thread;
use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Authority, Contract, RedisServer, Signal, TlsProxy, WorkerSettings};

const ENGINE: &str = env!("CARGO_BIN_EXE_scripted_engine");

const PATIENCE: Duration = Duration::from_secs(30);

/// What the log says of a certificate that nobody trusted vouches for.
const REFUSED: &str = "the server's certificate is not accepted (UnknownIssuer); SSL_CERT_FILE names \
                       an authority of your own";

/// Share of one processor that a worker may use while it can do nothing.
const IDLE_CPU: f64 = 0.05;

/// What a worker is told that reaches Redis over TLS and trusts this authority and no other.
fn settings(pipeline: &Pipeline, redis: &TlsProxy, trusted: &Authority) -> WorkerSettings {
    let mut settings = pipeline.settings("worker");
    settings.redis_url = RedisServer::url_at(&redis.address()).replace("redis:", "rediss:");
    let file = trusted.file().display().to_string();
    settings.more.push(("SSL_CERT_FILE", file));
    settings
}

#[test]
fn a_worker_trusts_the_authority_that_it_is_told_to() {
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let authority = Authority::new();
        let redis = TlsProxy::start(&pipeline.redis.address(), &authority);
        let store = TlsProxy::start(&pipeline.store.address(), &authority);
        let settings = WorkerSettings {
            s3_endpoint: format!("https://{}", store.address()),
            ..settings(&pipeline, &redis, &authority)
        };
        let worker = start_worker(ENGINE, &settings);
        let tasks = pipeline.submit(3, |task| task);
        pipeline.check_completed(&tasks, PATIENCE);
        check_no_secrets(&worker);
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_until_it_is_known() {
    let mut pipeline = Pipeline::start(Contract::M22);
    let (authority, another) = (Authority::new(), Authority::new());
    let redis = TlsProxy::start(&pipeline.redis.address(), &authority);
    let mut stranger = start_worker(ENGINE, &settings(&pipeline, &redis, &another));
    let tasks = pipeline.submit(3, |task| task);
    thread::sleep(Duration::from_secs(1));
    let before = stranger.program.usage().cpu;
    let waited = Duration::from_secs(4);
    thread::sleep(waited);
    let cpu = (stranger.program.usage().cpu - before).as_secs_f64() / waited.as_secs_f64();
    let log = stranger.program.log();
    assert_eq!(
        stranger.program.ended(),
        None,
        "the worker has ended: {log}"
    );
    assert!(log.contains(REFUSED), "{log}");
    assert!(cpu < IDLE_CPU, "{:.1} % of a processor", cpu * 100.0);
    check_no_secrets(&stranger);
    stranger.program.signal(Signal::TERM);
    assert!(stranger.program.wait(PATIENCE).success());

    let _friend = start_worker(ENGINE, &settings(&pipeline, &redis, &authority));
    pipeline.check_completed(&tasks, PATIENCE);
}
