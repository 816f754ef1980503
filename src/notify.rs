//! Hooks: tells programs and pipes what happened, for each instance in order and one at a time.
//!
//! One stop before: `daemon::service`; one stop after: `child`.
