//! `file` checks: told at once of what happens to a file, whatever happens to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vrrpd::engine::input::CheckResult::{self, Failed, Number, Passed};
use vrrpd::engine::params::{CheckKind, CheckParams, FileSense};

use super::world::{Folder, PATIENCE, Reports, check, ms, run};

/// An interval at which nothing here would be noticed in time.
const NEVER: Duration = Duration::from_secs(1000);

fn file(path: PathBuf, sense: FileSense, interval: Duration) -> Arc<CheckParams> {
    check(CheckKind::File { path, sense }, interval, PATIENCE)
}

/// Does something, and expects a result soon.
async fn expect(reports: &Reports, what: &str, act: impl FnOnce(), result: CheckResult) -> String {
    let start = Instant::now();
    act();
    let (at, words) = reports.next(0, result).await;
    assert!(at - start < ms(500), "{what}: noticed after {:?}", at - start);
    words
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn a_number_is_read_however_it_is_written() {
    let folder = Folder::new();
    let path = folder.path("number");
    run(vec![file(path.clone(), FileSense::Number, NEVER)], async |reports| {
        let (_, words) = reports.next(0, Number(0)).await;
        assert!(words == "no such file or directory", "{words}");
        assert_eq!(expect(&reports, "written", || write(&path, "5\n"), Number(5)).await, "");
        expect(&reports, "written again", || write(&path, "-0x10"), Number(-16)).await;
        let other = folder.path("other");
        expect(
            &reports,
            "replaced",
            || {
                write(&other, "7");
                fs::rename(&other, &path).unwrap()
            },
            Number(7),
        )
        .await;
        expect(&reports, "moved away", || fs::rename(&path, &other).unwrap(), Number(0)).await;
        expect(&reports, "moved in", || fs::rename(&other, &path).unwrap(), Number(7)).await;
        expect(&reports, "deleted", || fs::remove_file(&path).unwrap(), Number(0)).await;
        expect(&reports, "made again", || write(&path, "010"), Number(8)).await;
        // Out of range is ignored: nothing is told until it is a number that counts.
        write(&path, "99999999999");
        expect(&reports, "in range again", || write(&path, "9"), Number(9)).await;
        expect(&reports, "emptied", || write(&path, ""), Number(0)).await;
    });
}

#[test]
fn existence_is_noticed_through_directories_that_come_and_go() {
    let folder = Folder::new();
    let (top, path) = (folder.path("a"), folder.path("a/b/flag"));
    let below = folder.path("a/b");
    run(
        vec![file(path.clone(), FileSense::Exists, NEVER), file(path.clone(), FileSense::Absent, NEVER)],
        async |reports| {
            assert_eq!(reports.next(0, Failed).await.1, "does not exist");
            expect(
                &reports,
                "made with its directories",
                || {
                    fs::create_dir_all(&below).unwrap();
                    write(&path, "")
                },
                Passed,
            )
            .await;
            expect(&reports, "deleted with its directories", || fs::remove_dir_all(&top).unwrap(), Failed).await;
            fs::create_dir(&top).unwrap();
            tokio::time::sleep(ms(50)).await;
            fs::create_dir(&below).unwrap();
            tokio::time::sleep(ms(50)).await;
            expect(&reports, "made in a directory made later", || write(&path, ""), Passed).await;
            let aside = folder.path("aside");
            expect(&reports, "directory moved away", || fs::rename(&below, &aside).unwrap(), Failed).await;
            expect(&reports, "directory moved back", || fs::rename(&aside, &below).unwrap(), Passed).await;
        },
    );
}

#[test]
fn absence_is_the_other_way_round() {
    let folder = Folder::new();
    let path = folder.path("flag");
    run(vec![file(path.clone(), FileSense::Absent, NEVER)], async |reports| {
        assert_eq!(reports.next(0, Passed).await.1, "does not exist");
        assert_eq!(expect(&reports, "made", || fs::create_dir(&path).unwrap(), Failed).await, "exists");
        expect(&reports, "removed", || fs::remove_dir(&path).unwrap(), Passed).await;
    });
}

#[test]
fn a_change_behind_a_symbolic_link_is_noticed() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    let (target, path) = (folder.path("real/number"), folder.path("link"));
    write(&target, "1");
    symlink(&target, &path).unwrap();
    run(vec![file(path.clone(), FileSense::Number, NEVER)], async |reports| {
        reports.next(0, Number(1)).await;
        expect(&reports, "written", || write(&target, "2"), Number(2)).await;
    });
}

#[test]
fn what_is_not_told_is_noticed_at_the_interval() {
    let folder = Folder::new();
    // Two links on the way: the kernel is asked about the first and the last name, not about what is between.
    let (first, second) = (folder.path("first"), folder.path("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    fs::create_dir(folder.path("links")).unwrap();
    let (middle, path) = (folder.path("links/middle"), folder.path("path"));
    write(&first.join("number"), "1");
    write(&second.join("number"), "2");
    symlink(&first, &middle).unwrap();
    symlink(middle.join("number"), &path).unwrap();
    run(vec![file(path.clone(), FileSense::Number, ms(100))], async |reports| {
        reports.next(0, Number(1)).await;
        symlink(&second, folder.path("links/next")).unwrap();
        fs::rename(folder.path("links/next"), &middle).unwrap();
        reports.next(0, Number(2)).await;
    });
}

#[test]
fn a_pipe_in_place_of_the_file_keeps_nobody_waiting() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    run(vec![file(path, FileSense::Number, NEVER)], async |reports| {
        assert_eq!(reports.next(0, Number(0)).await.1, "not a regular file");
    });
}
