//! Three hundred files in one call: one load, flat memory, no slowing down.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::program::{TINY, recordings, run, transcribe};

/// What `transcribe --batch-size 1` does with files, as seen from outside, line by line.
#[derive(Default)]
struct Course {
    lines: Vec<String>,
    /// Seconds since the line before.
    took: Vec<f64>,
    /// Ticks of processor time since the start.
    cpu_ticks: Vec<u64>,
    /// Resident memory.
    memory_kib: Vec<u64>,
}

fn watch(files: &[PathBuf]) -> Course {
    let mut command = transcribe();
    command
        .args(["--model", TINY, "--batch-size", "1"])
        .args(files);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut course = Course::default();
    let mut before = Instant::now();
    for line in stdout.lines() {
        course.lines.push(line.expect("all output is UTF-8"));
        course.took.push(before.elapsed().as_secs_f64());
        before = Instant::now();
        course.cpu_ticks.extend(cpu_ticks(&process));
        course.memory_kib.extend(memory_kib(&process));
    }
    assert!(child.wait().expect("it ends").success());
    course
}

/// Time in user and in kernel mode: the fourteenth and fifteenth field of `stat`, which begins with a
/// name in brackets.
fn cpu_ticks(process: &Path) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn memory_kib(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    resident.trim().strip_suffix(" kB")?.parse().ok()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn three_hundred_files_in_one_call_cost_no_more_each_than_one_hundred() {
    // The same hundred three times, so that files 11 to 110 and 201 to 300 are the same ones.
    let hundred = &recordings()[..100];
    let course = watch(&[hundred, hundred, hundred].concat());
    assert_eq!(course.lines.len(), 300);
    assert_eq!(course.lines[..100], course.lines[200..]);
    let (early, late) = (median(&course.took[10..110]), median(&course.took[200..]));
    println!(
        "median time: {:.1} ms of files 11 to 110, {:.1} ms of 201 to 300",
        early * 1e3,
        late * 1e3
    );

    // Tests run side by side, so wall clocks tell little; processor time and memory tell all.
    if let ([.., _], [.., _]) = (&course.cpu_ticks[..], &course.memory_kib[..]) {
        let ticks = |from: usize, to: usize| course.cpu_ticks[to - 1] - course.cpu_ticks[from - 1];
        let (early, late) = (ticks(10, 110), ticks(200, 300));
        println!("processor time: {early} ticks for files 11 to 110, {late} for 201 to 300");
        assert!(
            late <= early + early / 4,
            "{early} ticks for files 11 to 110, {late} for 201 to 300"
        );
        let (early, late) = (course.memory_kib[99], course.memory_kib[299]);
        println!("resident memory: {early} KiB after 100 files, {late} KiB after 300");
        assert!(
            late <= early + early / 10,
            "{early} KiB after 100 files, {late} KiB after 300"
        );
    }
}

#[test]
fn true_batches_print_what_single_files_print() {
    let files = recordings();
    let [single, batched] = ["1", "32"].map(|batch_size| {
        run(transcribe()
            .args(["--model", TINY, "--stats", "--batch-size", batch_size])
            .args(&files))
    });
    assert_eq!((single.code, batched.code), (Some(0), Some(0)));
    let names: Vec<_> = batched
        .stdout
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        names,
        files
            .iter()
            .filter_map(|file| file.to_str())
            .collect::<Vec<_>>()
    );
    for (single, batched) in single.stdout.lines().zip(batched.stdout.lines()) {
        assert_eq!(single, batched);
    }
    let calls = |stats: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix("batches"));
        line.and_then(|line| line.trim().parse::<usize>().ok())
            .expect("stats count batches")
    };
    // Some recordings are longer than a chunk.
    let n_chunks = calls(&single.stderr);
    assert!(n_chunks >= files.len(), "{n_chunks} batches");
    assert_eq!(calls(&batched.stderr), n_chunks.div_ceil(32));
    println!("{}", batched.stderr);
}
