//! Keeps loaded models within limits: loads each model once, and drops the least recently used one first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Loaded models by key, shared by any number of threads.
///
/// A model is in use as long as a caller holds an [`Arc`] from [`ModelStore::get_or_load`], and a model in
/// use is not dropped. The types of keys and models are the caller's choice; [`crate::ParakeetStore`] is the
/// choice for bundles.
pub struct ModelStore<K, M, E> {
    limits: StoreLimits,
    entries: Mutex<Entries<K, M, E>>,
    /// Notified whenever a load has ended, by success, error or panic.
    ended: Condvar,
}

/// How much a [`ModelStore`] may hold, models that are being loaded included.
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
    /// Loading failed. Every caller that waited for this load gets the same error; the next call loads again.
    #[error(transparent)]
    Load(Arc<E>),

    /// The model does not fit into the limits together with the models in use. Try again when a caller has
    /// dropped one of those; if no model is in use, the limits are too low for this model.
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
        /// Number of the models that are in use or being loaded.
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
            entries: Mutex::new(Entries {
                by_key: HashMap::new(),
                n_calls: 0,
            }),
            ended: Condvar::new(),
        }
    }

    /// The model of this key; calls `load` if the store does not hold it.
    ///
    /// A caller that asks while another thread loads the same model waits for that load. Before a load the
    /// store drops idle models, the least recently used one first, until a model of `bytes` fits the limits.
    /// `load` must not ask this store for the same key: it would wait for itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::Load`] if loading fails, here or in the thread that this call waited for;
    /// [`StoreError::Full`] if the models in use leave too little room.
    pub fn get_or_load(
        &self,
        key: &K,
        bytes: u64,
        load: impl FnOnce() -> Result<M, E>,
    ) -> Result<Arc<M>, StoreError<E>> {
        let mut entries = self.lock();
        entries.n_calls += 1;
        let now = entries.n_calls;
        while let Some(entry) = entries.by_key.get_mut(key) {
            match &entry.content {
                Content::Loaded(model) => {
                    entry.last_used = now;
                    return Ok(Arc::clone(model));
                }
                Content::Loading(ending) => {
                    let ending = Arc::clone(ending);
                    let waited = self.ended.wait_while(entries, |_| ending.get().is_none());
                    entries = waited.unwrap_or_else(PoisonError::into_inner);
                    if let Some(Some(outcome)) = ending.get() {
                        return outcome.clone().map_err(StoreError::Load);
                    }
                    // That load panicked, in its own thread. Its entry is gone, so the loop ends unless a
                    // third thread has begun to load meanwhile.
                }
            }
        }
        entries.make_room(bytes, self.limits)?;
        // From here on other callers of this key find the entry and wait. `load` runs without the lock, so
        // that different models load at the same time.
        let ending = Arc::new(OnceLock::new());
        let content = Content::Loading(Arc::clone(&ending));
        let entry = Entry {
            bytes,
            last_used: now,
            content,
        };
        entries.by_key.insert(key.clone(), entry);
        drop(entries);

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

    /// No code that holds the lock can leave the entries half changed, so the entries behind a poisoned lock
    /// are whole.
    fn lock(&self) -> MutexGuard<'_, Entries<K, M, E>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Entries<K, M, E> {
    by_key: HashMap<K, Entry<M, E>>,
    n_calls: u64,
}

struct Entry<M, E> {
    bytes: u64,
    /// Number of the last call that asked for this model.
    last_used: u64,
    content: Content<M, E>,
}

enum Content<M, E> {
    Loaded(Arc<M>),
    Loading(Arc<Ending<M, E>>),
}

/// The end of a load, once there is one; `None` stands for a panic.
type Ending<M, E> = OnceLock<Option<Result<Arc<M>, Arc<E>>>>;

impl<M, E> Entry<M, E> {
    /// Whether only the store holds the model. The store clones the [`Arc`] under the lock alone, so an idle
    /// model stays idle while the caller of this holds the lock.
    fn is_idle(&self) -> bool {
        matches!(&self.content, Content::Loaded(model) if Arc::strong_count(model) == 1)
    }
}

impl<K: Clone + Eq + Hash, M, E> Entries<K, M, E> {
    /// Drops idle models until a model of `bytes` fits the limits. If it would not fit without all of them,
    /// none is dropped.
    fn make_room(&mut self, bytes: u64, limits: StoreLimits) -> Result<(), StoreError<E>> {
        let fits = |held: u64, n_held: usize| {
            held.saturating_add(bytes) <= limits.max_bytes && n_held < limits.max_models
        };
        let mut idle = Vec::new();
        let (mut held, mut n_held) = (0_u64, self.by_key.len());
        let (mut in_use, mut n_in_use) = (0, 0);
        for (key, entry) in &self.by_key {
            held += entry.bytes;
            if entry.is_idle() {
                idle.push((entry.last_used, entry.bytes, key.clone()));
            } else {
                (in_use, n_in_use) = (in_use + entry.bytes, n_in_use + 1);
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
            self.by_key.remove(&key);
            (held, n_held) = (held - bytes, n_held - 1);
        }
        Ok(())
    }
}

/// A load under way. Dropping it ends the load and wakes every caller that waits for it: also after a panic
/// of `load`, whose outcome stays `None`.
struct Loading<'a, K: Clone + Eq + Hash, M, E> {
    store: &'a ModelStore<K, M, E>,
    key: &'a K,
    ending: Arc<Ending<M, E>>,
    outcome: Option<Result<Arc<M>, Arc<E>>>,
}

impl<K: Clone + Eq + Hash, M, E> Drop for Loading<'_, K, M, E> {
    fn drop(&mut self) {
        let mut entries = self.store.lock();
        match &self.outcome {
            Some(Ok(model)) => {
                if let Some(entry) = entries.by_key.get_mut(self.key) {
                    entry.content = Content::Loaded(Arc::clone(model));
                }
            }
            _ => {
                entries.by_key.remove(self.key);
            }
        }
        // Only this line sets the ending, once, so setting it cannot fail. It is set under the lock, because
        // a caller looks at it under the lock before it sleeps: none misses the notification.
        let _ = self.ending.set(self.outcome.take());
        self.store.ended.notify_all();
    }
}
