//! Redis and the store behind TLS, with certificates of a private authority.

use std::thread;
use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Authority, Contract, RedisServer, Signal, TlsProxy, WorkerSettings, isolation};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The log's sentence about a certificate of an unknown authority.
const REFUSED: &str = "the server's certificate is not accepted (UnknownIssuer); SSL_CERT_FILE names \
                       an authority of your own";

/// The share of one processor that a worker may use while it cannot work.
const IDLE_CPU: f64 = 0.05;

/// The settings of a worker that reaches Redis through TLS and trusts only this authority.
fn settings(pipeline: &Pipeline, redis: &TlsProxy, trusted: &Authority) -> WorkerSettings {
    let mut settings = pipeline.settings("worker");
    settings.redis_url = RedisServer::url_at(&redis.address()).replace("redis:", "rediss:");
    let file = trusted.file().display().to_string();
    settings.more.push(("SSL_CERT_FILE", file));
    settings
}

#[test]
fn a_worker_trusts_the_authority_that_it_is_told_to() {
    let _guard = isolation::shared();
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
        pipeline.check_completed(&tasks, TIMEOUT);
        check_no_secrets(&worker);
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_until_it_is_known() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::M22);
    let (authority, another) = (Authority::new(), Authority::new());
    let redis = TlsProxy::start(&pipeline.redis.address(), &authority);
    let mut distrusting = start_worker(ENGINE, &settings(&pipeline, &redis, &another));
    let tasks = pipeline.submit(3, |task| task);
    thread::sleep(Duration::from_secs(1));
    let before = distrusting.program.usage().cpu;
    let waited = Duration::from_secs(4);
    thread::sleep(waited);
    let cpu = (distrusting.program.usage().cpu - before).as_secs_f64() / waited.as_secs_f64();
    let log = distrusting.program.log();
    assert_eq!(
        distrusting.program.ended(),
        None,
        "the worker has ended: {log}"
    );
    assert!(log.contains(REFUSED), "{log}");
    assert!(cpu < IDLE_CPU, "{:.1} % of a processor", cpu * 100.0);
    check_no_secrets(&distrusting);
    distrusting.program.signal(Signal::TERM);
    assert!(distrusting.program.wait(TIMEOUT).success());

    let _trusting = start_worker(ENGINE, &settings(&pipeline, &redis, &authority));
    pipeline.check_completed(&tasks, TIMEOUT);
}
