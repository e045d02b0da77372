//! While Redis or the store is away, slow or silent, no task is lost and no worker spins; work resumes by
//! itself.

use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{
    Contract, EventKind, Fault, FaultProxy, ObjectServer, RedisServer, Signal, WorkerSettings,
    isolation,
};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

/// How soon after its return a server must be in use again.
const RECOVERY: Duration = Duration::from_secs(5);

/// The share of one processor that a worker may use while it cannot work.
const IDLE_CPU: f64 = 0.05;

/// Number of tasks that are queued before the outage, of which one is in flight, and number of those after it.
const N_TASKS: usize = 6;

/// The kind of outage.
#[derive(Clone, Copy)]
enum Outage {
    Redis(Fault),
    RedisStopped,
    Store(Fault),
}

/// The length of the outage. `E2E_OUTAGE_S=20` makes it longer than CI has time for.
fn duration() -> Duration {
    let seconds =
        std::env::var("E2E_OUTAGE_S").map_or(4.0, |s| s.parse().expect("E2E_OUTAGE_S is a number"));
    Duration::from_secs_f64(seconds)
}

#[test]
fn redis_can_be_down() {
    let _guard = isolation::shared();
    survive("Redis down", Outage::Redis(Fault::Refuse));
}

#[test]
fn redis_can_be_cut_off_by_a_silent_network() {
    let _guard = isolation::shared();
    survive("Redis cut off", Outage::Redis(Fault::Hang));
}

#[test]
fn redis_can_stop_answering() {
    let _guard = isolation::shared();
    survive("Redis stopped", Outage::RedisStopped);
}

#[test]
fn the_store_can_be_down() {
    let _guard = isolation::shared();
    survive("store down", Outage::Store(Fault::Refuse));
}

#[test]
fn the_store_can_be_cut_off_by_a_silent_network() {
    let _guard = isolation::shared();
    survive("store cut off", Outage::Store(Fault::Hang));
}

#[test]
fn the_store_can_be_overloaded() {
    let _guard = isolation::shared();
    let slow_down = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    survive("store overloaded", Outage::Store(Fault::Answer(slow_down)));
}

#[test]
fn the_store_can_break_off_in_the_middle_of_an_answer() {
    let _guard = isolation::shared();
    survive("store breaking off", Outage::Store(Fault::ResetAfter(700)));
}

/// Runs both transports in parallel, because waiting needs no processor.
fn survive(name: &str, outage: Outage) {
    thread::scope(|scope| {
        for contract in [Contract::M22, Contract::Streams] {
            scope.spawn(move || survive_in(contract, name, outage));
        }
    });
}

fn survive_in(contract: Contract, name: &str, outage: Outage) {
    let mut pipeline = Pipeline::start(contract);
    let rules = pipeline.referee.rules();
    pipeline.referee.set_rules(rules.after_outage(duration()));
    let redis = FaultProxy::start(&pipeline.redis.address());
    let store = FaultProxy::start(&pipeline.store.address());
    let settings = WorkerSettings {
        redis_url: RedisServer::url_at(&redis.address()),
        s3_endpoint: format!("http://{}", store.address()),
        ..pipeline.settings("worker")
    };
    let mut worker = start_worker(ENGINE, &settings);

    let mut tasks = pipeline.submit(N_TASKS, |task| task.with("work_ms", 300));
    let first = &tasks[0].task_id;
    pipeline
        .listener
        .wait_for(EventKind::Started, first, TIMEOUT);
    match outage {
        Outage::Redis(fault) => redis.set(fault),
        Outage::RedisStopped => pipeline.redis.program.signal(Signal::STOP),
        Outage::Store(fault) => store.set(fault),
    }
    let before = worker.program.usage().cpu;
    let began = Instant::now();
    thread::sleep(duration());
    let away = began.elapsed();
    assert_eq!(
        worker.program.ended(),
        None,
        "the worker has ended: {}",
        worker.program.log()
    );
    let cpu = (worker.program.usage().cpu - before).as_secs_f64() / away.as_secs_f64();

    match outage {
        Outage::Redis(_) => redis.set(Fault::None),
        Outage::RedisStopped => pipeline.redis.program.signal(Signal::CONT),
        Outage::Store(_) => store.set(Fault::None),
    }
    let back = Instant::now();
    tasks.extend(pipeline.submit(N_TASKS, |task| task.with("work_ms", 1)));
    let listener = &pipeline.listener;
    let n_before = listener.events().len();
    let resumed = e2e_tests::wait_until(TIMEOUT, || listener.events().len() > n_before);
    let recovery = back.elapsed();
    assert!(
        resumed,
        "nothing happened in {TIMEOUT:?} after the return: {}",
        worker.program.log()
    );
    pipeline.check_completed(&tasks, TIMEOUT);
    println!(
        "{}, {name} for {away:.1?}: {:.1} % of a processor meanwhile, first event {recovery:.2?} after \
         the return, all done after {:.2?}",
        contract.name(),
        cpu * 100.0,
        back.elapsed()
    );
    check_no_secrets(&worker);
    assert!(cpu < IDLE_CPU, "{:.1} % of a processor", cpu * 100.0);
    assert!(recovery < RECOVERY, "{recovery:?}");
}

#[test]
fn a_redis_that_forgets_everything_gets_the_end_of_a_task_at_work() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let _worker = start_worker(ENGINE, &pipeline.settings("worker"));
        // The worker renews its lease between the loss and the end, and so learns that its task is unknown.
        let tasks = pipeline.submit(1, |task| task.with("work_ms", 3_000));
        pipeline
            .listener
            .wait_for(EventKind::Started, &tasks[0].task_id, TIMEOUT);
        let flushed = redis::cmd("FLUSHALL").exec(&mut pipeline.redis.connect());
        flushed.expect("the server answers");
        pipeline.check_completed(&tasks, TIMEOUT);
        let after = pipeline.submit(2, |task| task);
        pipeline.check_completed(&after, TIMEOUT);
    }
}

#[test]
fn wrong_credentials_of_the_store_cost_no_task_and_no_processor() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::M22);
    let mut settings = pipeline.settings("worker");
    settings
        .more
        .push(("AWS_SECRET_ACCESS_KEY", "not-the-secret-key".to_owned()));
    let mut worker = start_worker(ENGINE, &settings);
    let tasks = pipeline.submit(N_TASKS, |task| task);
    thread::sleep(Duration::from_secs(1));
    let before = worker.program.usage().cpu;
    thread::sleep(duration());
    let cpu = (worker.program.usage().cpu - before).as_secs_f64() / duration().as_secs_f64();
    assert_eq!(
        worker.program.ended(),
        None,
        "the worker has ended: {}",
        worker.program.log()
    );
    assert_eq!(
        pipeline.listener.n_ended(),
        0,
        "tasks ended without a store"
    );
    assert!(cpu < IDLE_CPU, "{:.1} % of a processor", cpu * 100.0);
    assert!(!worker.program.log().contains("not-the-secret-key"));
    worker.program.signal(Signal::TERM);
    assert!(worker.program.wait(TIMEOUT).success());
    assert!(!worker.program.log().contains(ObjectServer::SECRET_KEY));

    let _right = start_worker(ENGINE, &pipeline.settings("worker"));
    pipeline.check_completed(&tasks, TIMEOUT);
    println!(
        "wrong store credentials: {:.1} % of a processor meanwhile",
        cpu * 100.0
    );
}
