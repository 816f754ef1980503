//! `child::run`: how programs end, and what is left of them.

use std::fs;
use std::time::{Duration, Instant};

use vrrpd::child::{self, Call, Ended, How};
use vrrpd::engine::params::{Command, Fallback, Scripts, UserParams};

use super::world::{Folder, PATIENCE, by_itself, command, exists, is_root, ms, pid_in, service, until};

async fn call(command: &Command, timeout: Duration) -> Ended {
    let scripts = Scripts::default();
    child::run(Call { command, scripts: &scripts, appended: &[], environment: &[], timeout }).await
}

fn ended(how: How, last_line: &str) -> Ended {
    Ended { how, last_line: last_line.to_owned() }
}

#[test]
fn the_end_of_a_program_is_told_with_its_last_line() {
    let folder = Folder::new();
    let cases = [
        ("exit 0", How::Exited(0), ""),
        ("echo one; echo two >&2; exit 255", How::Exited(255), "two"),
        ("echo gone; kill -SEGV $$", How::Signaled(11), "gone"),
        ("kill -TERM $$", How::Signaled(15), ""),
        ("cat; exit 3", How::Exited(3), ""),
    ];
    for (place, (body, how, line)) in cases.into_iter().enumerate() {
        let script = folder.script(&place.to_string(), body);
        assert_eq!(service(call(&command(&script, &[]), PATIENCE)), ended(how, line), "{body}");
    }
}

