//! A Redis at the limit of its memory: a worker refuses to start where keys are evicted, and loses nothing where
//! writes are refused.

use std::thread;
use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Contract, EventKind, isolation, wait_until};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Every policy by which Redis and Valkey evict keys.
const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

#[test]
fn a_worker_refuses_a_server_that_evicts_keys_unless_it_is_allowed() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        pipeline.redis.configure("maxmemory", "64mb");
        for policy in POLICIES {
            pipeline.redis.configure("maxmemory-policy", policy);
            let mut worker = start_worker(ENGINE, &pipeline.settings("worker"));
            let end = worker.program.wait(TIMEOUT);
            let log = worker.program.log();
            assert_eq!(end.code(), Some(1), "{policy}: {log}");
            let sentence = format!("Redis has maxmemory-policy {policy} and may delete tasks");
            assert_eq!(log.matches(&sentence).count(), 1, "{log}");
            assert!(log.contains("DALSTON_ALLOW_EVICTION"), "{log}");
        }
        let mut settings = pipeline.settings("worker");
        settings
            .more
            .push(("DALSTON_ALLOW_EVICTION", "true".to_owned()));
        let worker = start_worker(ENGINE, &settings);
        let tasks = pipeline.submit(3, |task| task);
        pipeline.check_completed(&tasks, TIMEOUT);
        let log = || worker.program.log();
        let warned = wait_until(TIMEOUT, || log().contains("redis_may_evict_keys"));
        assert!(warned, "{}", log());
    }
}

#[test]
fn a_server_without_memory_for_a_write_loses_no_task() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let worker = start_worker(ENGINE, &pipeline.settings("worker"));
        let tasks = pipeline.submit(6, |task| task.with("work_ms", 300));
        let first = &tasks[0].task_id;
        pipeline
            .listener
            .wait_for(EventKind::Started, first, TIMEOUT);
        // Less than the server has in use, so that it refuses every write.
        pipeline.redis.configure("maxmemory", "100kb");
        thread::sleep(Duration::from_secs(4));
        let log = worker.program.log();
        assert!(
            log.contains("redis_connection_error"),
            "no write was refused: {log}"
        );
        pipeline.redis.configure("maxmemory", "0");
        pipeline.check_completed(&tasks, TIMEOUT);
        check_no_secrets(&worker);
    }
}

#[test]
fn a_server_that_writes_nothing_to_disk_is_warned_about() {
    let _guard = isolation::shared();
    let pipeline = Pipeline::start(Contract::M22);
    let worker = start_worker(ENGINE, &pipeline.settings("worker"));
    worker.wait_until_ready(TIMEOUT);
    let log = || worker.program.log();
    let warned = wait_until(TIMEOUT, || log().contains("redis_without_append_only_file"));
    assert!(warned, "{}", log());
}
