//! The state is told, not the change: again when it failed, when there was a rival, and from time to time.

use std::time::Duration;

use tokio::time::sleep;
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{HookEvent, Hooks};
use vrrpd::notify::{Cause, HookNews, ToldState};

use crate::stage::{Stage, WEB, entered, hooks, play, to_backup, to_master, until};

#[test]
fn a_failed_program_is_called_again_until_it_succeeds() {
    play(async |stage: Stage| {
        let bad = stage.script("bad", "log bad $VRRPD_ATTEMPT $VRRPD_CAUSE $VRRPD_SEQUENCE; [ $VRRPD_ATTEMPT = 3 ]");
        let good = stage.script("good", "log good");
        let notifier = stage.with(hooks([(HookEvent::Master, &bad), (HookEvent::Any, &good)]));
        notifier.tell(&WEB, to_master());
        // The one that succeeded is left alone.
        let expected = ["bad 1 transition 1", "good", "bad 2 retry 1", "bad 3 retry 1"];
        assert_eq!(stage.lines(4).await, expected);
        until("recovery", || notifier.status(&WEB).unwrap().failures == 0).await;
        assert_eq!(stage.news().last(), Some(&HookNews::Recovered { state: ToldState::Master, failures: 2 }));
    });
}

#[test]
fn a_failed_program_is_let_be_when_the_state_is_over() {
    play(async |stage: Stage| {
        let master = stage.script("master", "log master; exit 1");
        let notifier = stage.with(hooks([(HookEvent::Master, &master)]));
        notifier.tell(&WEB, to_master());
        until("failure", || notifier.status(&WEB).unwrap().failures == 1).await;
        notifier.tell(&WEB, to_backup());
        assert_eq!(notifier.status(&WEB).unwrap().failures, 0);
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(stage.log(), ["master"]);
    });
}

#[test]
fn init_ends_what_was_going_on() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $3; exit 1");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        notifier.tell(&WEB, to_backup());
        until("failure", || notifier.status(&WEB).unwrap().failures == 1).await;
        notifier.tell(&WEB, entered(StateName::Init, StateName::Backup));
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(stage.log(), ["BACKUP"]);
    });
}

#[test]
fn a_master_that_met_a_rival_is_told_again() {
    play(async |stage: Stage| {
        let lower = stage.script("lower", "log lower $#");
        let any = stage.script("any", "log any $3 $VRRPD_CAUSE $VRRPD_SEQUENCE");
        let notifier = stage.with(hooks([(HookEvent::Any, &any), (HookEvent::MasterHearsLower, &lower)]));
        notifier.tell(&WEB, to_backup());
        stage.lines(1).await;
        notifier.repeat(&WEB, Cause::Rivalry);
        notifier.tell(&WEB, to_master());
        stage.lines(2).await;
        notifier.repeat(&WEB, Cause::Rivalry);
        notifier.repeat(&WEB, Cause::Rivalry);
        let expected = ["any BACKUP transition 1", "any MASTER transition 2", "lower 0", "any MASTER rivalry 2"];
        assert_eq!(stage.lines(4).await, expected);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(stage.log(), expected);
        assert_eq!(notifier.status(&WEB).unwrap().superseded, 0);
    });
}

#[test]
fn the_state_is_told_again_from_time_to_time() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $3 $VRRPD_CAUSE");
        let refresh = Some(Duration::from_millis(100));
        let notifier = stage.with(Hooks { refresh, ..hooks([(HookEvent::Any, &any)]) });
        notifier.tell(&WEB, to_master());
        assert_eq!(stage.lines(3).await[..3], ["MASTER transition", "MASTER refresh", "MASTER refresh"]);
        notifier.tell(&WEB, to_backup());
        until("BACKUP", || stage.log().contains(&"BACKUP refresh".to_owned())).await;
        let log = stage.log();
        let first = log.iter().position(|line| line.starts_with("BACKUP")).unwrap();
        assert!(log[first..].iter().all(|line| line.starts_with("BACKUP")), "{log:?}");
    });
}

/// The later pauses are those of `back_off`, which has a test of its own.
#[test]
fn a_failed_program_is_not_called_again_too_soon() {
    play(async |stage: Stage| {
        let bad = stage.script("bad", "log $VRRPD_ATTEMPT; exit 1");
        let notifier = stage.with(hooks([(HookEvent::Master, &bad)]));
        let start = std::time::Instant::now();
        notifier.tell(&WEB, to_master());
        assert_eq!(stage.lines(3).await, ["1", "2", "3"]);
        assert!(start.elapsed() >= Duration::from_secs(3), "1 s, then 2 s");
    });
}
