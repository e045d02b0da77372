//! What std does not offer about this process: an end without destructors, and the standard output at its start.

#![expect(
    unsafe_code,
    reason = "never 7 of ARCHITECTURE.md allows it in this file"
)]

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the process at once. No buffer is written and no destructor runs.
///
/// `std::process::exit` runs the destructors of libtorch, which free what other threads still use: with it one of 25
/// runs that a signal ended in the middle crashed with SIGSEGV.
pub(crate) fn end(code: u8) -> ! {
    signal_hook::low_level::exit(code.into())
}

/// Whether the standard output was open when the process started.
///
/// Rust's runtime opens `/dev/null` in place of a closed standard output before `main` runs. A program therefore
/// cannot see later that nobody receives its output.
pub fn stdout_was_open() -> bool {
    STDOUT_WAS_OPEN.load(Ordering::Relaxed)
}

static STDOUT_WAS_OPEN: AtomicBool = AtomicBool::new(true);

extern "C" fn look_at_stdout() {
    let copy = io::stdout().as_fd().try_clone_to_owned();
    STDOUT_WAS_OPEN.store(copy.is_ok(), Ordering::Relaxed);
}

/// The loader of the program calls the functions in this section before `main`, and so before Rust's runtime.
// SAFETY: the section has pointers to functions that take nothing (or arguments that C functions may ignore) and
// return nothing. `look_at_stdout` uses nothing that Rust's runtime sets up, and does not panic.
#[used]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = look_at_stdout;
