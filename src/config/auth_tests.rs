//! `[instance.NAME.auth]`: whole files in, parameters or problems out, and never a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use super::tests::{SEAT, WEB, complains, load_text, only_router};
use super::*;
use crate::engine::params::{Auth, AuthMode, HmacParams, ReplayGuard};
use crate::wire::auth::{Key, Password};
use crate::wire::field::KeyId;

const V2: &str = "version = 2\n";
/// Every secret of these tests; 33 bytes.
const MARKER: &str = "s3cr3t-m4rker-that-nobody-may-see";

fn auth(head: &str, lines: &str) -> String {
    format!("{WEB}{head}{SEAT}[instance.web.auth]\n{lines}\n")
}

fn hmac(head: &str, rest: &str) -> HmacParams {
    match only_router(&auth(head, &format!("hmac = {{ {rest} }}"))).auth {
        Auth::Hmac(params) => params,
        other => panic!("{other:?}"),
    }
}

fn id(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

fn guard(seconds: u64) -> ReplayGuard {
    ReplayGuard::Time { window: Duration::from_secs(seconds) }
}

#[test]
fn version_2_has_a_password_or_a_key_of_a_header() {
    let password = |mode| Auth::Password { password: Password::new(b"12345678"), mode };
    assert_eq!(only_router(&auth(V2, "password = \"12345678\"")).auth, password(AuthMode::Enforce));
    for (word, mode) in
        [("receive-only", AuthMode::ReceiveOnly), ("permissive", AuthMode::Permissive), ("enforce", AuthMode::Enforce)]
    {
        let text = auth(V2, &format!("password = \"12345678\"\nmode = \"{word}\""));
        assert_eq!(only_router(&text).auth, password(mode), "{word}");
    }
    assert_eq!(only_router(&auth(V2, "ah = \"key\"")).auth, Auth::Ah(Password::new(b"key")));
    let long = auth(V2, "password = \"123456789\"");
    complains(&long, &["9:12: warning: only the first 8 bytes of the secret count (RFC 2338); cut it on every node"]);
    assert!(!format!("{:?}", only_router(&long)).contains("1234"));
}

#[test]
fn keys_of_the_trailer_get_every_default() {
    for version in ["", V2] {
        let params = hmac(version, &format!("keys = {{ 7 = \"{MARKER}\" }}"));
        let keys = vec![(id(7), Arc::new(Key::new(MARKER.as_bytes()).unwrap()))];
        assert_eq!(params, HmacParams { keys, active: id(7), mode: AuthMode::Enforce, guard: guard(5) });
        assert!(!format!("{params:?}").contains(&MARKER[..6]));
    }
}

#[test]
fn every_key_of_the_table_arrives() {
    let params = hmac(
        "",
        &format!(
            "keys = {{ 255 = \"{MARKER}\", 2 = \"hex:{}\" }}, active = 255, mode = \"receive-only\", replay = \"time\", window = \"300s\"",
            "ab".repeat(64)
        ),
    );
    let keys: Vec<u8> = params.keys.iter().map(|(id, _)| id.get()).collect();
    assert_eq!(
        (keys, params.active, params.mode, params.guard),
        (vec![2, 255], id(255), AuthMode::ReceiveOnly, guard(300))
    );
    assert!(*params.keys[0].1 == Key::new(&[0xab; 64]).unwrap());
    assert_eq!(
        hmac("", &format!("keys = {{ 1 = \"{MARKER}\" }}, replay = \"monotonic\"")).guard,
        ReplayGuard::Monotonic
    );
    // The same as a table of its own.
    let table = format!("{WEB}{SEAT}[instance.web.auth.hmac]\nkeys.1 = \"{MARKER}\"\nmode = \"permissive\"\n");
    assert!(matches!(only_router(&table).auth, Auth::Hmac(HmacParams { mode: AuthMode::Permissive, .. })));
}

#[test]
fn the_window_is_three_intervals_of_whole_seconds_and_5_s_to_300_s() {
    let keys = format!("keys = {{ 1 = \"{MARKER}\" }}");
    for (head, seconds) in [
        ("advert_interval = \"10ms\"\n", 5),
        ("advert_interval = \"1990ms\"\n", 5),
        ("advert_interval = \"2s\"\n", 6),
        ("advert_interval = \"2.9s\"\n", 6),
        ("advert_interval = \"40.95s\"\n", 120),
        ("version = 2\nadvert_interval = \"100s\"\n", 300),
        ("version = 2\nadvert_interval = \"255s\"\n", 300),
    ] {
        assert_eq!(hmac(head, &keys).guard, guard(seconds), "{head}");
    }
    assert_eq!(hmac("", &format!("{keys}, window = \"1s\"")).guard, guard(1));
    assert_eq!(hmac("", &format!("{keys}, window = \"5m\"")).guard, guard(300));
}

#[test]
fn secrets_of_one_table_exclude_each_other() {
    let key = format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }} }}");
    for (head, lines, problem) in [
        (
            "",
            "password = \"x\"",
            "8:12: error: version 3 has no `password` (RFC 9568 section 9); write `hmac`, or `version",
        ),
        ("", "ah = \"x\"", "8:6: error: version 3 has no `ah`"),
        (
            V2,
            "password = \"x\"\nah = \"y\"",
            "10:6: error: `password` and `ah` exclude each other; take one of them out",
        ),
        (V2, &format!("password = \"x\"\n{key}"), "10:8: error: `password` and `hmac` exclude each other"),
        (V2, &format!("{key}\nah = \"x\""), "9:8: error: `ah` and `hmac` exclude each other"),
        (
            V2,
            "",
            "8:1: error: `auth` needs `hmac`, such as hmac = { keys = { 1 = \"file:/etc/vrrpd/keys/web\" } }, or in",
        ),
        ("", "mode = \"enforce\"", "7:1: error: `auth` needs `hmac`"),
        (V2, "ah = \"x\"\nmode = \"enforce\"", "10:8: error: `ah` has no `mode`: every node sends and requires"),
        (
            "",
            &format!("{key}\nmode = \"enforce\""),
            "9:8: error: `mode` is that of `password`; the one of `hmac` stands in",
        ),
        (
            V2,
            "password = \"x\"\nmode = \"enforced\"",
            "10:8: error: `mode` is \"enforced\"; expected \"receive-only\", \"permissive\" or \"enforce\"; did you mean \"enforce\"?",
        ),
        (V2, "password = 1", "9:12: error: `password` takes a string of at most 8 bytes, not a number"),
        (
            "",
            "hmac = true",
            "8:8: error: `hmac` takes a table such as { keys = { 1 = \"file:/etc/vrrpd/keys/web\" } }, not true",
        ),
        ("", "hmac = {}", "8:8: error: [instance.web.auth.hmac] needs `keys`, such as keys = { 1 = \"file:"),
    ] {
        complains(&auth(head, lines), &[problem]);
    }
}

