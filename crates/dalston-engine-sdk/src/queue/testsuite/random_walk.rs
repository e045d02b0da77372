//! Workers that claim, work, die, return and pause at random; counts the completions of every task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Backend, LEASE, NOW, event, finish};
use crate::queue::{Claim, PutBack, Queue, QueueError};

/// A process and its claims.
struct Process {
    queue: Arc<dyn Queue>,
    claims: Vec<Claim>,
}

/// Makes `n_steps` random steps with `n_tasks` tasks and four workers; then one worker completes the rest.
/// Every task must be completed exactly once.
///
/// # Panics
///
/// A task was lost or completed twice. The same `seed` repeats the walk; in memory it repeats exactly.
pub async fn random_walk(backend: &dyn Backend, seed: u64, n_steps: usize, n_tasks: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut workers: Vec<Option<Process>> = (0..4).map(|_| None).collect();
    let mut pushed = 0;
    for _ in 0..n_steps {
        if pushed < n_tasks && random.u8(..4) == 0 {
            backend.push(&format!("task-{pushed}")).await;
            pushed += 1;
        }
        let idx = random.usize(..workers.len());
        let worker = &mut workers[idx];
        match worker {
            None => *worker = begin(backend, idx).await,
            Some(process) => {
                if !step(process, &mut random).await {
                    *worker = None;
                }
            }
        }
    }
    for task in pushed..n_tasks {
        backend.push(&format!("task-{task}")).await;
    }
    drop(workers);
    finish_all(backend, n_tasks).await;

    let mut completed = BTreeMap::new();
    for message in backend.events().await {
        if let Some(task) = message.strip_prefix("completed ") {
            *completed.entry(task.to_owned()).or_insert(0) += 1;
        }
    }
    let once = (0..n_tasks).map(|task| (format!("task-{task}"), 1));
    assert_eq!(completed, once.collect::<BTreeMap<_, _>>(), "seed {seed}");
}

/// Starts a worker again under its old id; the worker waits until that id is free.
async fn begin(backend: &dyn Backend, idx: usize) -> Option<Process> {
    let queue = backend.connect(&format!("worker-{idx}"));
    queue.join().await.ok()?;
    Some(Process {
        queue,
        claims: Vec::new(),
    })
}

/// Makes one random step of a worker; returns `false` if the worker ends.
async fn step(process: &mut Process, random: &mut fastrand::Rng) -> bool {
    let Process { queue, claims } = process;
    let one = (!claims.is_empty()).then(|| random.usize(..claims.len()));
    let done = match (random.u8(..12), one) {
        (0..=3, _) => match queue.claim(NOW).await {
            Ok(claim) => {
                claims.extend(claim);
                Ok(())
            }
            Err(err) => Err(err),
        },
        (4, Some(idx)) => {
            let started = event("started", &claims[idx].task_id);
            queue.start(&claims[idx], &started).await
        }
        (5 | 6, Some(idx)) => {
            let claim = claims.swap_remove(idx);
            finish(&**queue, &claim).await
        }
        (7, Some(idx)) => {
            let claim = claims.swap_remove(idx);
            let delay = [Duration::ZERO, LEASE / 3][random.usize(..2)];
            let place = match random.bool() {
                true => PutBack::Untouched,
                false => PutBack::Deferred { delay },
            };
            queue.put_back(&claim, place).await
        }
        // A panic in the worker.
        (8, Some(idx)) => {
            claims.swap_remove(idx);
            Ok(())
        }
        (9, _) => {
            sleep(LEASE / 5).await;
            Ok(())
        }
        // kill -9, or an end in good order.
        (10, _) => {
            if random.bool() {
                let _ = queue.leave().await;
            }
            return false;
        }
        _ => queue.renew().await.map(drop),
    };
    match done {
        Ok(()) | Err(QueueError::NotHeld) => true,
        Err(QueueError::Superseded) => false,
        Err(err) => panic!("{err}: {:?}", std::error::Error::source(&err)),
    }
}

/// Runs one last worker until every task is completed, or none has come for longer than any lease.
async fn finish_all(backend: &dyn Backend, n_tasks: usize) {
    let last = backend.connect("last");
    last.join().await.expect("nobody else has this id");
    let mut idle = NOW;
    while idle < LEASE * 3 {
        match last.claim(LEASE / 10).await.expect("the queue is there") {
            Some(claim) => {
                finish(&*last, &claim).await.expect("the task is held");
                idle = NOW;
            }
            None => idle += LEASE / 10,
        }
        last.renew().await.expect("nobody else has this id");
        let n_done = backend.events().await;
        let n_done = n_done.iter().filter(|event| event.starts_with("completed"));
        if n_done.count() >= n_tasks {
            return;
        }
    }
}
