//! Named pipes: every line in order, none waited for, and readers that are kept running.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{FifoParams, HookEvent, Hooks, NodeHooks, UserParams};
use vrrpd::notify::{Cause, HookNews, Notifier, Occasion};
use vrrpd::wire::field::Priority;

use crate::stage::{
    PATIENCE, Stage, WEB, entered, group, group_named, hooks, instance, play, to_backup, to_master, until,
};

#[test]
fn each_occasion_is_one_line_at_once_and_in_order() {
    play(async |stage: Stage| {
        let slow = stage.script("slow", "sleep 60");
        let notifier = with_pipe(&stage, hooks([(HookEvent::Any, &slow)]));
        notifier.startup().await;
        let mut reader = reader(&stage.path("fifo"));
        let mut expected = String::new();
        for number in 0..50 {
            let (occasion, word) = if number % 2 == 0 { (to_backup(), "BACKUP") } else { (to_master(), "MASTER") };
            notifier.tell(&WEB, occasion);
            expected += &format!("INSTANCE \"web\" {word} 101\n");
        }
        assert_eq!(drain(&mut reader), expected);
        assert_eq!(notifier.status(&WEB).unwrap().superseded, 49);
    });
}

#[test]
fn lines_are_those_of_keepalived() {
    play(async |stage: Stage| {
        let params = NodeHooks { tells_priority: true, ..node_hooks(&stage) };
        let notifier = stage.notifier(params);
        notifier.subscribe(vec![instance(1, "a \"b\"", Hooks::default()), group("front", Hooks::default())]);
        notifier.startup().await;
        let mut reader = reader(&stage.path("fifo"));
        let ninety = Priority::new(90).unwrap();
        notifier.rank(&WEB, ninety);
        notifier.tell(&WEB, entered(StateName::Fault, StateName::Init));
        notifier.rank(&WEB, ninety);
        notifier.tell(&WEB, to_backup());
        notifier.repeat(&WEB, Cause::Rivalry);
        notifier.rank(&WEB, ninety);
        notifier.tell(&WEB, to_master());
        notifier.repeat(&WEB, Cause::Rivalry);
        notifier.repeat(&WEB, Cause::Refresh);
        notifier.rank(&WEB, ninety);
        notifier.tell(&group_named("front"), Occasion { priority: None, ..to_master() });
        notifier.rank(&group_named("front"), ninety);
        notifier.repeat(&group_named("front"), Cause::Rivalry);
        let words = "FAULT 101|BACKUP_PRIORITY 90|BACKUP 101|BACKUP_PRIORITY 90|MASTER 101|MASTER_RX_LOWER_PRI 101|\
            MASTER_PRIORITY 90";
        let mut expected: String = words.split('|').map(|words| format!("INSTANCE \"a \"b\"\" {words}\n")).collect();
        expected += "GROUP \"front\" MASTER 0\n";
        assert_eq!(drain(&mut reader), expected);
        notifier.tell(&WEB, entered(StateName::Init, StateName::Master));
        notifier.stop(PATIENCE).await;
        assert_eq!(drain(&mut reader), "INSTANCE \"a \"b\"\" STOP 101\nGROUP \"front\" STOP 0\n");
    });
}

#[test]
fn priorities_are_told_only_if_wanted() {
    play(async |stage: Stage| {
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        let mut reader = reader(&stage.path("fifo"));
        notifier.tell(&WEB, to_master());
        notifier.rank(&WEB, Priority::new(90).unwrap());
        assert_eq!(drain(&mut reader), "INSTANCE \"web\" MASTER 101\n");
    });
}

#[test]
fn states_are_told_again_only_if_wanted_and_to_no_program() {
    play(async |stage: Stage| {
        let told = stage.script("told", "log $3");
        for (count, is_wanted) in [(0, false), (2, true)] {
            let notifier = stage.notifier(NodeHooks { tells_states_on_reload: is_wanted, ..node_hooks(&stage) });
            let silent = instance(2, "silent", Hooks::default());
            notifier.subscribe(vec![
                group("front", Hooks::default()),
                instance(1, "web", hooks([(HookEvent::Any, &told)])),
                silent,
            ]);
            notifier.startup().await;
            let mut reader = reader(&stage.path("fifo"));
            notifier.tell(&WEB, to_master());
            notifier.tell(&group_named("front"), Occasion { priority: None, ..to_master() });
            let before = drain(&mut reader);
            stage.lines(count + 1).await;
            // What a reload made of it is written, although its event has not come yet.
            notifier.restate(|_| Priority::new(90));
            let after = before.replace("101", "90");
            assert_eq!(drain(&mut reader), if is_wanted { after.as_str() } else { "" });
            assert_eq!(before, "INSTANCE \"web\" MASTER 101\nGROUP \"front\" MASTER 0\n");
            notifier.stop(PATIENCE).await;
        }
        assert_eq!(stage.log(), ["MASTER", "STOP", "MASTER", "STOP"]);
    });
}