#[test]
fn every_wrong_key_is_told() {
    let two = format!("keys = {{ 1 = \"{MARKER}\", 9 = \"hex:{}\" }}", "ab".repeat(32));
    for (rest, problem) in [
        ("keys = {}", "8:17: error: `keys` is empty; expected at least one"),
        ("keys = 1", "8:17: error: `keys` takes a table of strings such as { 1 = "),
        ("keys = { 1 = 2 }", "8:23: error: `keys` takes a table of strings"),
        (&format!("keys = {{ 0 = \"{MARKER}\" }}"), "8:19: error: the number of a key is 0; expected 1 to 255"),
        (&format!("keys = {{ 256 = \"{MARKER}\" }}"), "8:19: error: the number of a key is 256; expected 1 to 255"),
        (&format!("keys = {{ 01 = \"{MARKER}\" }}"), "8:19: error: the number of a key is 01; expected 1 to 255"),
        (&format!("keys = {{ +1 = \"{MARKER}\" }}"), "8:19: error: "),
        (
            &format!("keys = {{ {MARKER} = \"1\" }}"),
            "8:19: error: a key has no number; expected 1 to 255 in front of it",
        ),
        (
            &format!("keys = {{ 1 = \"{}\" }}", &MARKER[..31]),
            "8:23: error: key 1: key of 31 bytes, 32 to 64 expected; `vrrpd keygen` makes one",
        ),
        (
            "keys = { 1 = \"hex:abc\" }",
            "8:23: error: key 1: half an octet; expected two digits for each octet behind `hex:`",
        ),
        (
            "keys = { 1 = \"file:/nonexistent/key\" }",
            "8:23: error: key 1: /nonexistent/key: cannot be read: No such file",
        ),
        (
            "keys = { 1 = \"credential:web\" }",
            "8:23: error: key 1: no credential \"web\", for $CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential=web:PATH",
        ),
        (&two, "8:17: error: there are keys 1, 9 and none is said to sign; write `active = 1`"),
        (&format!("{two}, active = 2"), "8:147: error: `active` is 2; expected the number of one of the keys: 1, 9"),
    ] {
        complains(&auth("", &format!("hmac = {{ {rest} }}")), &[problem]);
    }
}

