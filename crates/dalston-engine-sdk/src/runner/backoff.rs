//! Pauses between tries, longer after each.

use std::time::Duration;

/// Pauses that double from 100 ms to 2 s. Each is shortened at random to between a half and the whole, so
/// that workers that lost the same server do not all return at the same moment. The longest pause is 2 s,
/// so that a worker takes tasks soon after its server answers again.
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

    /// Waits for the next pause.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause(fastrand::f64())).await;
    }

    fn next_pause(&mut self, random: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_seconds_and_no_further() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..7)
            .map(|_| backoff.next_pause(1.0).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(backoff.next_pause(0.0).as_millis(), 1000);
    }
}
