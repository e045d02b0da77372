//! The engine as `cargo xtask bench` compares it with other engines: it loads its model once and reads the
//! files to transcribe line by line.

use std::io::{self, BufRead as _, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use benches::{ModelArguments, seconds};
use clap::Parser;
use parakeet_worker::settings::Settings;
use parakeet_worker::source::Source;
use parakeet_worker::transcribe::transcribe_list;
use parakeet_worker::transcriber::{Stats, Transcriber};
use segmenter::SegmentRules;
use serde_json::json;

/// Reads lines, each a JSON list of files, and answers each with a line of JSON: the texts, and what it
/// took in seconds. The first line it prints says that the model is loaded.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Chunks in one encoder batch, if not as many as the worker takes.
    #[arg(long)]
    batch_size: Option<NonZeroUsize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let model = arguments.model.load()?;
    let mut settings = Settings::of(&model, None);
    settings.batch_size = arguments.batch_size.unwrap_or(settings.batch_size);
    let transcriber = Transcriber {
        model: Arc::new(model),
        settings,
    };
    say(&json!({
        "load": seconds(begun.elapsed()),
        "device": transcriber.model.device().name(),
        "compute_type": transcriber.model.compute_type().name(),
        "batch_size": transcriber.settings.batch_size,
    }))?;
    for line in io::stdin().lock().lines() {
        let files: Vec<PathBuf> = serde_json::from_str(&line?)?;
        let sources: Vec<_> = files.into_iter().map(Source::from).collect();
        say(&transcribe(&transcriber, &sources)?)?;
    }
    Ok(())
}

fn transcribe(transcriber: &Transcriber, sources: &[Source]) -> Result<serde_json::Value> {
    let mut texts = Vec::new();
    let mut failure = None;
    let Stats {
        wall,
        audio_s,
        encode,
        search,
        searched,
        ..
    } = transcribe_list(
        transcriber,
        &SegmentRules::default(),
        sources,
        |_| ControlFlow::Continue(()),
        |_, transcript| match transcript {
            Ok(transcript) => {
                let segments = transcript.segments.iter();
                let words = segments.flat_map(|it| it.words.iter().map(|word| word.text.as_str()));
                texts.push(words.collect::<Vec<_>>().join(" "));
                ControlFlow::Continue(())
            }
            Err(why) => {
                failure = Some(why);
                ControlFlow::Break(())
            }
        },
    );
    if let Some(why) = failure {
        return Err(why.into());
    }
    Ok(json!({
        "texts": texts,
        "audio": audio_s,
        "seconds": seconds(wall),
        "encode": seconds(encode),
        "search": seconds(search),
        "n_tokens": searched.n_tokens,
        "joint_calls": searched.score_calls,
        "predictor_calls": searched.advance_calls,
    }))
}

fn say(line: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
