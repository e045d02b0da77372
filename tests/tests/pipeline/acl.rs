//! A worker whose Redis user has only the rights that the manual lists.

use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Contract, RedisServer, isolation};

use crate::ENGINE;

/// The rights in docs/pipeline.md.
const RIGHTS: &str = "~dalston:* &dalston:events +@read +@write +@blocking +@scripting \
                      +@transaction +@connection +publish +time -@dangerous +info";

#[test]
fn the_rights_of_the_manual_are_enough_for_a_worker() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("engine").arg("on");
        user.arg(format!(">{}", RedisServer::PASSWORD));
        RIGHTS.split_whitespace().for_each(|right| {
            user.arg(right);
        });
        user.exec(&mut pipeline.redis.connect())
            .expect("the rights are well formed");

        let mut settings = pipeline.settings("worker");
        settings.redis_url = settings.redis_url.replace("redis://:", "redis://engine:");
        let worker = start_worker(ENGINE, &settings);
        let tasks = pipeline.submit(3, |task| task);
        pipeline.check_completed(&tasks, Duration::from_secs(30));
        check_no_secrets(&worker);
        let log = worker.program.log();
        assert!(
            !log.contains("redis_connection_error"),
            "something was denied: {log}"
        );
        assert!(!log.contains("redis_settings_unknown"), "{log}");
    }
}
