//! What becomes of subjects when the configuration is another one.

use std::sync::Arc;

use vrrpd::engine::params::{HookEvent, Hooks, NodeHooks};
use vrrpd::notify::ToldState;

use crate::stage::{Stage, WEB, group, group_named, hooks, instance, play, to_backup, to_master, until};

#[test]
fn a_removed_subject_is_told_fault() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log \"$*\" $VRRPD_PREVIOUS_STATE $VRRPD_REASON");
        let notifier = stage.with(hooks([(HookEvent::Any, &any)]));
        notifier.tell(&WEB, to_master());
        stage.lines(1).await;
        notifier.subscribe(Vec::new());
        assert_eq!(stage.lines(2).await[1], "INSTANCE web FAULT 101 MASTER removed by a reload");
        assert!(notifier.status(&WEB).is_none());
        notifier.tell(&WEB, to_backup());
        notifier.stop(crate::stage::PATIENCE).await;
        assert_eq!(stage.log().len(), 2);
    });
}

#[test]
fn a_removed_subject_with_a_program_for_it_is_told_deleted() {
    play(async |stage: Stage| {
        let deleted = stage.script("deleted", "log deleted $#");
        let any = stage.script("any", "log any $3");
        let all = hooks([(HookEvent::Any, &any), (HookEvent::Deleted, &deleted)]);
        let notifier = stage.notifier(NodeHooks::default());
        notifier.subscribe(vec![group("front", all)]);
        notifier.tell(&group_named("front"), to_master());
        stage.lines(1).await;
        notifier.subscribe(Vec::new());
        assert_eq!(stage.lines(3).await, ["any MASTER", "deleted 0", "any DELETED"]);
    });
}

#[test]
fn a_subject_that_stays_is_told_nothing() {
    play(async |stage: Stage| {
        let (before, after) = (stage.script("before", "log before $3"), stage.script("after", "log after $2 $3"));
        let notifier = stage.with(hooks([(HookEvent::Any, &before)]));
        notifier.tell(&WEB, to_master());
        stage.lines(1).await;
        // The same key under another name is the same instance.
        notifier.subscribe(vec![instance(1, "shop", hooks([(HookEvent::Any, &after)]))]);
        notifier.tell(&WEB, to_backup());
        assert_eq!(stage.lines(2).await, ["before MASTER", "after shop BACKUP"]);
        assert_eq!(notifier.status(&WEB).unwrap().sequence, 2);
    });
}

#[test]
fn a_program_that_takes_the_place_of_a_failed_one_is_called() {
    play(async |stage: Stage| {
        let (bad, good) = (stage.script("bad", "exit 1"), stage.script("good", "log good $VRRPD_STATE"));
        let notifier = stage.with(hooks([(HookEvent::Master, &bad)]));
        notifier.tell(&WEB, to_master());
        until("failure", || notifier.status(&WEB).unwrap().failures > 0).await;
        notifier.subscribe(vec![instance(1, "web", hooks([(HookEvent::Master, &good)]))]);
        assert_eq!(stage.lines(1).await, ["good MASTER"]);
        until("recovery", || notifier.status(&WEB).unwrap().failures == 0).await;
    });
}

#[test]
fn hooks_that_a_reload_brings_are_called_from_then_on() {
    play(async |stage: Stage| {
        let any = stage.script("any", "log $3");
        let notifier = stage.with(Hooks::default());
        notifier.tell(&WEB, to_master());
        notifier.reconfigure(Arc::new(NodeHooks { scripts: crate::stage::ourselves(), ..NodeHooks::default() })).await;
        notifier.subscribe(vec![instance(1, "web", hooks([(HookEvent::Any, &any)]))]);
        assert_eq!(notifier.status(&WEB).unwrap().state, Some(ToldState::Master));
        notifier.tell(&WEB, to_backup());
        assert_eq!(stage.lines(1).await, ["BACKUP"]);
    });
}
