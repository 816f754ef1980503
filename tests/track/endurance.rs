//! Ten thousand runs, and two hundred checks at once.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use vrrpd::child::{Call, How, run as call};
use vrrpd::engine::input::CheckResult;
use vrrpd::engine::params::{CheckKind, CheckParams, Scripts};

use super::world::{by_itself, check, children, command, descriptors, ms, run, service, until};

/// Kept in flight, as many checks do.
const AT_ONCE: usize = 16;
const RUNS: usize = 10_000;

#[test]
fn ten_thousand_runs_leave_no_child_and_no_descriptor() {
    by_itself("endurance::ten_thousand_runs_leave_no_child_and_no_descriptor", &[], || service(ten_thousand_runs()));
}

async fn ten_thousand_runs() {
    let (command, scripts) = (command("true".as_ref(), &[]), Scripts::default());
    let runs = async |count: usize| {
        for _ in 0..count {
            let call =
                Call { command: &command, scripts: &scripts, appended: &[], environment: &[], timeout: ms(20_000) };
            assert_eq!(self::call(call).await.how, How::Exited(0));
        }
    };
    // The first run opens what stays open.
    runs(1).await;
    let (before, start, spent) = (descriptors(), Instant::now(), spent());
    futures_util::future::join_all((0..AT_ONCE).map(|_| runs(RUNS / AT_ONCE))).await;
    let count = u32::try_from(RUNS).unwrap();
    println!("one of {RUNS} runs: {:?}, of this thread {:?}", start.elapsed() / count, (self::spent() - spent) / count);
    assert_eq!(children(), Vec::<i32>::new());
    // A program that is just being started holds the pipes of others for a moment, and so long they are read.
    until("all descriptors are closed", || descriptors() <= before).await;
}

#[test]
fn runs_that_time_out_leave_no_child_and_no_descriptor() {
    by_itself("endurance::runs_that_time_out_leave_no_child_and_no_descriptor", &[], || {
        service(async {
            let (command, scripts) = (command("sleep".as_ref(), &["1000"]), Scripts::default());
            let before = descriptors();
            for _ in 0..20 {
                let hang = || {
                    call(Call {
                        command: &command,
                        scripts: &scripts,
                        appended: &[],
                        environment: &[],
                        timeout: ms(20),
                    })
                };
                let ended = futures_util::future::join_all((0..10).map(|_| hang())).await;
                assert!(ended.iter().all(|ended| ended.how == How::TimedOut), "{ended:?}");
                until("all are dead", || children().is_empty()).await;
            }
            until("all descriptors are closed", || descriptors() <= before).await;
        });
    });
}

#[test]
fn of_two_hundred_checks_at_100_ms_none_waits_for_another() {
    by_itself("endurance::of_two_hundred_checks_at_100_ms_none_waits_for_another", &[], || {
        let quick = check(CheckKind::Exec(command("true".as_ref(), &[])), ms(100), ms(5000));
        // So many equal results are told.
        let params = CheckParams { rise: u32::MAX, ..(*quick).clone() };
        run(vec![params.into(); 200], async |reports| {
            until("each has passed", || (0..200).all(|key| !reports.of(key).is_empty())).await;
            let (start, spent) = (Instant::now(), spent());
            let before: usize = (0..200).map(|key| reports.of(key).len()).sum();
            tokio::time::sleep(ms(3000)).await;
            let runs: Vec<usize> = (0..200).map(|key| reports.of(key).len()).collect();
            let share = (self::spent() - spent).as_secs_f64() / start.elapsed().as_secs_f64();
            let rate = (runs.iter().sum::<usize>() - before) as f64 / start.elapsed().as_secs_f64();
            println!("{rate:.0} runs a second of 2000, {:.0} % of this thread", share * 100.0);
            for key in 0..200 {
                assert!(reports.of(key).iter().all(|(_, result, _)| *result == CheckResult::Passed));
            }
            // A host that cannot start so many programs leaves some out, but of each check.
            let (least, most) = (runs.iter().min().unwrap(), runs.iter().max().unwrap());
            assert!(*least >= 4 && least * 3 >= *most, "{least} to {most}");
        });
    });
}

/// Returns the processor time of this thread.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap())
    };
    of(usage.user_time()) + of(usage.system_time())
}

#[test]
fn first_runs_are_spread() {
    let params = check(CheckKind::Exec(command("true".as_ref(), &[])), Duration::from_secs(1000), ms(5000));
    run(vec![params; 100], async |reports| {
        let start = Instant::now();
        until("each has passed", || (0..100).all(|key| !reports.of(key).is_empty())).await;
        let first = reports.of(0)[0].0;
        let last = (0..100).map(|key| reports.of(key)[0].0).max().unwrap();
        assert!(last - first >= ms(190), "{:?}", last - first);
        assert!(first - start < ms(1000), "{:?}", first - start);
    });
}
