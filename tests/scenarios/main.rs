//! Directed stories on the simulated segment, with exact times: every packet takes 200 us, every VIP batch 300 us, and
//! the loop is never late unless a story says so.

mod adoption;
mod checks;
mod drain;
mod explained;
mod faults;
mod groups;
mod handover;
mod offer;
mod ownership;
mod pause;
mod preempt;
mod rivalry;
mod story;
mod takeover;

#[path = "../simulator/mod.rs"]
mod simulator;
