//! `child` and `track` with real programs, files and processes.
//!
//! What needs another user runs as root, or not at all: then a line that begins with SKIPPED is printed. Everything else
//! runs as anybody.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "measures what programs do in real time")]

mod audit;
mod child;
mod endurance;
mod exec;
mod file;
mod process;
mod world;