#[test]
fn a_full_pipe_loses_whole_lines_and_says_so() {
    play(async |stage: Stage| {
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        let line = "INSTANCE \"web\" MASTER 101\n";
        for _ in 0..5000 {
            notifier.tell(&WEB, to_master());
        }
        let mut reader = reader(&stage.path("fifo"));
        let text = drain(&mut reader);
        let taken = text.len() / line.len();
        assert_eq!(text, line.repeat(taken));
        assert!((100..5000).contains(&taken), "{taken} lines");
        let stuck = |news: &&HookNews| matches!(news, HookNews::PipeStuck { .. });
        assert_eq!(stage.news().iter().filter(stuck).count(), 5000 - taken);
        notifier.tell(&WEB, to_backup());
        assert_eq!(drain(&mut reader), "INSTANCE \"web\" BACKUP 101\n");
        let lost = u64::try_from(5000 - taken).unwrap();
        assert_eq!(stage.news().last(), Some(&HookNews::PipeFlows { lost }));
    });
}

#[test]
fn a_line_that_a_pipe_could_tear_is_lost_as_a_whole() {
    play(async |stage: Stage| {
        let notifier = stage.notifier(node_hooks(&stage));
        notifier.subscribe(vec![instance(1, &"x".repeat(4096), Hooks::default())]);
        notifier.startup().await;
        let mut reader = reader(&stage.path("fifo"));
        notifier.tell(&WEB, to_master());
        assert_eq!(drain(&mut reader), "");
        assert!(matches!(stage.news()[..], [HookNews::PipeStuck { .. }]), "{:?}", stage.news());
    });
}

/// Only root may give a file away.
#[test]
fn a_pipe_belongs_to_the_configured_user_or_is_not_made() {
    play(async |stage: Stage| {
        let mut params = node_hooks(&stage);
        let user = UserParams { name: "4294".to_owned(), group: Some("4295".to_owned()) };
        params.fifos[0].user = Some(user);
        let notifier = stage.notifier(params);
        notifier.startup().await;
        if nix::unistd::geteuid().is_root() {
            let found = fs::symlink_metadata(stage.path("fifo")).unwrap();
            assert_eq!((found.uid(), found.gid(), found.permissions().mode() & 0o7777), (4294, 4295, 0o640));
        } else {
            assert!(matches!(stage.news()[..], [HookNews::PipeRefused { .. }]), "{:?}", stage.news());
            assert!(!stage.path("fifo").exists());
        }
    });
}

#[test]
fn a_pipe_of_our_own_is_private_and_removed_at_the_end() {
    play(async |stage: Stage| {
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        let found = fs::symlink_metadata(stage.path("fifo")).unwrap();
        assert!(found.file_type().is_fifo());
        assert_eq!(found.permissions().mode() & 0o7777, 0o600);
        notifier.stop(PATIENCE).await;
        assert!(!stage.path("fifo").exists());
    });
}

#[test]
fn a_pipe_that_was_there_is_used_and_left() {
    play(async |stage: Stage| {
        mkfifo(&stage.path("fifo"), Mode::S_IRWXU).unwrap();
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        let mut reader = reader(&stage.path("fifo"));
        notifier.tell(&WEB, to_master());
        assert_eq!(drain(&mut reader), "INSTANCE \"web\" MASTER 101\n");
        notifier.stop(PATIENCE).await;
        assert!(stage.path("fifo").exists());
    });
}