#[test]
fn every_wrong_value_beside_the_keys_is_told() {
    let one = format!("keys = {{ 1 = \"{MARKER}\" }}");
    for (rest, problem) in [
        (&format!("{one}, active = 0"), "8:71: error: `active` is 0; expected the number of one of the keys: 1"),
        (&format!("{one}, active = 257"), "8:71: error: `active` is 257; expected"),
        (
            &format!("{one}, active = \"1\""),
            "8:71: error: `active` takes the number of a key, from 1 to 255, not a string",
        ),
        (
            &format!("{one}, mode = \"strict\""),
            "8:69: error: `mode` is \"strict\"; expected \"receive-only\", \"permissive\" or \"enforce\"",
        ),
        (
            &format!("{one}, replay = \"clock\""),
            "8:71: error: `replay` is \"clock\"; expected \"time\" or \"monotonic\"",
        ),
        (
            &format!("{one}, window = \"0s\""),
            "8:71: error: `window` is \"0s\"; expected whole seconds from \"1s\" to \"300s\"",
        ),
        (&format!("{one}, window = \"301s\""), "8:71: error: `window` is \"301s\"; expected whole seconds"),
        (&format!("{one}, window = \"1.5s\""), "8:71: error: `window` is \"1.5s\"; expected whole seconds"),
        (&format!("{one}, window = \"5\""), "8:71: error: `window` is \"5\": the unit is missing"),
        (
            &format!("{one}, window = 5"),
            "8:71: error: `window` takes a string with a unit such as \"5s\", not a number",
        ),
        (
            &format!("{one}, window = \"5s\", replay = \"monotonic\""),
            "8:71: error: `window` is for replay = \"time\"; \"monotonic\" compares no clocks",
        ),
        (
            &format!("{one}, activ = 1"),
            "8:62: error: unknown key `activ` in [instance.web.auth.hmac]; did you mean `active`?",
        ),
        (
            &format!("{one}, time_window = 1"),
            "8:62: error: unknown key `time_window` in [instance.web.auth.hmac]; that is keepalived.conf, here it is `window`",
        ),
    ] {
        complains(&auth("", &format!("hmac = {{ {rest} }}")), &[problem]);
    }
}

#[test]
fn one_key_under_two_numbers_is_a_warning() {
    let equal = format!("keys = {{ 1 = \"{MARKER}\", 2 = \"{MARKER}\" }}, active = 1");
    complains(
        &auth("", &format!("hmac = {{ {equal} }}")),
        &["8:64: warning: this key is also key 1; who knows one knows both, so make another with `vrrpd keygen`"],
    );
}

