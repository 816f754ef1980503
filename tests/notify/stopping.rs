//! The end: everybody is told, waited for within a bound, and nothing goes on.

use std::path::Path;
use std::time::Duration;

use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{HookEvent, Hooks, NodeHooks};
use vrrpd::notify::{HookNews, ToldState};

use crate::stage::{PATIENCE, Stage, WEB, entered, group, hooks, instance, play, to_backup, to_master, until};

#[test]
fn instances_are_told_before_groups_and_all_are_waited_for() {
    play(async |stage: Stage| {
        let any = stage.script("any", "sleep 0.2; log \"$*\" $VRRPD_PREVIOUS_STATE $VRRPD_REASON");
        let stop = stage.script("stop", "log stop $#");
        let notifier = stage.notifier(NodeHooks::default());
        let all = hooks([(HookEvent::Any, &any), (HookEvent::Stop, &stop)]);
        notifier.subscribe(vec![group("front", all.clone()), instance(1, "web", all)]);
        notifier.tell(&WEB, to_backup());
        stage.lines(1).await;
        notifier.tell(&WEB, entered(StateName::Init, StateName::Backup));
        notifier.stop(PATIENCE).await;
        let expected = [
            "INSTANCE web BACKUP 101 MASTER master resigned",
            "stop 0",
            "INSTANCE web STOP 101 BACKUP stopping",
            "stop 0",
            "GROUP front STOP 0 INIT stopping",
        ];
        assert_eq!(stage.log(), expected);
    });
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    play(async |stage: Stage| {
        let stop = stage.script("stop", "trap '' TERM; log $$; for i in 1 2 3 4 5 6; do sleep 10; done");
        let notifier = stage.with(hooks([(HookEvent::Stop, &stop)]));
        notifier.stop(Duration::from_secs(2)).await;
        assert_eq!(stage.news(), [HookNews::Killed { state: ToldState::Stop }]);
        let pid = stage.log()[0].clone();
        until("end of the program", || !is_alive(&pid)).await;
    });
}

#[test]
fn a_program_that_hangs_in_another_state_does_not_keep_stop_from_being_told() {
    play(async |stage: Stage| {
        let master = stage.script("master", "log $$; sleep 60");
        let stop = stage.script("stop", "log stop");
        let notifier = stage.with(hooks([(HookEvent::Master, &master), (HookEvent::Stop, &stop)]));
        notifier.tell(&WEB, to_master());
        let pid = stage.lines(1).await[0].clone();
        notifier.stop(Duration::from_secs(6)).await;
        assert_eq!(stage.log()[1..], ["stop"]);
        assert_eq!(stage.news(), [HookNews::Killed { state: ToldState::Master }]);
        until("end of the program", || !is_alive(&pid)).await;
    });
}

#[test]
fn a_program_that_hangs_in_an_instance_leaves_time_for_the_groups() {
    play(async |stage: Stage| {
        let hung = stage.script("hung", "sleep 60");
        let stop = stage.script("stop", "log stop $VRRPD_NAME");
        let notifier = stage.notifier(NodeHooks::default());
        let calls = |command| hooks([(HookEvent::Stop, command)]);
        notifier.subscribe(vec![instance(1, "web", calls(&hung)), group("front", calls(&stop))]);
        notifier.stop(Duration::from_secs(4)).await;
        assert_eq!(stage.log(), ["stop front"]);
    });
}

#[test]
fn nothing_is_told_afterwards() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $3; exit 1");
        let refresh = Some(Duration::from_millis(50));
        let notifier = stage.with(Hooks { refresh, ..hooks([(HookEvent::Any, &any)]) });
        notifier.stop(PATIENCE).await;
        notifier.tell(&WEB, to_master());
        notifier.subscribe(vec![instance(1, "web", hooks([(HookEvent::Any, &any)]))]);
        notifier.tell(&WEB, to_master());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(stage.log(), ["STOP"]);
    });
}

#[test]
fn dropping_kills_what_runs() {
    play(async |stage: Stage| {
        let master = stage.script("master", "log $$; sleep 60");
        let notifier = stage.with(hooks([(HookEvent::Master, &master)]));
        notifier.tell(&WEB, to_master());
        let pid = stage.lines(1).await[0].clone();
        assert!(is_alive(&pid));
        drop(notifier);
        until("end of the program", || !is_alive(&pid)).await;
    });
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}
