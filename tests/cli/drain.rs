//! `vrrpd drain` and `vrrpd resume` without a daemon; with one they are in `tests/netns`.

use tempfile::TempDir;

use crate::{outcome, vrrpd};

#[test]
fn without_a_daemon_it_is_said_so() {
    let dir = TempDir::new().unwrap();
    for command in ["drain", "resume"] {
        let output = vrrpd(&[command, "--runtime-dir", dir.path().to_str().unwrap()]);
        let (code, stdout, stderr) = outcome(&output);
        assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
        assert!(stderr.starts_with("vrrpd: not running: nobody listens on "), "{stderr}");
    }
}

#[test]
fn lengths_of_time_have_a_unit_and_a_limit_is_for_those_who_wait() {
    for (arguments, said) in [
        (&["drain", "--for", "30"][..], "the unit is missing"),
        (&["drain", "--for", "soon"], "expected a number and a unit"),
        (&["drain", "--timeout", "5s"], "--wait"),
    ] {
        let (code, _, stderr) = outcome(&vrrpd(arguments));
        assert!(code == 64 && stderr.contains(said), "{arguments:?}: {code} {stderr}");
    }
}
