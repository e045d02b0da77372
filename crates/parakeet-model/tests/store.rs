//! The store of loaded models, with texts in place of models.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use parakeet_model::{ModelStore, StoreError, StoreLimits};

#[derive(Debug, thiserror::Error)]
#[error("attempt {0} failed")]
struct Failed(usize);

type Store = ModelStore<&'static str, String, Failed>;

fn store(max_bytes: u64, max_models: usize) -> Store {
    Store::new(StoreLimits {
        max_bytes,
        max_models,
    })
}

/// Asks for a model of 10 bytes; returns the model, and whether the store had to load it.
#[track_caller]
fn ask(store: &Store, key: &'static str) -> (Arc<String>, bool) {
    let loaded = Cell::new(false);
    let model = store.get_or_load(&key, 10, || {
        loaded.set(true);
        Ok(key.to_owned())
    });
    let model = model.unwrap_or_else(|why| panic!("{key}: {why}"));
    assert_eq!(*model, key, "another model's key");
    (model, loaded.get())
}

/// Asks for each model in turn and drops it at once; returns the keys that the store had to load.
#[track_caller]
fn loads(store: &Store, keys: &[&'static str]) -> Vec<&'static str> {
    let needed_load = |key: &&'static str| ask(store, key).1;
    keys.iter().copied().filter(needed_load).collect()
}

#[test]
fn a_model_is_loaded_once() {
    assert_eq!(
        loads(&store(100, 9), &["a", "b", "a", "b", "a"]),
        ["a", "b"]
    );
}

#[test]
fn the_one_unused_for_longest_makes_room() {
    for store in [store(25, 9), store(1000, 2)] {
        // a is used again after b, so c takes the place of b. Then b takes the place of a.
        assert_eq!(loads(&store, &["a", "b", "a", "c", "a"]), ["a", "b", "c"]);
        assert_eq!(loads(&store, &["b", "a", "c"]), ["b", "c"]);
    }
}

#[test]
fn a_model_in_use_is_not_dropped_though_it_is_the_oldest() {
    let store = store(20, 9);
    let (in_use, _) = ask(&store, "a");
    assert_eq!(loads(&store, &["b", "c", "a"]), ["b", "c"]);
    assert_eq!(Arc::strong_count(&in_use), 2, "the store's and ours");
}

#[test]
fn what_does_not_fit_beside_models_in_use_is_refused_and_costs_no_idle_model() {
    let store = store(30, 9);
    let (in_use, _) = ask(&store, "a");
    assert_eq!(loads(&store, &["b"]), ["b"]);
    let refused = store.get_or_load(&"large", 21, || panic!("there is no room for it"));
    assert_eq!(
        refused.expect_err("there is no room").to_string(),
        "no room for a model of 21 bytes beside the 10 bytes of 1 models in use; the limits are 30 \
         bytes and 9 models"
    );
    assert_eq!(loads(&store, &["b"]), [""; 0], "b did not have to go");
    drop(in_use);
    let large = store.get_or_load(&"large", 21, || Ok("large".to_owned()));
    assert_eq!(*large.expect("now there is room"), "large");
}

#[test]
fn a_model_larger_than_the_limit_is_refused() {
    for (bytes, store) in [
        (11, store(10, 1)),
        (u64::MAX, store(u64::MAX - 1, 1)),
        (0, store(10, 0)),
    ] {
        let refused = store.get_or_load(&"a", bytes, || panic!("there is no room for it"));
        assert!(matches!(refused, Err(StoreError::Full { n_in_use: 0, .. })));
    }
}

/// Lets `n` threads ask for one model at the same time; returns the result of each.
fn ask_together(
    store: &Store,
    n: usize,
    load: impl Fn(usize) -> Result<String, Failed> + Sync,
) -> Vec<Result<Arc<String>, StoreError<Failed>>> {
    let (start, attempts) = (Barrier::new(n), AtomicUsize::new(0));
    let ask = || {
        start.wait();
        store.get_or_load(&"a", 10, || {
            // Long enough for all other threads to find this load under way.
            thread::sleep(Duration::from_millis(100));
            load(attempts.fetch_add(1, Ordering::SeqCst))
        })
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a failure is no panic"))
            .collect()
    })
}

#[test]
fn threads_that_ask_at_once_share_one_load() {
    let answers = ask_together(&store(10, 1), 16, |attempt| {
        assert_eq!(attempt, 0, "it is loaded once");
        Ok("a".to_owned())
    });
    let first = answers[0].as_ref().expect("it is loaded");
    for answer in &answers {
        assert!(Arc::ptr_eq(answer.as_ref().expect("it is loaded"), first));
    }
}

#[test]
fn a_failure_is_told_to_all_who_waited_and_the_next_call_tries_again() {
    let store = store(10, 1);
    let answers = ask_together(&store, 16, |attempt| Err(Failed(attempt)));
    for answer in answers {
        assert_eq!(
            answer.expect_err("it failed").to_string(),
            "attempt 0 failed"
        );
    }
    assert_eq!(loads(&store, &["a"]), ["a"]);
}

#[test]
fn those_who_waited_for_a_load_that_panicked_load_it_themselves() {
    let (store, begun) = (store(10, 1), Barrier::new(2));
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let load = || {
                begun.wait();
                thread::sleep(Duration::from_millis(100));
                panic!("on purpose")
            };
            catch_unwind(AssertUnwindSafe(|| store.get_or_load(&"a", 10, load)))
        });
        begun.wait();
        assert!(ask(&store, "a").1, "it was loaded here");
        assert!(panicking.join().expect("it was caught").is_err());
    });
}

#[test]
fn different_models_are_loaded_side_by_side() {
    let (store, both) = (store(20, 2), Barrier::new(2));
    let load = |key: &'static str| {
        // A load gets past the barrier only if the other load is under way, too.
        store.get_or_load(&key, 10, || {
            both.wait();
            Ok(key.to_owned())
        })
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| load("b").is_ok());
        assert!(load("a").is_ok());
        assert!(other.join().expect("a failure is no panic"));
    });
}

#[test]
fn the_limits_hold_at_every_moment_of_a_busy_store() {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    /// A model that lowers a count when it is dropped.
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (n_alive, n_loads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let store = ModelStore::<_, _, Failed>::new(StoreLimits {
        max_bytes: 30,
        max_models: 9,
    });
    let work = |seed: usize| {
        for round in 0..200 {
            let key = KEYS[(seed * 7 + round * round) % KEYS.len()];
            let model = store.get_or_load(&key, 10, || {
                n_loads.fetch_add(1, Ordering::SeqCst);
                let n_alive_now = n_alive.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(n_alive_now <= 3, "{n_alive_now} models at once");
                Ok(Counted(&n_alive))
            });
            // There is always room, because three threads hold one model each at most.
            drop(model.unwrap_or_else(|why| panic!("{why}")));
        }
    };
    thread::scope(|scope| {
        for seed in 0..3 {
            scope.spawn(move || work(seed));
        }
    });
    assert!(
        n_loads.load(Ordering::SeqCst) > KEYS.len(),
        "some had to go"
    );
}
