//! A Dalston worker around the loudness engine; docs/embedding.md builds it step by step.

mod engine;

use std::error::Error;

use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::{telemetry, work};

use engine::Loudness;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::from_env("loudness")?;
    let log = telemetry::init(config.logs, &config.engine_id)?;
    Ok(work(Loudness, &config)
        .await
        .map_err(|err| err.exit_if_hung(log))?)
}
