//! How many CPU threads libtorch may use.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Sets how many threads one operation of libtorch may use in this process, and returns the number. Call this
/// before the first model is loaded.
///
/// `None` takes libtorch's own choice (one thread per core, or `OMP_NUM_THREADS`), but no more threads than
/// the process may run at once: libtorch knows affinity masks, but not a container's quota,
/// and 64 threads that share two cores wait for each other at every operation.
pub fn set_threads(n_threads: Option<NonZeroUsize>) -> usize {
    let n_threads = n_threads.map_or_else(default_threads, NonZeroUsize::get);
    tch::set_num_threads(i32::try_from(n_threads).unwrap_or(i32::MAX));
    n_threads
}

/// Runs `work` with libtorch on this thread alone.
///
/// Operations of the search take microseconds. If another program runs on one of the cores, threads that
/// share such an operation wait for the thread that has no core: the search of two hours with the tiny model
/// took 172 s instead of 2 s while two compilers ran.
pub(crate) fn on_one_thread<T>(work: impl FnOnce() -> T) -> T {
    // Restores the number even if `work` panics, because the number outlives this call.
    struct Restore(i32);
    impl Drop for Restore {
        fn drop(&mut self) {
            tch::set_num_threads(self.0);
        }
    }
    let _restore = Restore(tch::get_num_threads());
    tch::set_num_threads(1);
    work()
}

fn default_threads() -> usize {
    let chosen = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    // This counts affinity masks, and the quotas of both versions of control groups.
    let allowed = available_parallelism().map_or(1, NonZeroUsize::get);
    chosen.clamp(1, allowed)
}
