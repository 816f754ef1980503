//! `vrrpd history` without a daemon: from the file, and what it says on which stream.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{in_tree, outcome, vrrpd};

/// Makes a state directory with the history of the golden page.
fn state() -> TempDir {
    let dir = TempDir::new().unwrap();
    let page: Value = serde_json::from_str(&golden("history.json")).unwrap();
    let lines = page["entries"].as_array().unwrap().iter().map(|entry| format!("{entry}\n"));
    fs::write(dir.path().join("history"), lines.collect::<String>()).unwrap();
    dir
}

fn golden(name: &str) -> String {
    fs::read_to_string(in_tree("tests/cli").join(name)).unwrap()
}

/// Runs it with nobody at the control socket.
fn history(dir: &Path, words: &[&str]) -> (i32, String, String) {
    let dir = dir.to_str().unwrap();
    outcome(&vrrpd(&[&["history", "--runtime-dir", "/nonexistent", "--state-dir", dir], words].concat()))
}

#[test]
fn history_is_read_from_the_file_when_no_daemon_runs() {
    let dir = state();
    let notice = format!("vrrpd: the daemon is not running; this is from {}\n", dir.path().join("history").display());
    assert_eq!(history(dir.path(), &[]), (0, golden("history.txt"), notice.clone()));
    assert_eq!(history(dir.path(), &["--json"]), (0, golden("history.json"), notice.clone()));
    let (code, text, _) = history(dir.path(), &["-n", "1", "web"]);
    assert_eq!((code, text.contains("MASTER -> FAULT"), text.matches("  web  ").count()), (0, true, 1), "{text}");
    assert_eq!(history(dir.path(), &["nobody"]), (0, "nothing has happened\n".to_owned(), notice));
    assert!(golden("history.txt").lines().all(|line| line.len() <= 80));
}

#[test]
fn history_of_a_torn_file_is_what_is_whole() {
    let dir = state();
    let path = dir.path().join("history");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    let (code, text, _) = history(dir.path(), &["-n", "1"]);
    assert_eq!((code, text.contains("MASTER -> FAULT")), (0, true), "{text}");
    fs::remove_file(&path).unwrap();
    assert_eq!(history(dir.path(), &[]).1, "nothing has happened\n");
    fs::create_dir(&path).unwrap();
    let (code, stdout, stderr) = history(dir.path(), &[]);
    let expected = format!("vrrpd: the daemon is not running, and {} cannot be read: ", path.display());
    assert_eq!((code, stdout.as_str(), stderr.starts_with(&expected)), (3, "", true), "{stderr}");
}

/// Every entry of the catalog is one that the program may write, and no entry is there twice.
#[test]
fn catalog_has_no_message_that_the_program_has_not() {
    let catalog = fs::read_to_string(in_tree("dist/vrrpd.catalog")).unwrap();
    let found: Vec<&str> = catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
    let mut known: Vec<&str> = ::vrrpd::daemon::record::Kind::ALL.iter().map(|kind| kind.message_id()).collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    known.sort_unstable();
    assert_eq!(sorted, known);
    for entry in catalog.split("\n-- ").skip(1) {
        let lines: Vec<&str> = entry.lines().collect();
        assert!(lines[1].starts_with("Subject: ") && lines[2] == "Defined-By: vrrpd" && lines[3].is_empty(), "{entry}");
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() <= 120), "{entry}");
        // Only fields that such a line has can be filled in.
        for field in entry.split('@').skip(1).step_by(2) {
            assert!(LOGGED.contains(&field), "{field} in {entry}");
        }
    }
}

const LOGGED: [&str; 10] = [
    "VRRP_INSTANCE",
    "VRRP_STATE",
    "VRRP_PREVIOUS_STATE",
    "VRRP_REASON",
    "VRRP_PRIORITY",
    "VRRP_PEER",
    "VRRP_COUNT",
    "VRRP_CHECK",
    "VRRP_VERDICT",
    "VRRP_GROUP",
];
