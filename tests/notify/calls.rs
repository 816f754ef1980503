//! What a program is told, and in which order programs are called.

use vrrpd::child::How;
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{HookEvent, Hooks, NodeHooks};
use vrrpd::notify::{Cause, HookNews, ToldState};

use crate::stage::{Stage, WEB, entered, group, group_named, hooks, instance, play, to_backup, to_master, until};

#[test]
fn the_specific_program_comes_first_and_gets_nothing_appended() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log any $# \"$*\"");
        let master = stage.script("master", "sleep 0.1; log master $# \"$*\"");
        let notifier = stage.with(hooks([(HookEvent::Any, &any), (HookEvent::Master, &master)]));
        notifier.tell(&WEB, to_master());
        assert_eq!(stage.lines(2).await, ["master 0 ", "any 4 INSTANCE web MASTER 101"]);
    });
}

#[test]
fn configured_words_come_before_the_appended_ones() {
    play(async |stage: Stage| {
        let mut any = stage.script("any", "log \"$0\" $# \"$1|$2|$3|$4|$5|$6\"");
        let path = stage.path("any").display().to_string();
        any.words.extend(["-x".to_owned(), "two words".to_owned()]);
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        notifier.tell(&WEB, to_backup());
        assert_eq!(stage.lines(1).await, [format!("{path} 6 -x|two words|INSTANCE|web|BACKUP|101")]);
    });
}

#[test]
fn each_state_calls_its_own_program() {
    play(async |stage: Stage| {
        let script = |name| stage.script(name, &format!("log {name}"));
        let (master, backup, fault) = (script("master"), script("backup"), script("fault"));
        let (stop, deleted, lower) = (script("stop"), script("deleted"), script("lower"));
        let notifier = stage.with(hooks([
            (HookEvent::Deleted, &deleted),
            (HookEvent::MasterHearsLower, &lower),
            (HookEvent::Stop, &stop),
            (HookEvent::Fault, &fault),
            (HookEvent::Backup, &backup),
            (HookEvent::Master, &master),
        ]));
        for (count, state) in [StateName::Fault, StateName::Backup, StateName::Master].into_iter().enumerate() {
            notifier.tell(&WEB, entered(state, StateName::Fault));
            stage.lines(count + 1).await;
        }
        notifier.tell(&WEB, entered(StateName::Init, StateName::Master));
        notifier.stop(crate::stage::PATIENCE).await;
        assert_eq!(stage.log(), ["fault", "backup", "master", "stop"]);
    });
}

#[test]
fn a_group_is_told_as_one() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log \"$*\" $VRRPD_TYPE $VRRPD_PRIORITY \"[$VRRPD_VIRTUAL_ROUTER_ID]\"");
        let notifier = stage.notifier(NodeHooks::default());
        notifier.subscribe(vec![group("front", hooks([(HookEvent::Any, &any)]))]);
        let occasion = vrrpd::notify::Occasion { priority: None, ..to_master() };
        notifier.tell(&group_named("front"), occasion);
        assert_eq!(stage.lines(1).await, ["GROUP front MASTER 0 GROUP 0 []"]);
    });
}

#[test]
fn the_environment_says_what_happened() {
    play(async |stage: Stage| {
        let any = stage.script("any", "env | grep ^VRRPD_ | sort >@/env; log done");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        notifier.tell(&WEB, to_backup());
        stage.lines(1).await;
        notifier.tell(&WEB, to_master());
        stage.lines(2).await;
        let environment = std::fs::read_to_string(stage.path("env")).unwrap();
        let expected = "VRRPD_ADDRESSES=10.0.0.30/24 2001:db8::30/64\nVRRPD_ATTEMPT=1\nVRRPD_CAUSE=transition\n\
            VRRPD_INTERFACE=eth0\nVRRPD_MASTER=10.0.0.20\nVRRPD_NAME=web\nVRRPD_NODE=lb1\nVRRPD_PREVIOUS_STATE=BACKUP\n\
            VRRPD_PRIORITY=101\nVRRPD_REASON=master resigned\nVRRPD_SEQUENCE=2\nVRRPD_STATE=MASTER\nVRRPD_TYPE=INSTANCE\n\
            VRRPD_VIRTUAL_ROUTER_ID=51\n";
        assert_eq!(environment, expected);
    });
}

#[test]
fn what_is_entered_from_init_is_a_start() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $VRRPD_CAUSE $VRRPD_PREVIOUS_STATE");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        notifier.tell(&WEB, entered(StateName::Backup, StateName::Init));
        assert_eq!(stage.lines(1).await, ["start INIT"]);
    });
}