#[test]
fn a_path_begins_where_the_file_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("key"), format!("{MARKER}\n")).unwrap();
    fs::set_permissions(at("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = auth("", "hmac = { keys = { 1 = \"file:key\" } }");
    fs::write(at("vrrpd.toml"), &text).unwrap();
    let loaded = load(&at("vrrpd.toml"), None).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings.len(), 0, "a reference is no secret: {:?}", loaded.warnings);
    let expected = Key::new(MARKER.as_bytes()).unwrap();
    let router = loaded.config.routers().next().unwrap();
    assert!(matches!(&router.auth, Auth::Hmac(params) if *params.keys[0].1 == expected));

    fs::set_permissions(at("key"), fs::Permissions::from_mode(0o640)).unwrap();
    let problems = load(&at("vrrpd.toml"), None).unwrap_err().to_string();
    let key = at("key").display().to_string();
    let expected =
        format!("8:23: error: key 1: {key}: mode 0640 lets others than its owner read or change it; chmod 600 {key}");
    assert!(problems.ends_with(&expected), "{problems}");
    assert!(load_with(&at("vrrpd.toml"), None, Keys::LeftAlone).is_ok());
}

#[test]
fn a_key_in_a_file_that_everybody_can_read_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vrrpd.toml");
    fs::write(&path, auth("", &format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }} }}"))).unwrap();
    for (mode, count) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let warnings = load(&path, None).unwrap().warnings;
        assert_eq!(warnings.len(), count, "{mode:04o}");
        for warning in warnings {
            let expected =
                "8:23: warning: everybody on this host can read this key, for the mode of the configuration is 0644";
            assert!(warning.to_string().contains(expected), "{warning}");
        }
    }
}

/// Each place where a secret can be written, with each slip that comes to mind.
#[test]
fn no_message_shows_a_secret() {
    let half = &MARKER[..31];
    let lines = [
        format!("password = \"{MARKER}\"\nah = \"{MARKER}\""),
        format!("password = \"{MARKER}\"\nmode = 1"),
        format!("password = {MARKER}"),
        format!("password = \"{MARKER}"),
        format!("password = '{MARKER}"),
        format!("password = \"{MARKER}\\q\""),
        format!("password \"{MARKER}\""),
        format!("password = \"{MARKER}\" \"{MARKER}\""),
        format!("password = [\"{MARKER}\"]"),
        format!("password = {{ \"{MARKER}\" = 1 }}"),
        format!("ah = \"\"\"{MARKER}"),
        format!("passwort = \"{MARKER}\""),
        format!("ah = \"{MARKER}\"\nmode = \"enforce\""),
        format!("hmac = \"{MARKER}\""),
        format!("hmac = {{ keys = \"{MARKER}\" }}"),
        format!("hmac = {{ keys = [\"{MARKER}\"] }}"),
        format!("hmac = {{ key = \"{MARKER}\" }}"),
        format!("hmac = {{ keys = {{ 1 = \"{half}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"hex:{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}ü\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\\n\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = [\"{MARKER}\"] }} }}"),
        format!("hmac = {{ keys = {{ 1 = {MARKER} }} }}"),
        format!("hmac = {{ keys = {{ 0 = \"{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ \"{MARKER}\" = 1 }} }}"),
        format!("hmac = {{ keys = {{ \"{MARKER}\" = \"1\" }} }}"),
        format!("hmac = {{ keys = {{ {MARKER} = \"1\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" 2 = \"{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\", 1 = \"{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\", 2 = \"{MARKER}\" }} }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }}, active = 2 }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }}, active = \"{MARKER}\" }}"),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }}, window = \"1\" }}\npassword = \"{MARKER}\""),
        format!("hmac = {{ keys = {{ 1 = \"{MARKER}\" }} }}\nmode = \"enforce\""),
        format!("hmac.keys.1 = \"{MARKER}\"\nhmac.keys = 1"),
    ];
    for line in lines {
        for head in ["", V2] {
            let said = match load_text(&auth(head, &line)) {
                Ok(loaded) => format!("{:?}", loaded),
                Err(problems) => format!("{problems}\n{problems:?}"),
            };
            for at in 0..MARKER.len() - 8 {
                assert!(!said.contains(&MARKER[at..at + 8]), "{line}\n{said}");
            }
        }
    }
}
