//! A worker on Redis Cluster, which it cannot use, prints one sentence and ends.

use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, RedisServer, isolation};

use crate::ENGINE;

const REFUSED: &str = "Redis Cluster cannot serve as Dalston's queue, expected a single server or one \
                       behind Sentinel";

#[test]
fn a_cluster_is_refused_with_one_sentence() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let pipeline = Pipeline::start(contract);
        let cluster = RedisServer::start_cluster();
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("ADDSLOTSRANGE").arg(0).arg(16_383);
        slots.exec(&mut cluster.connect()).expect("nobody has them");
        let mut settings = pipeline.settings("worker");
        settings.redis_url = cluster.url();
        let mut worker = start_worker(ENGINE, &settings);
        let end = worker.program.wait(Duration::from_secs(20));
        let log = worker.program.log();
        assert_eq!(end.code(), Some(1), "{log}");
        assert_eq!(log.matches(REFUSED).count(), 1, "{log}");
        assert!(!log.contains("redis_connection_error"), "{log}");
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query(&mut cluster.connect())
            .expect("the server answers");
        assert!(keys.is_empty(), "{keys:?} were left behind");
    }
}
