//! A program that was executed in the place of another leads back to it when it fails, and a rehearsal says who would start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Lets our program take over from a script with this note; `PID` in it is the process id. Returns what came of it.
fn take_over(dir: &Path, note: &str, config: &str) -> Output {
    let before = dir.join("before");
    fs::write(&before, "#!/bin/sh\necho \"back: $*\"\necho \"$VRRPD_UPGRADE\"\n").unwrap();
    fs::set_permissions(&before, fs::Permissions::from_mode(0o755)).unwrap();
    let script =
        "exec 7<\"$1\"; VRRPD_UPGRADE=$(echo \"$2\" | sed \"s/PID/$$/\"); export VRRPD_UPGRADE; shift 2; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(&before).arg(note).arg(env!("CARGO_BIN_EXE_vrrpd"));
    command.args(["run", "--log", "text", "--config", config]).current_dir(dir).output().unwrap()
}

const NOTE: &str = r#"{"pid":PID,"way_back":7,"name":"before","patience_ms":300,"from":"9.9.9","failure":null}"#;

fn went_back(output: &Output) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    let (first, note) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let note: serde_json::Value = serde_json::from_str(&note).unwrap_or_default();
    assert_eq!(note["from"], env!("CARGO_PKG_VERSION"), "{output:?}");
    assert_eq!(note["way_back"], 7, "{output:?}");
    (first, note["failure"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_program_that_cannot_start_leads_back_with_the_same_arguments() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("broken.toml"), "[instance\n").unwrap();
    let (arguments, why) = went_back(&take_over(dir.path(), NOTE, "broken.toml"));
    assert_eq!(arguments, "back: run --log text --config broken.toml");
    assert!(why.starts_with("broken.toml:1:"), "{why}");
}

#[test]
fn a_program_that_hangs_leads_back() {
    let dir = TempDir::new().unwrap();
    nix::unistd::mkfifo(&dir.path().join("hangs.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (arguments, why) = went_back(&take_over(dir.path(), NOTE, "hangs.toml"));
    assert_eq!(arguments, "back: run --log text --config hangs.toml");
    assert_eq!(why, "not ready within 300ms");
}

#[test]
fn a_note_for_another_process_or_of_the_way_back_leads_nowhere() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("broken.toml"), "[instance\n").unwrap();
    let returned = NOTE.replace("null", "\"out of luck\"");
    for note in ["", "nonsense", &NOTE.replace("PID", "1"), &returned] {
        let output = take_over(dir.path(), note, "broken.toml");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(78), &b""[..]), "{note}");
        let told = String::from_utf8_lossy(&output.stderr).contains("could not take over, back to version");
        assert_eq!(told, note == returned, "{note}: {output:?}");
    }
}

#[test]
fn a_rehearsal_says_what_is_wrong_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("broken.toml"), "[daemon]\nruntime_dir = \"made\"\n[instance\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    let output =
        command.args(["run", "--preflight", "--config", "broken.toml"]).current_dir(dir.path()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(78), &b""[..]));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("broken.toml:3:"), "{output:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