#[test]
fn subjects_do_not_wait_for_each_other() {
    play(async |stage: Stage| {
        let slow = stage.script("slow", "while [ ! -e @/go ]; do sleep 0.02; done; log slow");
        let fast = stage.script("fast", "log fast; : >@/go");
        let notifier = stage.notifier(NodeHooks::default());
        let with = |key, name, command| instance(key, name, hooks([(HookEvent::Master, command)]));
        notifier.subscribe(vec![with(1, "web", &slow), with(2, "db", &fast)]);
        notifier.tell(&WEB, to_master());
        notifier.tell(&vrrpd::notify::Subject::Instance(vrrpd::engine::input::RouterKey(2)), to_master());
        assert_eq!(stage.lines(2).await, ["fast", "slow"]);
    });
}

#[test]
fn status_says_how_the_last_call_ended() {
    play(async |stage: Stage| {
        let any = stage.script("any", "while [ ! -e @/go ]; do sleep 0.02; done; echo no route; exit 3");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        assert!(notifier.status(&WEB).unwrap().last.is_none());
        notifier.tell(&WEB, to_master());
        until("call", || notifier.status(&WEB).unwrap().last.is_some()).await;
        let call = notifier.status(&WEB).unwrap().last.unwrap();
        assert_eq!((call.ended, call.sequence, call.attempt, call.state), (None, 1, 1, ToldState::Master));
        std::fs::write(stage.path("go"), "").unwrap();
        until("end", || notifier.status(&WEB).unwrap().failures > 0).await;
        let status = notifier.status(&WEB).unwrap();
        let call = status.last.unwrap();
        let (ended_at, ended) = call.ended.unwrap();
        assert_eq!((ended.how, ended.last_line.as_str()), (How::Exited(3), "no route"));
        assert!(ended_at.mono > call.began_at.mono);
        assert_eq!((status.failures, status.superseded, status.state), (1, 0, Some(ToldState::Master)));
        assert_eq!(
            stage.reported(),
            ["VRRP_Instance(web) /bin/sh for MASTER failed: exit status 3 (no route); again in 1s"]
        );
    });
}

#[test]
fn status_shows_the_failed_call_and_not_the_good_one_after_it() {
    play(async |stage: Stage| {
        let (bad, good) = (stage.script("bad", "exit 7"), stage.script("good", "log good"));
        let notifier = stage.with(hooks([(HookEvent::Master, &bad), (HookEvent::Any, &good)]));
        notifier.tell(&WEB, to_master());
        until("round", || notifier.status(&WEB).unwrap().failures > 0).await;
        assert_eq!(stage.log(), ["good"]);
        let call = notifier.status(&WEB).unwrap().last.unwrap();
        assert_eq!((call.event, call.ended.unwrap().1.how), (HookEvent::Master, How::Exited(7)));
    });
}

#[test]
fn a_program_that_hangs_is_killed_and_reported() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $$; sleep 60");
        let timeout = std::time::Duration::from_millis(300);
        let notifier = stage.with(Hooks { timeout, ..hooks([(HookEvent::Any, &any)]) });
        notifier.tell(&WEB, to_master());
        until("timeout", || notifier.status(&WEB).unwrap().failures > 0).await;
        assert!(matches!(&stage.news()[0], HookNews::Failed { ended, .. } if ended.how == How::TimedOut));
        let pid = stage.log()[0].clone();
        until("end of the program", || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    });
}

#[test]
fn a_subject_without_hooks_has_no_status() {
    play(async |stage: Stage| {
        let notifier = stage.with(Hooks::default());
        notifier.tell(&WEB, to_master());
        notifier.repeat(&WEB, Cause::Rivalry);
        assert!(notifier.status(&WEB).is_none());
        assert!(stage.reported().is_empty());
    });
}

#[test]
fn startup_and_shutdown_are_waited_for_and_stop_nothing() {
    play(async |stage: Stage| {
        let timeout = std::time::Duration::from_secs(10);
        let hook = |command| Some(vrrpd::engine::params::DaemonHook { command, timeout });
        let startup = hook(stage.script("up", "sleep 0.2; log up $VRRPD_NODE"));
        let shutdown = hook(stage.script("down", "log down; exit 1"));
        let notifier = stage.notifier(NodeHooks { startup, shutdown, ..NodeHooks::default() });
        notifier.startup().await;
        assert_eq!(stage.log(), ["up lb1"]);
        notifier.shutdown().await;
        assert_eq!(stage.log(), ["up lb1", "down"]);
        assert_eq!(stage.reported(), ["/bin/sh failed: exit status 1"]);
    });
}
