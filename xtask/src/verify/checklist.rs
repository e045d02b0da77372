//! A checklist: each point holds, fails, or cannot be decided on this machine, and is printed as one line.

use anyhow::{Result, ensure};

/// The outcome of one point. The text says what was found, or what is missing to decide the point.
pub(super) enum Outcome {
    Holds(String),
    NotRun(String),
}

/// The points that were decided so far.
#[derive(Default)]
pub(super) struct Checklist {
    n_ok: usize,
    n_failed: usize,
    n_not_run: usize,
}

impl Checklist {
    /// Decides one point and prints its line. An error fails the point.
    ///
    /// `needed` is the result of an earlier point. Without that result, the point cannot be decided.
    pub(super) fn decide<T>(
        &mut self,
        title: &str,
        needed: Option<T>,
        decide: impl FnOnce(T) -> Result<Outcome>,
    ) {
        let outcome = needed.map_or_else(|| Ok(after_a_failure()), decide);
        println!("{}", self.line(title, outcome));
    }

    /// As [`decide`](Self::decide), for a point whose result the next points need. `None` if the point does
    /// not hold.
    pub(super) fn check<T, U>(
        &mut self,
        title: &str,
        needed: Option<T>,
        decide: impl FnOnce(T) -> Result<(String, U)>,
    ) -> Option<U> {
        let mut given = None;
        self.decide(title, needed, |needed| {
            let (found, value) = decide(needed)?;
            given = Some(value);
            Ok(Outcome::Holds(found))
        });
        given
    }

    /// Counts the points.
    ///
    /// # Errors
    ///
    /// When a point failed.
    pub(super) fn verdict(&self) -> Result<()> {
        println!(
            "{} ok, {} failed, {} not run",
            self.n_ok, self.n_failed, self.n_not_run
        );
        ensure!(
            self.n_failed == 0,
            "the model does not keep what the engine promises: see the lines that say FAILED"
        );
        Ok(())
    }

    fn line(&mut self, title: &str, outcome: Result<Outcome>) -> String {
        match outcome {
            Ok(Outcome::Holds(found)) => {
                self.n_ok += 1;
                format!("ok       {title}: {found}")
            }
            Ok(Outcome::NotRun(why)) => {
                self.n_not_run += 1;
                format!("not run  {title}: {why}")
            }
            Err(error) => {
                self.n_failed += 1;
                format!("FAILED   {title}: {error:#}")
            }
        }
    }
}

fn after_a_failure() -> Outcome {
    Outcome::NotRun("a point above, which it needs, does not hold".to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn every_outcome_has_its_line_and_its_count() {
        let mut list = Checklist::default();
        let holds = Ok(Outcome::Holds("7 words".into()));
        assert_eq!(list.line("words", holds), "ok       words: 7 words");
        let not_run = Ok(Outcome::NotRun("no GPU".into()));
        assert_eq!(list.line("gpu", not_run), "not run  gpu: no GPU");
        assert!(list.verdict().is_ok());
        let failed = Err(anyhow!("in a.wav").context("word 3 has no end"));
        assert_eq!(
            list.line("times", failed),
            "FAILED   times: word 3 has no end: in a.wav"
        );
        assert_eq!((list.n_ok, list.n_failed, list.n_not_run), (1, 1, 1));
        assert!(list.verdict().is_err());
    }

    #[test]
    fn what_needs_a_failed_point_is_not_run() {
        let mut list = Checklist::default();
        let three = list.check("a", Some(()), |()| Ok((String::new(), 3)));
        assert_eq!(three, Some(3));
        let none = list.check::<_, ()>("b", three, |_| Err(anyhow!("no")));
        list.decide("c", none, |()| panic!("there is nothing to decide"));
        assert_eq!((list.n_ok, list.n_failed, list.n_not_run), (1, 1, 1));
    }
}
