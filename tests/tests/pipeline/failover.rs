//! A worker follows the primary: to a new address of a name, and to the server that Sentinel names.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{
    Contract, EventKind, FaultProxy, Listener, RedisSentinel, RedisServer, Task, Worker, free_port,
    isolation, wait_until,
};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

/// How soon after a failover a worker must take tasks again.
const RECOVERY: Duration = Duration::from_secs(5);

/// Number of tasks that are queued before the failover, of which one is in flight, and number of those after it.
const N_TASKS: usize = 6;

/// A worker that has begun the first of [`N_TASKS`] tasks on the first primary. The pipeline's own server is
/// its replica.
struct Fleet {
    pipeline: Pipeline,
    primary: RedisServer,
    /// A subscriber at the first primary. Without it the worker would keep its events as unheard, because a
    /// primary does not count the subscribers of its replicas.
    _subscriber: Listener,
}

impl Fleet {
    fn start(contract: Contract) -> Self {
        let mut pipeline = Pipeline::start(contract);
        let primary = RedisServer::start();
        // In case the failover turns the roles around.
        primary.configure("masterauth", RedisServer::PASSWORD);
        pipeline.redis.follow(&primary);
        // A server that becomes a replica ends the waits of its clients.
        pipeline.listen_anew();
        Self {
            _subscriber: Listener::start(contract, &primary),
            pipeline,
            primary,
        }
    }

    /// Queues tasks on the first primary.
    fn submit(&self, work_ms: u64) -> Vec<Task> {
        let tasks = self.pipeline.new_tasks(N_TASKS);
        let tasks = tasks.into_iter().map(|it| it.with("work_ms", work_ms));
        let tasks: Vec<_> = tasks.collect();
        self.pipeline.producer.another(&self.primary).submit(&tasks);
        tasks
    }

    /// Queues tasks on the pipeline's own server, now the primary; checks how soon the worker goes on, and
    /// that these tasks and those of before complete.
    #[track_caller]
    fn check_recovery(&mut self, mut tasks: Vec<Task>, worker: &Worker) {
        let back = Instant::now();
        let n_before = self.pipeline.listener.events().len();
        tasks.extend(
            self.pipeline
                .submit(N_TASKS, |task| task.with("work_ms", 1)),
        );
        let listener = &self.pipeline.listener;
        let resumed = wait_until(TIMEOUT, || listener.events().len() > n_before);
        let recovery = back.elapsed();
        assert!(resumed, "no event in {TIMEOUT:?}: {}", worker.program.log());
        self.pipeline.check_completed(&tasks, TIMEOUT);
        check_no_secrets(worker);
        println!(
            "{}: first event {recovery:.2?} after the failover",
            self.pipeline.contract.name()
        );
        assert!(
            recovery < RECOVERY,
            "{recovery:?}: {}",
            worker.program.log()
        );
    }
}

#[test]
fn a_worker_leaves_a_primary_that_became_a_replica_and_kept_its_connections() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut fleet = Fleet::start(contract);
        let name = FaultProxy::start(&fleet.primary.address());
        let mut settings = fleet.pipeline.settings("worker");
        settings.redis_url = RedisServer::url_at(&name.address());
        let worker = start_worker(ENGINE, &settings);
        let tasks = fleet.submit(300);
        let first = &tasks[0].task_id;
        fleet
            .pipeline
            .listener
            .wait_for(EventKind::Started, first, TIMEOUT);

        fleet.pipeline.redis.promote();
        fleet.primary.follow(&fleet.pipeline.redis);
        name.redirect(&fleet.pipeline.redis.address());
        fleet.check_recovery(tasks, &worker);
    }
}

#[test]
fn a_worker_asks_sentinel_for_the_primary_and_follows_its_failover() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut fleet = Fleet::start(contract);
        let sentinel = RedisSentinel::start(&fleet.primary);
        let mut settings = fleet.pipeline.settings("worker");
        // Nobody listens at the first address, which must cost nothing.
        settings.redis_url = format!(
            "redis+sentinel://:{}@127.0.0.1:{},127.0.0.1:{}/{}/0",
            RedisServer::PASSWORD,
            free_port(),
            sentinel.port(),
            RedisSentinel::NAME
        );
        let worker = start_worker(ENGINE, &settings);
        let tasks = fleet.submit(1);
        fleet.pipeline.check_completed(&tasks, TIMEOUT);

        sentinel.fail_over(&fleet.primary, &fleet.pipeline.redis);
        // The sentinel has ended the connections of all clients.
        let pipeline = &mut fleet.pipeline;
        pipeline.producer = pipeline.producer.another(&pipeline.redis);
        pipeline.listen_anew();
        fleet.check_recovery(Vec::new(), &worker);
    }
}

#[test]
fn a_worker_connects_to_a_socket() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::M22);
    let socket = RedisServer::start_as(&["--unixsocket", "redis.sock"]);
    let mut settings = pipeline.settings("worker");
    let path = socket.program.folder().join("redis.sock");
    settings.redis_url = format!("unix://{}?pass={}", path.display(), RedisServer::PASSWORD);
    pipeline.producer = pipeline.producer.another(&socket);
    pipeline.redis.follow(&socket);
    let worker = start_worker(ENGINE, &settings);
    let tasks = pipeline.submit(3, |task| task);
    pipeline.check_completed(&tasks, TIMEOUT);
    check_no_secrets(&worker);
}
