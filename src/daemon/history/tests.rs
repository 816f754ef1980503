//! Tests of what is remembered, over processes and without a disk.

use super::*;
use crate::control::history::tests::day;
use crate::control::samples::NOW;

/// In which a disk answers.
const PATIENCE: Duration = Duration::from_secs(20);

fn transition(n: usize) -> Entry {
    Entry { reason: format!("number {n}"), ..day()[1].clone() }
}

fn start() -> Entry {
    Entry::new(NOW, Kind::Start, None, "version 1")
}

fn all(history: &History) -> Vec<Entry> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let last = runtime.block_on(async { tokio::time::timeout(PATIENCE, history.last(MAX_ENTRIES, None)).await });
    last.unwrap().entries
}

fn reasons(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.reason.as_str()).collect()
}

/// A state directory, and a history as a process sees it that begins there.
fn begin(dir: &tempfile::TempDir) -> (StateDir, History) {
    let state_dir = StateDir::at(dir.path().to_owned());
    (state_dir.clone(), History::open(state_dir))
}

#[test]
fn the_next_process_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, first) = begin(&dir);
    first.add(start());
    let mark = first.add(transition(1));
    first.find(mark, "found");
    assert!(first.flush(PATIENCE));
    assert_eq!(file::read(&state_dir).unwrap().entries, all(&first));
    let (_, second) = begin(&dir);
    second.add(start());
    second.add(transition(2));
    assert!(second.flush(PATIENCE));
    let found = all(&second);
    assert_eq!(found.iter().map(|entry| entry.n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(found[1].finding.as_deref(), Some("found"));
    let ended = "version 1; the one before ended without a stop: killed or crashed";
    assert_eq!(reasons(&found), ["version 1", "number 1", ended, "number 2"]);
    assert_eq!(file::read(&state_dir).unwrap().entries, found);
    assert_eq!(second.transitions(1)[0].reason, "number 2");
}

#[test]
fn the_thousand_and_first_entry_drops_the_first_also_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, history) = begin(&dir);
    for n in 1..=2 * MAX_ENTRIES + 1 {
        history.add(transition(n));
        if n % 100 == 1 {
            assert!(history.flush(PATIENCE));
        }
    }
    assert!(history.flush(PATIENCE));
    let found = all(&history);
    assert_eq!((found.len(), found[0].n), (MAX_ENTRIES, MAX_ENTRIES as u64 + 2));
    let content = file::read(&state_dir).unwrap();
    assert_eq!(content.entries, found);
    assert!(content.lines < MAX_ENTRIES + 200, "{} lines were left", content.lines);
}

#[test]
fn a_burst_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, history) = begin(&dir);
    for n in 1..=5 * MAX_ENTRIES {
        history.add(transition(n));
    }
    assert!(history.flush(PATIENCE));
    let content = file::read(&state_dir).unwrap();
    assert_eq!((content.entries.len(), content.entries[MAX_ENTRIES - 1].n), (MAX_ENTRIES, 5 * MAX_ENTRIES as u64));
    assert!(!content.is_torn);
}

#[test]
fn a_torn_file_is_made_whole_by_the_next_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, first) = begin(&dir);
    first.add(transition(1));
    first.add(transition(2));
    assert!(first.flush(PATIENCE));
    let path = state_dir.file(file::NAME);
    let bytes = std::fs::read(&path).unwrap();
    for length in [bytes.len() - 1, bytes.len() - 30, 5, 0] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (_, next) = begin(&dir);
        next.add(transition(3));
        assert!(next.flush(PATIENCE));
        let content = file::read(&state_dir).unwrap();
        assert!(!content.is_torn, "{length} bytes");
        assert_eq!(content.entries.last().unwrap().reason, "number 3");
        assert_eq!(content.entries.len(), if length > bytes.len() / 2 { 2 } else { 1 }, "{length} bytes");
    }
}

#[test]
fn without_a_disk_it_is_kept_in_memory_and_written_when_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("file");
    std::fs::write(&place, "").unwrap();
    let state_dir = StateDir::at(place.clone());
    let history = History::open(state_dir.clone());
    history.add(transition(1));
    assert!(history.flush(PATIENCE));
    assert_eq!(all(&history).len(), 1);
    std::fs::remove_file(&place).unwrap();
    history.add(transition(2));
    assert!(history.flush(PATIENCE));
    assert_eq!(reasons(&file::read(&state_dir).unwrap().entries), ["number 1", "number 2"]);
}

#[test]
fn how_the_one_before_ended_is_told_by_stop_and_boot() {
    let run = |boot: &str, end: &[Kind]| {
        let began = Entry { boot: Some(boot.to_owned()), ..start() };
        let end = end.iter().map(|kind| Entry::new(NOW, *kind, None, ""));
        std::iter::once(began).chain(end).collect::<Vec<_>>()
    };
    let (crash, reboot) = ("ended without a stop", "after a reboot");
    for (past, expected) in [
        (vec![], ["", ""]),
        (run("here", &[Kind::Stop]), ["", ""]),
        (run("here", &[]), [crash, ""]),
        (run("here", &[Kind::Upgrade, Kind::Reload]), [crash, ""]),
        (run("other", &[Kind::Stop]), [reboot, ""]),
        (run("other", &[]), [reboot, "the host went down"]),
    ] {
        let words = how_it_ended(&past, Some("here"));
        assert!(expected.iter().all(|part| words.contains(part)), "{words}");
        assert_eq!(words.is_empty(), expected == ["", ""], "{words}");
        assert_eq!(words.contains("the host"), !expected[1].is_empty(), "{words}");
    }
}

#[test]
fn who_follows_hears_each_entry_once_and_of_its_instance_alone() {
    let history = History::in_memory();
    history.add(transition(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let first = history.last(MAX_ENTRIES, Some("web")).await;
        assert_eq!(first.until.n, 1);
        let adding = history.clone();
        let add = async move {
            adding.add(Entry { instance: Some("mail".to_owned()), ..transition(2) });
            tokio::task::yield_now().await;
            adding.add(transition(3))
        };
        let next = tokio::time::timeout(PATIENCE, history.after(first.until, Some("web")));
        let (next, mark) = tokio::join!(next, add);
        let next = next.unwrap();
        assert_eq!((reasons(&next.entries), next.until.n), (vec!["number 3"], 3));
        let more = tokio::time::timeout(Duration::from_millis(20), history.after(next.until, None)).await;
        assert!(more.is_err(), "{more:?}");
        // What is found out later is told with its entry once more.
        history.find(mark, "found");
        let more = tokio::time::timeout(PATIENCE, history.after(next.until, None)).await.unwrap();
        assert_eq!((reasons(&more.entries), more.entries[0].finding.as_deref()), (vec!["number 3"], Some("found")));
        let more = tokio::time::timeout(Duration::from_millis(20), history.after(more.until, None)).await;
        assert!(more.is_err(), "{more:?}");
    });
}
