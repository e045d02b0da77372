//! A worker dies between two steps of a task; the next worker completes the task correctly.

use std::thread;
use std::time::Duration;

use dalston_engine_sdk::failpoint::FAILPOINTS;
use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, Task, isolation};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn a_death_after_any_step_costs_no_task_and_tells_none_twice() {
    let _guard = isolation::shared();
    // Both transports in parallel, because most of the time is spent waiting for leases to lapse.
    thread::scope(|scope| {
        for contract in [Contract::M22, Contract::Streams] {
            scope.spawn(move || die_after_each_step(contract));
        }
    });
}

fn die_after_each_step(contract: Contract) {
    let mut pipeline = Pipeline::start(contract);
    for step in FAILPOINTS {
        let mut settings = pipeline.settings("worker");
        settings.more.push(("E2E_FAILPOINT", step.to_owned()));
        let mut doomed = start_worker(ENGINE, &settings);
        let tasks = pipeline.submit(2, |task| task);
        let end = doomed.program.wait(TIMEOUT);
        assert!(
            end.code().is_none(),
            "the worker was to abort after {step}, and ended with {end}"
        );
        let stored = outputs(&pipeline, &tasks);

        let _next = start_worker(ENGINE, &pipeline.settings("worker"));
        pipeline.check_completed(&tasks, TIMEOUT);
        // The next worker keeps a stored output. A new output would have another time stamp.
        let outputs = outputs(&pipeline, &tasks);
        let kept = stored.iter().all(|output| outputs.contains(output));
        assert!(kept, "an output was written twice after a death at {step}");

        let starts = pipeline.listener.starts();
        let n_starts: usize = tasks
            .iter()
            .filter_map(|task| starts.get(&task.task_id))
            .sum();
        println!(
            "{}, death after {step}: {} outputs stored then, 2 of 2 tasks completed once, {n_starts} \
             starts",
            contract.name(),
            stored.len()
        );
    }
}

/// The outputs of these tasks that are in the store.
fn outputs(pipeline: &Pipeline, tasks: &[Task]) -> Vec<Vec<u8>> {
    let keys = tasks.iter().map(|task| task.output_key(pipeline.contract));
    keys.filter_map(|key| pipeline.store.get(&key)).collect()
}
