//! Runs programs and reports which one failed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How often a command is asked whether it has ended.
const POLL: Duration = Duration::from_millis(50);

/// Runs a command. Its output goes to the output of this process.
///
/// # Errors
///
/// When the command cannot be started or does not end with success; the error shows the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// Runs a command and returns its standard output. Its standard error goes to that of this process.
///
/// # Errors
///
/// As for [`run`], and when the output is not UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| cannot_start(command))?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}",
        shown(command),
        output.status
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no UTF-8", shown(command)))
}

/// Runs a command, prints both of its outputs as one stream to standard output, and calls `on_line` with each
/// line as it appears. Returns how the command ended.
///
/// # Errors
///
/// When the command cannot be started or its output cannot be read. A command that fails is no error here.
pub(crate) fn watch(mut command: Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| cannot_start(&command))?;
    // `command` holds copies of the writing end of the pipe. The reader sees the end of the stream only once
    // every copy is closed, the child's included.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        on_line(&line);
    }
    Ok(child.wait()?)
}

/// Runs a command as [`run`] does. Calls `meanwhile` at every `interval` until the command ends.
///
/// # Errors
///
/// As for [`run`].
pub(crate) fn run_watched(
    command: &mut Command,
    interval: Duration,
    mut meanwhile: impl FnMut(),
) -> Result<()> {
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    let mut next = Instant::now() + interval;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(POLL);
        if Instant::now() >= next {
            meanwhile();
            next += interval;
        }
    };
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// Runs a command that may fail, without its standard error, and returns its standard output: at most 64 KiB, which
/// a pipe holds. `None` if the command cannot be started, fails, or takes longer than `limit`, after which it is
/// killed.
pub(crate) fn capture_within(command: &mut Command, limit: Duration) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let end = Instant::now() + limit;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= end {
            child.kill().ok()?;
            child.wait().ok()?;
            return None;
        }
        thread::sleep(POLL);
    }
    let output = child.wait_with_output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().display())
}

fn shown(command: &Command) -> String {
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let program = command.get_program().to_string_lossy();
    std::iter::once(program)
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command_and_its_end() {
        let error = run(&mut shell("exit 3")).unwrap_err().to_string();
        assert_eq!(error, "`sh -c exit 3` ended with exit status: 3");
    }

    #[test]
    fn an_absent_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program`");
    }

    #[test]
    fn both_outputs_are_watched_in_order() {
        let mut lines = Vec::new();
        let status = watch(
            shell("echo one; echo two >&2; printf three; exit 5"),
            |line| {
                lines.push(line.to_owned());
            },
        );
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(status.unwrap().code(), Some(5));
    }

    #[test]
    fn a_command_is_watched_until_it_ends() {
        let mut n_calls = 0;
        let every = Duration::from_millis(100);
        run_watched(&mut shell("sleep 1"), every, || n_calls += 1).unwrap();
        // Ten on an idle machine.
        assert!((2..=11).contains(&n_calls), "{n_calls}");
        let error = run_watched(&mut shell("exit 3"), every, || ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c exit 3` ended with exit status: 3"
        );
    }

    #[test]
    fn a_command_that_takes_too_long_or_fails_captures_nothing() {
        let limit = Duration::from_secs(60);
        let captured = capture_within(&mut shell("echo heard"), limit);
        assert_eq!(captured.as_deref(), Some("heard\n"));
        assert_eq!(
            capture_within(&mut shell("echo heard; exit 1"), limit),
            None
        );
        let started = Instant::now();
        let mut slow = shell("exec sleep 60");
        assert_eq!(capture_within(&mut slow, Duration::from_millis(1)), None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn only_standard_output_is_captured() {
        assert_eq!(
            capture(&mut shell("echo heard; echo lost >&2")).unwrap(),
            "heard\n"
        );
    }
}
