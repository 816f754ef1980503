//! What configurations mean, from the files alone: who is Master, what each failure does, in what two files differ.
//!
//! | file | finds |
//! |---|---|
//! | [`seats`] | which nodes of which files elect one Master |
//! | [`outcome`] | who is Master while something fails, and within what time |
//! | [`differ`] | what two files say differently, and what comes of it |
//!
//! One stop before: `config::load`, once for each file. One stop after: `cli::explain`, which writes it out.

pub mod differ;
pub mod outcome;
pub mod seats;
#[cfg(test)]
mod tests;
