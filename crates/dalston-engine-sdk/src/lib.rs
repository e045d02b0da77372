//! How an engine lives in the Dalston pipeline, whatever it computes.
//!
//! [`audio`] turns a file of any common format into the one waveform every speech engine wants.

pub mod audio;
