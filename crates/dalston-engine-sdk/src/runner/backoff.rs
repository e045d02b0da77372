//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from 100 ms to 2 s, each cut by chance to between a half and the whole, so that
/// workers that lost the same server do not come back in step. 2 s at most: a worker is back at work
/// soon after its server is.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// Waits.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.step(fastrand::f64())).await;
    }

    fn step(&mut self, chance: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole.mul_f64(0.5 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_seconds_and_no_further() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..7).map(|_| backoff.step(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff.step(0.0).as_millis(), 1000);
    }
}
