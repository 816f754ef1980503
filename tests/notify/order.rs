//! Strictly in order, one at a time, the newest state last.

use std::time::Duration;

use tokio::time::sleep;
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::HookEvent;
use vrrpd::notify::HookNews;

use crate::stage::{Stage, WEB, entered, hooks, play, to_backup, to_master, until};

#[test]
fn fifty_transitions_in_a_second_end_with_the_last_state() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log begin $3 $VRRPD_SEQUENCE; sleep 0.1; log end $3 $VRRPD_SEQUENCE");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        for number in 0..50 {
            notifier.tell(&WEB, if number % 2 == 0 { to_backup() } else { to_master() });
            sleep(Duration::from_millis(20)).await;
        }
        until("last call", || stage.log().last().is_some_and(|line| line == "end MASTER 50")).await;
        let log = stage.log();
        let mut last = 0;
        for pair in log.chunks(2) {
            assert_eq!(pair[0].strip_prefix("begin"), pair[1].strip_prefix("end"), "calls overlap: {log:?}");
            let sequence = pair[0].rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            let state = if sequence % 2 == 1 { "BACKUP" } else { "MASTER" };
            assert!(sequence > last && pair[0].contains(state), "out of order: {log:?}");
            last = sequence;
        }
        let called = u64::try_from(log.len() / 2).unwrap();
        let status = notifier.status(&WEB).unwrap();
        assert_eq!((status.sequence, called + status.superseded), (50, 50));
        assert!(status.superseded >= 25, "a program of 100 ms cannot be called for {called} of 50 in a second");
        let skipped = stage.news().iter().filter(|news| matches!(news, HookNews::Superseded { .. })).count();
        assert_eq!(u64::try_from(skipped).unwrap(), status.superseded);
        // The clock of the test moves on with each report; nothing else comes.
        sleep(Duration::from_millis(300)).await;
        assert_eq!(stage.log().len(), log.len());
    });
}

#[test]
fn what_runs_is_let_finish_and_what_waits_is_replaced() {
    play(async |stage: Stage| {
        let master = stage.script("master", "while [ ! -e @/go ]; do sleep 0.02; done; log master");
        let any = stage.script("any", "log any $3");
        let notifier = stage.with(hooks([(HookEvent::Master, &master), (HookEvent::Any, &any)]));
        notifier.tell(&WEB, to_master());
        until("call", || notifier.status(&WEB).unwrap().last.is_some()).await;
        notifier.tell(&WEB, entered(StateName::Fault, StateName::Master));
        notifier.tell(&WEB, to_backup());
        std::fs::write(stage.path("go"), "").unwrap();
        // The rest of what was told of MASTER is skipped, and FAULT as a whole.
        assert_eq!(stage.lines(2).await, ["master", "any BACKUP"]);
        assert_eq!(notifier.status(&WEB).unwrap().superseded, 2);
    });
}

#[test]
fn a_state_without_programs_takes_the_place_of_what_waits() {
    play(async |stage: Stage| {
        let master = stage.script("master", "log master");
        let notifier = stage.with(hooks([(HookEvent::Master, &master)]));
        notifier.tell(&WEB, to_master());
        notifier.tell(&WEB, to_backup());
        sleep(Duration::from_millis(200)).await;
        assert!(stage.log().is_empty());
        let state = notifier.status(&WEB).unwrap();
        assert_eq!((state.superseded, state.sequence), (1, 2));
    });
}
