//! Programs that cannot run, told before they are needed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{outcome, vrrpd};

const PAIR: &str = "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nsource = \"192.0.2.11\"\n\
                    peers = [\"192.0.2.12\"]\npriority = 100\naddresses = [\"192.0.2.30/24\"]\n";

#[test]
fn each_program_that_cannot_run_is_told_with_its_place_and_repair() {
    let directory = tempfile::tempdir().unwrap();
    allow(directory.path(), 0o755);
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("plain"), "#!/bin/sh\n").unwrap();
    allow(Path::new(&path("plain")), 0o644);
    fs::write(path("fine"), "#!/bin/sh\n").unwrap();
    allow(Path::new(&path("fine")), 0o755);
    let text = format!(
        "{PAIR}checks = [\"gone\", \"plain\", \"fine\"]\nnotify_master = \"{}\"\nnotify_fault = \"{}\"\n\
         [check.gone]\nexec = [\"{}\", \"-q\"]\n[check.plain]\nexec = \"{}\"\n[check.fine]\nexec = \"{}\"\n",
        path("told"),
        path("gone"),
        path("gone"),
        path("plain"),
        path("fine")
    );
    fs::write(path("pair.toml"), text).unwrap();

    let (code, stdout, stderr) = outcome(&vrrpd(&["check", &path("pair.toml")]));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!((code, stdout.as_str(), lines.len()), (78, "", 3), "{stderr}");
    let file = path("pair.toml");
    // The first line that names it: that of the hook.
    assert_eq!(lines[0], format!("{file}:10:17: error: check gone: {} does not exist", path("gone")));
    let may_not = format!(" may not execute {} (mode 0644, owner ", path("plain"));
    assert!(lines[1].starts_with(&format!("{file}:14:9: error: check plain: user ")), "{}", lines[1]);
    assert!(lines[1].contains(&may_not), "{}", lines[1]);
    assert!(lines[1].ends_with(&format!("; repair: chmod a+rx {}", path("plain"))), "{}", lines[1]);
    assert_eq!(
        lines[2],
        format!("{file}:9:18: warning: notify_master of instance web: {} does not exist", path("told"))
    );

    let elsewhere = vrrpd(&["check", "--no-programs", &file]);
    assert_eq!(outcome(&elsewhere), (0, String::new(), String::new()));
    let json: serde_json::Value =
        serde_json::from_str(&outcome(&vrrpd(&["check", "--json", &file])).1).expect("one object");
    assert_eq!(json["problems"][1]["severity"], "error");
}

#[test]
fn a_hook_alone_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pair.toml");
    fs::write(&file, format!("{PAIR}notify = \"/nonexistent/program\"\n")).unwrap();
    let (code, _, stderr) = outcome(&vrrpd(&["check", file.to_str().unwrap()]));
    assert_eq!(code, 0);
    let expected = "pair.toml:8:11: warning: notify of instance web: /nonexistent does not exist\n";
    assert!(stderr.ends_with(expected), "{stderr}");
    assert_eq!(outcome(&vrrpd(&["check", "--strict", file.to_str().unwrap()])).0, 78);
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
