//! What a router is worth when certain checks fail: the arithmetic of `engine::health` without a running node.
//!
//! One stop before: `config::explain`.

use std::sync::Arc;

use super::health::{Check, Health};
use super::output::{Reason, Verdict};
use super::params::{CheckKind, CheckParams, FileSense, RouterParams};
use crate::wire::field::Priority;

/// Returns the effective priority of a router while the checks that `fails` names fail and all others pass, or what
/// keeps it in FAULT.
///
/// A file with a number counts as 0. Never panics.
pub fn standing(
    params: &RouterParams,
    checks: &[Arc<CheckParams>],
    fails: impl Fn(&str) -> bool,
) -> Result<Priority, Reason> {
    let settled = |params: &Arc<CheckParams>| {
        let mut check = Check::new(Arc::clone(params));
        check.verdict = match params.kind {
            CheckKind::File { sense: FileSense::Number, .. } => Verdict::Number(0),
            _ if fails(&params.name) => Verdict::Failing,
            _ => Verdict::Passing,
        };
        check
    };
    let checks: Vec<Check> = checks.iter().map(settled).collect();
    let health = Health::new(params.priority, &params.tracks, |name| checks.iter().find(|check| *check.name == *name));
    match health.failure() {
        Some(failure) => Err(failure),
        None => Ok(health.effective()),
    }
}
