//! Keeps loaded models within limits: each is loaded once, and the one unused for longest goes first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Loaded models by key, shared by any number of threads.
///
/// A model is in use as long as somebody holds an [`Arc`] that [`ModelStore::get_or_load`] gave out,
/// and is not dropped while it is. What keys and models are is the caller's choice;
/// [`crate::ParakeetStore`] is the choice for bundles.
pub struct ModelStore<K, M, E> {
    limits: StoreLimits,
    state: Mutex<State<K, M, E>>,
    /// Some load has ended, well or badly.
    ended: Condvar,
}

/// How much a [`ModelStore`] may hold, what is being loaded included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Sum of the models' sizes.
    pub max_bytes: u64,
    /// Number of models.
    pub max_models: usize,
}

/// Why a [`ModelStore`] has no model to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError<E> {
    /// Loading failed. Everybody who waited for this load gets the same error; the next call tries
    /// again.
    #[error(transparent)]
    Load(Arc<E>),

    /// The model does not fit beside those in use: try again when one of them is let go. If none is,
    /// the limits are too low for this model.
    #[error(
        "no room for a model of {needed} bytes beside the {in_use} bytes of {n_in_use} models in use; \
         the limits are {} bytes and {} models",
        limits.max_bytes,
        limits.max_models
    )]
    Full {
        /// Size of the model asked for.
        needed: u64,
        /// Sizes of the models that are in use or being loaded, summed.
        in_use: u64,
        /// How many those are.
        n_in_use: usize,
        /// The store's limits.
        limits: StoreLimits,
    },
}

impl<K: Clone + Eq + Hash, M, E> ModelStore<K, M, E> {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                slots: HashMap::new(),
                n_calls: 0,
            }),
            ended: Condvar::new(),
        }
    }

    /// The model of this key; loads it with `load` if it is not there.
    ///
    /// Whoever asks while another thread loads the same model waits for that load. Before a load,
    /// models that nobody uses are dropped, the one unused for longest first, until the new one with
    /// its `bytes` is within the limits. `load` must not ask this store for the same key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Load`] if loading fails here or in the thread that was waited for;
    /// [`StoreError::Full`] if models in use leave too little room.
    pub fn get_or_load(
        &self,
        key: &K,
        bytes: u64,
        load: impl FnOnce() -> Result<M, E>,
    ) -> Result<Arc<M>, StoreError<E>> {
        let mut state = self.lock();
        state.n_calls += 1;
        let now = state.n_calls;
        while let Some(slot) = state.slots.get_mut(key) {
            match &slot.content {
                Content::Loaded(model) => {
                    slot.last_used = now;
                    return Ok(Arc::clone(model));
                }
                Content::Loading(ending) => {
                    let ending = Arc::clone(ending);
                    let waited = self.ended.wait_while(state, |_| ending.get().is_none());
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                    if let Some(Some(outcome)) = ending.get() {
                        return outcome.clone().map_err(StoreError::Load);
                    }
                    // That load panicked. Its own thread tells why; this one tries anew.
                }
            }
        }
        state.make_room(bytes, self.limits)?;
        let ending = Arc::new(OnceLock::new());
        let content = Content::Loading(Arc::clone(&ending));
        let slot = Slot {
            bytes,
            last_used: now,
            content,
        };
        state.slots.insert(key.clone(), slot);
        drop(state);

        let mut loading = Loading {
            store: self,
            key,
            ending,
            outcome: None,
        };
        let outcome = load().map(Arc::new).map_err(Arc::new);
        loading.outcome = Some(outcome.clone());
        drop(loading);
        outcome.map_err(StoreError::Load)
    }

    /// Nothing that holds the lock can leave the state half changed, so a poisoned lock is as good as
    /// any.
    fn lock(&self) -> MutexGuard<'_, State<K, M, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State<K, M, E> {
    slots: HashMap<K, Slot<M, E>>,
    n_calls: u64,
}

struct Slot<M, E> {
    bytes: u64,
    /// Number of the call that asked for it last.
    last_used: u64,
    content: Content<M, E>,
}

enum Content<M, E> {
    Loaded(Arc<M>),
    Loading(Arc<Ending<M, E>>),
}

/// How a load ended, once it has: `None` is a panic.
type Ending<M, E> = OnceLock<Option<Result<Arc<M>, Arc<E>>>>;

impl<M, E> Slot<M, E> {
    /// References are given out under the lock alone, so that an idle model stays idle as long as it
    /// is held.
    fn is_idle(&self) -> bool {
        matches!(&self.content, Content::Loaded(model) if Arc::strong_count(model) == 1)
    }
}

impl<K: Clone + Eq + Hash, M, E> State<K, M, E> {
    /// Drops idle models until one of `bytes` is within the limits; none if that is not enough.
    fn make_room(&mut self, bytes: u64, limits: StoreLimits) -> Result<(), StoreError<E>> {
        let fits = |held: u64, n_held: usize| {
            held.saturating_add(bytes) <= limits.max_bytes && n_held < limits.max_models
        };
        let mut idle = Vec::new();
        let (mut held, mut n_held) = (0_u64, self.slots.len());
        let (mut in_use, mut n_in_use) = (0, 0);
        for (key, slot) in &self.slots {
            held += slot.bytes;
            if slot.is_idle() {
                idle.push((slot.last_used, slot.bytes, key.clone()));
            } else {
                (in_use, n_in_use) = (in_use + slot.bytes, n_in_use + 1);
            }
        }
        if !fits(in_use, n_in_use) {
            return Err(StoreError::Full {
                needed: bytes,
                in_use,
                n_in_use,
                limits,
            });
        }
        idle.sort_unstable_by_key(|&(last_used, ..)| last_used);
        for (_, bytes, key) in idle {
            if fits(held, n_held) {
                break;
            }
            self.slots.remove(&key);
            (held, n_held) = (held - bytes, n_held - 1);
        }
        Ok(())
    }
}

/// A load under way. However it ends, by a panic too, those who wait for it are woken.
struct Loading<'a, K: Clone + Eq + Hash, M, E> {
    store: &'a ModelStore<K, M, E>,
    key: &'a K,
    ending: Arc<Ending<M, E>>,
    outcome: Option<Result<Arc<M>, Arc<E>>>,
}

impl<K: Clone + Eq + Hash, M, E> Drop for Loading<'_, K, M, E> {
    fn drop(&mut self) {
        let mut state = self.store.lock();
        match &self.outcome {
            Some(Ok(model)) => {
                if let Some(slot) = state.slots.get_mut(self.key) {
                    slot.content = Content::Loaded(Arc::clone(model));
                }
            }
            _ => {
                state.slots.remove(self.key);
            }
        }
        // Set here and nowhere else, so that it cannot be set already.
        let _ = self.ending.set(self.outcome.take());
        self.store.ended.notify_all();
    }
}