#[test]
fn something_else_by_that_name_is_refused_until_it_is_gone() {
    play(async |stage: Stage| {
        fs::write(stage.path("fifo"), "precious").unwrap();
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        notifier.tell(&WEB, to_master());
        assert_eq!(fs::read_to_string(stage.path("fifo")).unwrap(), "precious");
        let path = stage.path("fifo").display().to_string();
        let why = "cannot be used as a pipe: it is there but no pipe: expected nothing or a FIFO";
        assert_eq!(stage.reported(), [format!("{path} {why}")]);
        fs::remove_file(stage.path("fifo")).unwrap();
        until("pipe", || fs::symlink_metadata(stage.path("fifo")).is_ok_and(|found| found.file_type().is_fifo())).await;
        notifier.stop(PATIENCE).await;
        assert!(!stage.path("fifo").exists());
    });
}

#[test]
fn a_link_by_that_name_is_refused() {
    play(async |stage: Stage| {
        mkfifo(&stage.path("elsewhere"), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink(stage.path("elsewhere"), stage.path("fifo")).unwrap();
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        assert!(matches!(stage.news()[..], [HookNews::PipeRefused { .. }]), "{:?}", stage.news());
    });
}

#[test]
fn a_reader_that_ends_is_started_again_and_misses_nothing() {
    play(async |stage: Stage| {
        let reader = stage.script("reader", "log started $# $1; IFS= read -r line <$1; log \"$line\"; exit 4");
        let mut params = node_hooks(&stage);
        params.fifos[0].reader = Some(reader);
        let notifier = stage.notifier(params);
        notifier.subscribe(vec![instance(1, "web", Hooks::default())]);
        notifier.startup().await;
        notifier.tell(&WEB, to_master());
        notifier.tell(&WEB, to_backup());
        let started = format!("started 1 {}", stage.path("fifo").display());
        let expected =
            [started.as_str(), "INSTANCE \"web\" MASTER 101", started.as_str(), "INSTANCE \"web\" BACKUP 101"];
        assert_eq!(stage.lines(4).await, expected);
        assert!(stage.reported()[0].starts_with("/bin/sh that reads a pipe ended: exit status 4; again in 1s"));
    });
}

#[test]
fn a_reader_sees_the_last_line_and_then_the_end() {
    play(async |stage: Stage| {
        let reader = stage.script("reader", "log started; cat $1 >@/read; log ended");
        let mut params = node_hooks(&stage);
        params.fifos[0].reader = Some(reader);
        let notifier = stage.notifier(params);
        notifier.subscribe(vec![instance(1, "web", Hooks::default())]);
        notifier.startup().await;
        notifier.tell(&WEB, to_master());
        until("line", || fs::read_to_string(stage.path("read")).is_ok_and(|text| text.contains("MASTER"))).await;
        notifier.stop(PATIENCE).await;
        assert_eq!(stage.log(), ["started", "ended"]);
        let read = fs::read_to_string(stage.path("read")).unwrap();
        assert_eq!(read, "INSTANCE \"web\" MASTER 101\nINSTANCE \"web\" STOP 101\n");
    });
}

#[test]
fn a_reload_keeps_the_pipes_that_stay() {
    play(async |stage: Stage| {
        let notifier = with_pipe(&stage, Hooks::default());
        notifier.startup().await;
        let mut first = reader(&stage.path("fifo"));
        let mut params = node_hooks(&stage);
        params.fifos.push(FifoParams { path: stage.path("second"), ..params.fifos[0].clone() });
        notifier.reconfigure(std::sync::Arc::new(params.clone())).await;
        let mut second = reader(&stage.path("second"));
        notifier.tell(&WEB, to_master());
        assert_eq!(drain(&mut first), "INSTANCE \"web\" MASTER 101\n");
        assert_eq!(drain(&mut second), "INSTANCE \"web\" MASTER 101\n");
        params.fifos.remove(0);
        notifier.reconfigure(std::sync::Arc::new(params)).await;
        assert!(!stage.path("fifo").exists() && stage.path("second").exists());
    });
}

fn node_hooks(stage: &Stage) -> NodeHooks {
    let fifo = FifoParams { path: stage.path("fifo"), user: None, reader: None };
    NodeHooks { fifos: vec![fifo], ..NodeHooks::default() }
}

fn with_pipe(stage: &Stage, hooks: Hooks) -> Notifier {
    let notifier = stage.notifier(node_hooks(stage));
    notifier.subscribe(vec![instance(1, "web", hooks)]);
    notifier
}

fn reader(path: &Path) -> File {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap()
}

/// Reads what is there.
fn drain(reader: &mut File) -> String {
    let mut text = Vec::new();
    // It would block in the end, with what was read so far in `text`.
    let _ = reader.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}
