//! Runs a program; exit status 0 passes.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Outcome;
use super::schedule::span;
use crate::child::{Call, Ended, How, run};
use crate::engine::params::{Command, Scripts};

/// Runs it once; returns at the timeout, whatever the program does.
pub(super) async fn probe(command: &Command, scripts: &Scripts, timeout: Duration) -> Outcome {
    outcome(run(Call { command, scripts, appended: &[], environment: &[], timeout }).await, timeout)
}

fn outcome(Ended { how, last_line }: Ended, timeout: Duration) -> Outcome {
    let words = match how {
        // What it said is left out: it may be different each time, and nobody has to act.
        How::Exited(0) => return Outcome::passed("exit status 0"),
        How::Exited(code) => format!("exit status {code}"),
        How::Signaled(number) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_unnamed) => format!("killed by signal {number}"),
        },
        How::TimedOut => format!("timed out after {}", span(timeout)),
        How::NotStarted(why) => return Outcome::failed(format!("cannot run: {why}")),
    };
    Outcome::failed(if last_line.is_empty() { words } else { format!("{words}: {last_line}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::input::CheckResult;

    #[test]
    fn only_exit_status_0_passes_and_the_words_say_how_it_ended() {
        let cases = [
            (How::Exited(0), "x", CheckResult::Passed, "exit status 0"),
            (How::Exited(1), "no route", CheckResult::Failed, "exit status 1: no route"),
            (How::Exited(255), "", CheckResult::Failed, "exit status 255"),
            (How::Signaled(11), "", CheckResult::Failed, "killed by SIGSEGV"),
            (How::Signaled(40), "", CheckResult::Failed, "killed by signal 40"),
            (How::TimedOut, "", CheckResult::Failed, "timed out after 500 ms"),
            (How::TimedOut, "waiting", CheckResult::Failed, "timed out after 500 ms: waiting"),
            (How::NotStarted("gone".to_owned()), "", CheckResult::Failed, "cannot run: gone"),
        ];
        for (how, line, result, words) in cases {
            let ended = Ended { how, last_line: line.to_owned() };
            assert_eq!(outcome(ended, Duration::from_millis(500)), Outcome { result, words: words.to_owned() });
        }
    }
}
