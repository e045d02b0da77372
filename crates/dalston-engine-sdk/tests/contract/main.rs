//! Reads the messages that Dalston sent, and compares what the SDK writes with what Dalston accepted.

mod events;
mod hostile;
mod outputs;
mod recorded;
mod registry;
mod requests;
mod shapes;
