//! The queue and the store on real servers, with workers that run a scripted engine: no libtorch.
//!
//! All of these tests are one program, because each test program links the whole SDK once more. The tests share
//! the S3 server and start everything else themselves.

mod acl;
mod bad_tasks;
mod cluster;
mod drain;
mod eviction;
mod failover;
mod failpoints;
mod hangs;
mod kills;
mod outages;
mod pending_entries;
mod queue_contract;
mod queue_ends;
mod referee;
mod refusals;
mod tls;
mod trace;
mod workers;

/// The worker with the scripted engine.
///
/// The path is taken here and not in the library, because cargo sets the variable for tests of the package
/// only.
const ENGINE: &str = env!("CARGO_BIN_EXE_scripted_engine");
