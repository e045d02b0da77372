//! Does work of the pure-Rust parts, for callgrind to count its instructions: see `cargo xtask
//! instructions`.

use std::env;

use anyhow::{Context as _, Result};
use benches::pure_work;

/// Takes what to do and how many times; with no arguments, prints what there is.
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
