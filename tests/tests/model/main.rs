//! The tiny model through libtorch: in this process, on the command line, and in workers on real servers.
//!
//! One program for all of these tests, because each test program links libtorch once more. The tests that
//! load the model into this process set libtorch to one thread, which is a setting of the whole process.

mod failures;
mod golden_tokens;
mod long_audio;
mod tiny_300;
mod verify;
mod worker_bad_tasks;
mod worker_kills;
mod worker_models;
mod worker_process;
mod worker_soak;
mod worker_task_batch;
mod worker_transcripts;
