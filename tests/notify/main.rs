//! `notify` with real programs: small shell scripts that write down what they are told.
//!
//! Each test has a folder of its own, and waits for what a script wrote, with a generous bound.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "programs run in real time")]

mod calls;
mod level;
mod order;
mod pipes;
mod reload;
mod stage;
mod stopping;