#[test]
fn arguments_environment_and_name_are_as_configured() {
    let folder = Folder::new();
    let script = folder.script("s", r#"echo "$# $1 $2 $3 [$VRRPD_X] [${NOTIFY_SOCKET-}] [${PATH:+path}]""#);
    let command = command(&script, &["a b"]);
    let scripts = Scripts::default();
    let (appended, environment) = (["INSTANCE".to_owned(), String::new()], [("VRRPD_X".to_owned(), "$y".to_owned())]);
    let call = Call {
        command: &command,
        scripts: &scripts,
        appended: &appended,
        environment: &environment,
        timeout: PATIENCE,
    };
    assert_eq!(service(child::run(call)), ended(How::Exited(0), "3 a b INSTANCE  [$y] [] [path]"));
}

#[test]
fn what_is_meant_for_the_daemon_is_kept_from_programs() {
    let environment: Vec<(&str, &str)> = KEPT_BACK.iter().map(|name| (*name, "")).chain([("KEPT", "yes")]).collect();
    by_itself("child::what_is_meant_for_the_daemon_is_kept_from_programs", &environment, || {
        let folder = Folder::new();
        let script = folder.script("s", &format!("env > {}", folder.path("env").display()));
        assert_eq!(service(call(&command(&script, &[]), PATIENCE)).how, How::Exited(0));
        let environment = fs::read_to_string(folder.path("env")).unwrap();
        assert!(environment.lines().any(|line| line == "KEPT=yes"), "{environment}");
        for name in KEPT_BACK {
            assert!(!environment.lines().any(|line| line.starts_with(&format!("{name}="))), "{name} in {environment}");
        }
    });
}

// A shell sets IFS itself and does not pass it on, so it is not among these.
const KEPT_BACK: [&str; 7] =
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID"];

#[test]
fn a_program_that_hangs_is_timed_out_and_dies_with_its_children() {
    let folder = Folder::new();
    let (own, below) = (folder.path("own"), folder.path("below"));
    let script = folder.script(
        "hang",
        &format!("sleep 60 & echo $! > {}; echo $$ > {}; echo waiting; wait", below.display(), own.display()),
    );
    service(async {
        let start = Instant::now();
        assert_eq!(call(&command(&script, &[]), ms(500)).await, ended(How::TimedOut, "waiting"));
        assert!(start.elapsed() >= ms(500) && start.elapsed() < ms(1500), "{:?}", start.elapsed());
        let (own, below) = (pid_in(&own).await, pid_in(&below).await);
        until("both are gone", || !exists(own) && !exists(below)).await;
        assert!(start.elapsed() < ms(2000), "SIGTERM was enough, but it took {:?}", start.elapsed());
    });
}

#[test]
fn a_group_that_ignores_sigterm_is_killed_soon_after_the_verdict() {
    let folder = Folder::new();
    let (own, below) = (folder.path("own"), folder.path("below"));
    let script = folder.script(
        "stubborn",
        &format!(
            "trap '' TERM\nsleep 60 & echo $! > {}\necho $$ > {}\nfor i in 1 2 3 4 5 6; do sleep 10; done",
            below.display(),
            own.display()
        ),
    );
    service(async {
        let start = Instant::now();
        assert_eq!(call(&command(&script, &[]), ms(300)).await.how, How::TimedOut);
        assert!(start.elapsed() < ms(1300), "the verdict took {:?}", start.elapsed());
        let (own, below) = (pid_in(&own).await, pid_in(&below).await);
        assert!(exists(own) && exists(below), "SIGTERM should not have been enough");
        until("both are gone", || !exists(own) && !exists(below)).await;
        assert!(start.elapsed() < ms(6000), "{:?}", start.elapsed());
    });
}

#[test]
fn a_member_that_ignores_sigterm_dies_although_its_leader_obeyed() {
    let folder = Folder::new();
    let below = folder.path("below");
    let script = folder.script(
        "leader",
        &format!(
            "(trap '' TERM; echo $(exec sh -c 'echo $PPID') > {}; for i in 1 2 3 4 5 6; do sleep 10; done) & wait",
            below.display()
        ),
    );
    service(async {
        assert_eq!(call(&command(&script, &[]), ms(300)).await.how, How::TimedOut);
        let below = pid_in(&below).await;
        until("it is gone", || !exists(below)).await;
    });
}

#[test]
fn a_program_that_takes_sigterm_for_success_has_timed_out() {
    let folder = Folder::new();
    let script = folder.script("polite", "trap 'exit 0' TERM; sleep 60 & wait");
    assert_eq!(service(call(&command(&script, &[]), ms(300))).how, How::TimedOut);
}

#[test]
fn a_program_that_forks_away_is_not_waited_for_and_may_go_on_writing() {
    let folder = Folder::new();
    let (own, done) = (folder.path("own"), folder.path("done"));
    let script = folder.script(
        "fork",
        &format!(
            "(sleep 0.5; echo more; echo more; sleep 0.1; echo $$ > {}) &\necho $! > {}; echo out",
            done.display(),
            own.display()
        ),
    );
    service(async {
        let start = Instant::now();
        assert_eq!(call(&command(&script, &[]), PATIENCE).await, ended(How::Exited(0), "out"));
        assert!(start.elapsed() < ms(400), "{:?}", start.elapsed());
        // Writing to a pipe that nobody reads would have killed it.
        until("it finishes its work", || done.exists()).await;
        let left = pid_in(&own).await;
        until("it is gone", || !exists(left)).await;
    });
}

#[test]
fn a_program_that_writes_without_end_costs_no_memory_and_delays_nobody() {
    by_itself("child::a_program_that_writes_without_end_costs_no_memory_and_delays_nobody", &[], || {
        let folder = Folder::new();
        let script = folder.script("loud", "head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo the end");
        let before = resident_kb();
        service(async {
            let quick = folder.script("quick", "exit 7");
            let loud = tokio::task::spawn_local(async move { call(&command(&script, &[]), PATIENCE).await });
            let mut runs = 0;
            while !loud.is_finished() {
                let start = Instant::now();
                assert_eq!(call(&command(&quick, &[]), PATIENCE).await.how, How::Exited(7));
                assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
                runs += 1;
            }
            assert_eq!(loud.await.unwrap(), ended(How::Exited(0), "the end"));
            assert!(runs > 0);
        });
        let grown = resident_kb().saturating_sub(before);
        assert!(grown < 20_000, "{grown} KiB more");
    });
}

fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_program_of_which_no_run_dies_is_not_started_for_ever() {
    let folder = Folder::new();
    let script = folder.script("s", "trap '' TERM; sleep 60 & for i in 1 2 3 4; do wait; done; sleep 60");
    let other = folder.script("other", "exit 0");
    service(async {
        let command = command(&script, &[]);
        // Long enough for all of them to be deaf.
        let hung = (0..64).map(|_| call(&command, ms(4000)));
        let ended = futures_util::future::join_all(hung).await;
        assert!(ended.iter().all(|ended| ended.how == How::TimedOut), "{ended:?}");
        let not_started = How::NotStarted("64 earlier runs of it do not die".to_owned());
        assert_eq!(call(&command, PATIENCE).await.how, not_started);
        assert_eq!(call(&super::world::command(&other, &[]), PATIENCE).await.how, How::Exited(0));
        // SIGKILL is two seconds away.
        tokio::time::sleep(ms(5000)).await;
        assert_eq!(call(&command, ms(100)).await.how, How::TimedOut);
    });
}

#[test]
fn dropping_a_call_kills_its_group() {
    let folder = Folder::new();
    let own = folder.path("own");
    let script = folder
        .script("s", &format!("trap '' TERM; echo $$ > {}; for i in 1 2 3 4 5 6; do sleep 10; done", own.display()));
    service(async {
        let command = command(&script, &[]);
        let pid = tokio::select! {
            ended = call(&command, PATIENCE) => panic!("{ended:?}"),
            pid = pid_in(&own) => pid,
        };
        until("it is gone", || !exists(pid)).await;
    });
}

#[test]
fn a_runtime_that_ends_kills_what_ignores_sigterm() {
    let folder = Folder::new();
    let own = folder.path("own");
    let script = folder
        .script("s", &format!("trap '' TERM; echo $$ > {}; for i in 1 2 3 4 5 6; do sleep 10; done", own.display()));
    let pid = service(async {
        assert_eq!(call(&command(&script, &[]), ms(300)).await.how, How::TimedOut);
        pid_in(&own).await
    });
    service(async {
        until("it is dead", || !exists(pid)).await;
    });
    // Nobody else will wait for it.
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
}

#[test]
fn a_program_that_cannot_be_started_is_told_with_the_reason() {
    let folder = Folder::new();
    let plain = folder.path("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let alien = folder.script("alien", "");
    fs::write(&alien, "#!/no/such/shell\n").unwrap();
    let not_started = |program: &str| {
        let command = command(program.as_ref(), &[]);
        match service(call(&command, PATIENCE)) {
            Ended { how: How::NotStarted(why), last_line } if last_line.is_empty() => why,
            ended => panic!("{ended:?}"),
        }
    };
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    assert_eq!(not_started(&path("missing")), format!("{} does not exist", path("missing")));
    assert_eq!(not_started(&path("no/such")), format!("{} does not exist", path("no")));
    assert_eq!(not_started(&path("plain/x")), format!("{} is not a directory", path("plain")));
    let why = not_started(&path("plain"));
    assert!(
        why.contains("may not execute") && why.ends_with(&format!("; repair: chmod a+rx {}", path("plain"))),
        "{why}"
    );
    assert!(not_started(&path("alien")).contains("interpreter \"/no/such/shell\", which does not exist"));
    assert!(not_started("vrrpd-no-such-program").starts_with("\"vrrpd-no-such-program\" is in no directory of PATH"));
}

#[test]
fn a_program_without_a_slash_is_searched_for() {
    let echo = command("echo".as_ref(), &["found"]);
    assert_eq!(service(call(&echo, PATIENCE)), ended(How::Exited(0), "found"));
}

#[test]
fn nobody_of_that_name_starts_nothing() {
    let user =
        |name: &str, group: Option<&str>| Some(UserParams { name: name.to_owned(), group: group.map(str::to_owned) });
    let how = |user| service(call(&Command { words: vec!["true".to_owned()], user }, PATIENCE)).how;
    let not_started = |why: &str| How::NotStarted(why.to_owned());
    assert_eq!(how(user("no-such-user", None)), not_started("no such user \"no-such-user\""));
    assert_eq!(how(user("root", Some("no-such-group"))), not_started("no such group \"no-such-group\""));
    assert_eq!(how(user("4000000", None)), not_started("user 4000000 has no entry: name its group as well"));
}

#[test]
fn programs_run_as_the_user_that_is_named() {
    if !is_root("child::programs_run_as_the_user_that_is_named") {
        return;
    }
    let id = |user: Option<&str>, scripts: &Scripts| {
        let of = |name: &str| UserParams { name: name.to_owned(), group: None };
        let words =
            ["sh", "-c", "echo $(id -u):$(id -g):$(id -G); echo done > /dev/stderr"].map(str::to_owned).to_vec();
        let command = Command { words, user: user.map(of) };
        let call = Call { command: &command, scripts, appended: &[], environment: &[], timeout: PATIENCE };
        let Ended { how, last_line } = service(child::run(call));
        assert_eq!((how, last_line.as_str()), (How::Exited(0), "done"), "/dev/stderr can be opened");
        let id = Command {
            words: ["sh", "-c", "echo $(id -u):$(id -g):$(id -G)"].map(str::to_owned).to_vec(),
            ..command.clone()
        };
        service(child::run(Call { command: &id, ..call })).last_line
    };
    let entry = |name: &str| nix::unistd::User::from_name(name).unwrap();
    let nobody = entry("nobody").unwrap();
    let expected = format!("{}:{}:{}", nobody.uid, nobody.gid, nobody.gid);
    let mut scripts = Scripts::default();
    assert_eq!(id(Some("nobody"), &scripts), expected);
    assert_eq!(id(Some(&nobody.uid.to_string()), &scripts), expected);
    assert_eq!(id(Some("root"), &scripts).split(':').next(), Some("0"));
    if entry("vrrpd_script").is_none() {
        assert_eq!(id(None, &scripts), expected);
    }
    if entry("keepalived_script").is_none() {
        scripts.fallback = Fallback::Keepalived;
        assert_eq!(id(None, &scripts).split(':').next(), Some("0"));
    }
    scripts.user = Some(UserParams { name: "nobody".to_owned(), group: Some("0".to_owned()) });
    assert_eq!(id(None, &scripts), format!("{}:0:0", nobody.uid));
    assert_eq!(id(Some("root"), &scripts).split(':').next(), Some("0"));
}

#[test]
fn without_the_right_to_become_another_user_nothing_is_started() {
    if !is_root("child::without_the_right_to_become_another_user_nothing_is_started") {
        return;
    }
    // Capabilities are a thread's own.
    let how = std::thread::spawn(|| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(rustix::thread::CapabilitySet::SETUID);
        rustix::thread::set_capabilities(None, sets).unwrap();
        let user = Some(UserParams { name: "nobody".to_owned(), group: None });
        service(call(&Command { words: vec!["true".to_owned()], user }, PATIENCE)).how
    });
    let why = "cannot become user \"nobody\": running as user 0 without CAP_SETUID and CAP_SETGID";
    assert_eq!(how.join().unwrap(), How::NotStarted(why.to_owned()));
}

#[test]
fn programs_get_neither_ambient_capabilities_nor_blocked_signals() {
    if !is_root("child::programs_get_neither_ambient_capabilities_nor_blocked_signals") {
        return;
    }
    let status = |is_settled: bool| {
        let look = move || {
            let net_admin = rustix::thread::CapabilitySet::NET_ADMIN;
            let mut sets = rustix::thread::capabilities(None).unwrap();
            sets.inheritable.insert(net_admin);
            rustix::thread::set_capabilities(None, sets).unwrap();
            rustix::thread::configure_capability_in_ambient_set(net_admin, true).unwrap();
            nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGUSR1).thread_block().unwrap();
            if is_settled {
                assert_eq!(child::settle_thread(), Vec::<String>::new());
            }
            let words = ["sh", "-c", "echo $(grep -E 'CapAmb|SigBlk' /proc/self/status)"].map(str::to_owned).to_vec();
            let command = Command { words, user: Some(UserParams { name: "root".to_owned(), group: None }) };
            service(call(&command, PATIENCE)).last_line
        };
        std::thread::spawn(look).join().unwrap()
    };
    assert_eq!(status(false), "SigBlk: 0000000000000200 CapAmb: 0000000000001000");
    assert_eq!(status(true), "SigBlk: 0000000000000000 CapAmb: 0000000000000000");
}
