//! The engine's handle without a runner: what a call gives when the engine does not take its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use dalston_engine_sdk::metrics::Metrics;
use dalston_engine_sdk::{
    Capabilities, Engine, EngineHandle, EngineHealth, EngineState, ErrorKind, TaskContext,
    TaskError, TaskInput, TaskOutput,
};
use futures_util::FutureExt;

/// An engine whose load waits until the test sends the load's result.
struct Gated {
    loaded: mpsc::Receiver<Result<(), TaskError>>,
    n_processed: Arc<AtomicU32>,
}

impl Engine for Gated {
    fn load(&mut self) -> Result<(), TaskError> {
        self.loaded.recv().expect("the test sends one result")
    }

    fn process(&mut self, _: &TaskInput, _: &TaskContext) -> Result<TaskOutput, TaskError> {
        self.n_processed.fetch_add(1, Ordering::SeqCst);
        Ok(TaskOutput::default())
    }

    fn health(&self) -> EngineHealth {
        EngineHealth::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// Starts an engine; returns its handle, the sender of its load's result, and its count of tasks.
fn start() -> (
    EngineHandle,
    mpsc::Sender<Result<(), TaskError>>,
    Arc<AtomicU32>,
) {
    let (load, loaded) = mpsc::channel();
    let n_processed = Arc::new(AtomicU32::new(0));
    let engine = Gated {
        loaded,
        n_processed: Arc::clone(&n_processed),
    };
    let handle = EngineHandle::start(engine, Arc::new(Metrics::new("gated"))).unwrap();
    (handle, load, n_processed)
}

#[tokio::test]
async fn a_task_whose_future_is_dropped_before_the_engine_takes_it_is_skipped() {
    let (handle, load, n_processed) = start();
    let first = handle.process(TaskInput::default(), TaskContext::default());
    // The first poll sends the task; the future is then dropped while the engine still loads.
    assert!(first.now_or_never().is_none());
    load.send(Ok(())).unwrap();
    let second = handle.process(TaskInput::default(), TaskContext::default());
    second.await.unwrap();
    assert_eq!(n_processed.load(Ordering::SeqCst), 1);
    handle.end().await;
}

#[tokio::test]
async fn an_engine_that_cannot_be_loaded_answers_every_call_as_unavailable() {
    let (handle, load, n_processed) = start();
    let mut state = handle.state();
    load.send(Err(TaskError::engine("no weights"))).unwrap();
    let broken = state.wait_for(|state| matches!(state, EngineState::Broken(_)));
    broken.await.unwrap();
    for _ in 0..2 {
        let answer = handle.process(TaskInput::default(), TaskContext::default());
        let err = answer.await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(n_processed.load(Ordering::SeqCst), 0);
    handle.end().await;
}
