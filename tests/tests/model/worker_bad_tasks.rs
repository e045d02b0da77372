//! The real engine refuses each of two hundred bad tasks, some with hostile audio, with one sentence, and
//! transcribes the good tasks between them.

use std::fs;
use std::time::{Duration, Instant};

use e2e_tests::parakeet;
use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile};
use e2e_tests::{Contract, Task, isolation, project};

const N_BAD: usize = 200;

/// Number of bad tasks for each good one.
const PER_GOOD: usize = 10;

const TIMEOUT: Duration = Duration::from_secs(180);

#[test]
fn each_of_200_bad_tasks_fails_with_a_sentence_and_the_good_ones_are_heard() {
    let _guard = isolation::shared();
    let recordings = parakeet::recordings([12]);
    let expected = parakeet::transcribed(&recordings).remove(0);
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = parakeet::start_ready(&parakeet::settings(&pipeline, "worker"));
        let alone = pipeline.submit_recordings(&[&*recordings; 20].concat(), |task| task);
        let begun = Instant::now();
        pipeline.check_ended_once(&alone, TIMEOUT);
        let mut alone_times = pipeline.times(&alone, begun);

        let (mut bad, mut good) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for (n, (audio, task)) in bad_tasks().into_iter().cycle().take(N_BAD).enumerate() {
            // Every turn of the cycle needs a task with new ids.
            let task = Task {
                config: task.config,
                ..Task::new()
            };
            if let Some(audio) = audio {
                pipeline.store.put(task.audio_key(), audio);
            }
            pipeline.producer.submit(std::slice::from_ref(&task));
            bad.push(task);
            if n % PER_GOOD == 0 {
                good.extend(pipeline.submit_recordings(&recordings, |task| task));
            }
        }
        pipeline
            .listener
            .wait_for_ends(alone.len() + bad.len() + good.len(), TIMEOUT);
        pipeline.check_ended_once(&good, TIMEOUT);
        for task in &good {
            assert_eq!(pipeline.output(task)["text"], expected["text"]);
        }
        for task in &bad {
            pipeline.check_failed(task, task);
        }
        assert_eq!(worker.program.ended(), None, "the worker has ended");
        check_no_secrets(&worker);
        let loads = parakeet::logged(&worker, "model_loaded_successfully");
        assert_eq!(loads.len(), 1, "no task was to break the engine: {loads:?}");

        let p99 = |times: &mut [Duration]| quantile(times, 0.99);
        println!(
            "{}: 20 good tasks alone end within p99 {:.2?}; {} good among {N_BAD} bad ones within p99 \
             {:.2?} of the first",
            contract.name(),
            p99(&mut alone_times),
            good.len(),
            p99(&mut pipeline.times(&good, begun)),
        );
    }
}

/// Bad tasks, each with its audio; `None` if the store has no audio.
fn bad_tasks() -> Vec<(Option<Vec<u8>>, Task)> {
    let audio = |name: &str| {
        let path = project().join("tests/data/audio").join(name);
        fs::read(path).expect("the recordings are part of the repository")
    };
    let flac = audio("pcm.flac");
    let mut wav = audio("pcm.wav");
    let mut bad = vec![(None, Task::new())];
    let unread = [
        "opus.opus",
        "opus.webm",
        "opus.mp4",
        "speex.spx",
        "wmav2.wma",
        "eac3.mp4",
        "ac3.mka",
        "video_only.mp4",
        "surround.m4a",
    ];
    bad.extend(unread.map(|name| (Some(audio(name)), Task::new())));
    let noise = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    let hostile = [
        Vec::new(),
        b"<html>404 Not Found</html>".to_vec(),
        noise.collect(),
        vec![0; 1 << 20],
        flac[..flac.len() / 10].to_vec(),
        [b"fLaC\x7f\xff\xff\xff".to_vec(), vec![b'a'; 1000]].concat(),
        wav[..44].to_vec(),
    ];
    bad.extend(hostile.map(|audio| (Some(audio), Task::new())));
    // A rate of 1 Hz, then 65535 channels.
    wav[24..28].copy_from_slice(&1_u32.to_le_bytes());
    bad.push((Some(wav.clone()), Task::new()));
    wav[22..24].copy_from_slice(&[0xff; 2]);
    bad.push((Some(wav), Task::new()));
    for (key, value) in [
        ("model", serde_json::json!(5)),
        ("model", "../../etc/passwd".into()),
        ("model", "nvidia/parakeet-rnnt-0.6b".into()),
        ("batch_size", 0.into()),
        ("batch_size", "many".into()),
        ("compute_type", "float8".into()),
        ("language", "de; drop".into()),
        ("segment_pause", (-1).into()),
        ("ignore_punctuation", "yes".into()),
    ] {
        bad.push((Some(flac.clone()), Task::new().with(key, value)));
    }
    bad
}
