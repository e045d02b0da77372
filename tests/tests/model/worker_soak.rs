//! The memory and the descriptors of a worker do not grow with its tasks.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets};
use e2e_tests::{Contract, Usage, isolation, parakeet};

/// How long the worker works, in seconds. `E2E_SOAK_S=1800` makes it half an hour.
const DEFAULT_S: u64 = 12;

/// Number of recordings in the test set. Each round takes the next ones, so that lengths differ.
const N_RECORDINGS: usize = 300;
const PER_ROUND: usize = 8;

/// Growth of memory that is not a leak: libtorch keeps buffers for each shape that it has met.
const NOISE_BYTES: usize = 24 << 20;

const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn memory_and_descriptors_do_not_grow_with_the_number_of_tasks() {
    let _guard = isolation::alone();
    let seconds = std::env::var("E2E_SOAK_S")
        .map_or(DEFAULT_S, |s| s.parse().expect("E2E_SOAK_S is a number"));
    let mut pipeline = Pipeline::start(Contract::M22);
    let worker = parakeet::start_ready(&parakeet::settings(&pipeline, "worker"));
    let begun = Instant::now();
    let mut usages: Vec<(Duration, Usage)> = Vec::new();
    while begun.elapsed() < Duration::from_secs(seconds) {
        // A new listener for each round, because a listener keeps every event.
        pipeline.listen_anew();
        let first = usages.len() * PER_ROUND;
        let ids = (first..first + PER_ROUND).map(|n| 1 + n % N_RECORDINGS);
        let tasks = pipeline.submit_recordings(&parakeet::recordings(ids), |task| task);
        pipeline.check_ended_once(&tasks, TIMEOUT);
        usages.push((begun.elapsed(), worker.program.usage()));
    }
    check_no_secrets(&worker);

    // The first third is warm-up. The medians of the other two thirds are compared.
    let third = usages.len() / 3;
    assert!(
        third > 1,
        "{} rounds in {seconds} s show nothing",
        usages.len()
    );
    let median = |usages: &[(Duration, Usage)], of: fn(&Usage) -> usize| {
        let mut values: Vec<_> = usages.iter().map(|(_, usage)| of(usage)).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (middle, last) = (&usages[third..2 * third], &usages[2 * third..]);
    let memory = [middle, last].map(|part| median(part, |usage| usage.resident_bytes));
    let descriptors = [middle, last].map(|part| median(part, |usage| usage.descriptors));
    println!(
        "{} tasks in {seconds} s: MiB resident {} then {}; descriptors {} then {}; slope {:.1} MiB/h",
        usages.len() * PER_ROUND,
        memory[0] >> 20,
        memory[1] >> 20,
        descriptors[0],
        descriptors[1],
        slope(&usages[third..]) * 3600.0 / f64::from(1 << 20),
    );
    assert!(memory[1] < memory[0] + NOISE_BYTES, "{memory:?} bytes");
    assert!(descriptors[1] <= descriptors[0] + 2, "{descriptors:?}");
}

/// Resident bytes per second, by least squares.
fn slope(usages: &[(Duration, Usage)]) -> f64 {
    let points: Vec<_> = usages
        .iter()
        .map(|(at, usage)| (at.as_secs_f64(), usage.resident_bytes as f64))
        .collect();
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let covariance: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    covariance / variance
}
