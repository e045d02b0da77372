//! Does work of the pure-Rust crates so that callgrind can count its instructions; see `cargo xtask
//! instructions`.

use std::env;

use anyhow::{Context as _, Result};
use benches::pure_work;

/// Takes the name of the work and the number of runs. Without arguments it prints the names of all work.
fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let Some(name) = arguments.next() else {
        pure_work().for_each(|work| println!("{}", work.name));
        return Ok(());
    };
    let n_runs: usize = arguments.next().context("how many times?")?.parse()?;
    let work = pure_work().find(|work| work.name == name);
    let mut run = (work
        .with_context(|| format!("no work is called {name}"))?
        .prepare)();
    (0..n_runs).for_each(|_| run());
    Ok(())
}
