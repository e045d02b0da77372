//! Replays what Dalston sent, and holds what we write against what it accepted.

mod events;
mod hostile;
mod outputs;
mod recorded;
mod registry;
mod requests;
mod shapes;
