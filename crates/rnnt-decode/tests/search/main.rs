//! Tests of the search, on networks that answer by a script.

mod properties;
mod rules;
mod scripted;
mod window;
