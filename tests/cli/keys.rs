//! Keys of the HMAC trailer on the command line: made, looked at, left alone, and shown to nobody.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tempfile::TempDir;

use crate::{command, outcome, vrrpd, with_input};

/// 32 bytes.
const MARKER: &str = "m4rker-m4rker-m4rker-m4rker-m4rk";

fn file(key: &str) -> String {
    format!(
        "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\npeers = [\"192.0.2.12\"]\n\
         addresses = [\"192.0.2.30/24\"]\n[instance.web.auth.hmac]\nkeys = {{ 1 = \"{key}\" }}\n"
    )
}

#[test]
fn keygen_prints_one_key_and_nothing_else() {
    let (code, line, stderr) = outcome(&vrrpd(&["keygen"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let digits = line.strip_prefix("hex:").unwrap().strip_suffix('\n').unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|digit| b"0123456789abcdef".contains(&digit)), "{line}");
    assert_ne!(outcome(&vrrpd(&["keygen"])).1, line, "each is another one");
    let (code, stdout, stderr) = outcome(&with_input(&["check", "-"], file(line.trim_end()).as_bytes()));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""), "its line is a value of the configuration");
    for argument in ["secret", "--key"] {
        assert_eq!(outcome(&vrrpd(&["keygen", argument])).0, 64, "no argument can hold a secret");
    }
}

#[test]
fn a_key_file_is_made_by_redirection() {
    let directory = TempDir::new().unwrap();
    for (mode, warns, code) in [(0o600, false, 0), (0o644, true, 78)] {
        let path = directory.path().join("key");
        let key = File::create(&path).unwrap();
        key.set_permissions(Permissions::from_mode(mode)).unwrap();
        let output = command(&["keygen"]).stdout(Stdio::from(key)).output().unwrap();
        let said = outcome(&output);
        assert_eq!(
            (said.0, said.1.as_str(), said.2.contains("would be refused: chmod 600")),
            (0, "", warns),
            "{mode:o}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 69);
        let text = file(&format!("file:{}", path.display()));
        let (found, _, stderr) = outcome(&with_input(&["check", "-"], text.as_bytes()));
        assert_eq!((found, stderr.contains(&format!("; chmod 600 {}", path.display()))), (code, warns), "{stderr}");
    }
}

#[test]
fn a_key_that_went_nowhere_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (code, _, stderr) = outcome(&command(&["keygen"]).stdout(full).output().unwrap());
    assert_eq!(code, 70);
    assert!(stderr.starts_with("vrrpd: no key was written: "), "{stderr}");
}

#[test]
fn a_credential_is_found_where_systemd_puts_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("web");
    fs::write(&path, format!("{MARKER}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    let (ours, theirs) = (directory.path().join("f.toml"), directory.path().join("f.conf"));
    fs::write(&ours, file("credential:web")).unwrap();
    let block = "auth_hmac {\n  key 1 file:${_ENV CREDENTIALS_DIRECTORY}/web\n  active_key 1\n }";
    let instance = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n BLOCK\n virtual_ipaddress {\n  192.0.2.30/24\n }\n}\n";
    fs::write(&theirs, instance.replace("BLOCK", block)).unwrap();
    for path in [&ours, &theirs] {
        let run = |words: &[&str], credentials: &str| {
            let mut command = command(words);
            outcome(&command.env("CREDENTIALS_DIRECTORY", credentials).arg(path).output().unwrap())
        };
        assert_eq!(run(&["check"], directory.path().to_str().unwrap()), (0, String::new(), String::new()));
        let (code, _, stderr) = run(&["check"], "/nonexistent");
        assert_eq!(code, 78);
        assert!(stderr.contains("key 1: /nonexistent/web: cannot be read: "), "{stderr}");
        let (code, _, stderr) = run(&["check"], "");
        assert_eq!(code, 78);
        assert!(stderr.contains("LoadCredential=web:PATH"), "{stderr}");
        assert_eq!(run(&["check", "--no-programs"], ""), (0, String::new(), String::new()));
    }
    for credentials in [directory.path().to_str().unwrap(), ""] {
        let mut command = command(&["convert"]);
        let (code, toml, _) =
            outcome(&command.env("CREDENTIALS_DIRECTORY", credentials).arg(&theirs).output().unwrap());
        assert_eq!(code, 0);
        assert!(toml.contains("keys = { 1 = \"credential:web\" }") && !toml.contains("m4rker"), "{toml}");
    }
}

#[test]
fn no_output_shows_a_key() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("key");
    let text = file(&format!("file:{}", path.display()));
    for (contents, mode) in
        [(MARKER, 0o600), (MARKER, 0o644), (&MARKER[..31], 0o600), ("hex:m4rker", 0o600), ("m4rkerü", 0o600)]
    {
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        for words in [&["check", "-"][..], &["check", "--json", "-"], &["check", "--strict", "-"]] {
            let (_, stdout, stderr) = outcome(&with_input(words, text.as_bytes()));
            assert!(!stdout.contains("m4rker") && !stderr.contains("m4rker"), "{contents}: {stdout}{stderr}");
        }
    }
}
