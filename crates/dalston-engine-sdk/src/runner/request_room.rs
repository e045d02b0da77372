//! Bounds the memory that the requests of all tasks take together.
//!
//! A request has at most 64 MiB, and a task holds it from the download until its result is stored. Without a
//! common bound a worker of 64 slots could hold 4 GiB of them, and several times that once they are parsed.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::artifacts::MAX_DOCUMENT_BYTES;

/// Room for the requests of all tasks of a worker.
#[derive(Debug)]
pub(super) struct RequestRoom(Semaphore);

/// The room of one request; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Reserved<'a>(SemaphorePermit<'a>);

/// The unit of a permit, because a semaphore counts in `u32`.
const KIB: usize = 1024;

const LARGEST_KIB: u32 = (MAX_DOCUMENT_BYTES / KIB as u64) as u32;

/// Four of the largest requests. Those of Dalston have kilobytes, so tasks do not wait for each other.
const TOTAL_KIB: usize = 4 * LARGEST_KIB as usize;

impl Default for RequestRoom {
    fn default() -> Self {
        Self(Semaphore::new(TOTAL_KIB))
    }
}

impl RequestRoom {
    /// Waits for the room of the largest request, whose size is not known yet.
    ///
    /// Nobody waits for ever: whoever holds room needs no more of it to finish its task.
    pub(super) async fn reserve(&self) -> Reserved<'_> {
        let room = self.0.acquire_many(LARGEST_KIB).await;
        Reserved(room.expect("nobody closes the semaphore"))
    }
}

impl Reserved<'_> {
    /// Gives back what a request of `n_bytes` does not need.
    pub(super) fn shrink_to(&mut self, n_bytes: usize) {
        let needed = n_bytes.div_ceil(KIB).max(1);
        let spare = self.0.num_permits().saturating_sub(needed);
        drop(self.0.split(spare));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn large_requests_wait_for_each_other_and_small_ones_do_not() {
        let room = RequestRoom::default();
        let reserve = || room.reserve().now_or_never();
        let mut large: Vec<_> = (0..4).map(|_| reserve().expect("there is room")).collect();
        for request in &mut large {
            request.shrink_to(MAX_DOCUMENT_BYTES as usize);
        }
        assert!(reserve().is_none(), "a fifth one of 64 MiB");
        large.pop();
        let small: Vec<_> = (0..60)
            .map_while(|_| {
                let mut request = reserve()?;
                // 3 of 4 parts are held, so the room of the largest is there only while all are empty.
                request.shrink_to(0);
                Some(request)
            })
            .collect();
        assert_eq!(small.len(), 1, "the others wait until a large one ends");
        large.pop();
        let more: Vec<_> = (0..60)
            .map_while(|_| {
                let mut request = reserve()?;
                request.shrink_to(3_000);
                Some(request)
            })
            .collect();
        assert_eq!(more.len(), 60);
    }
}
