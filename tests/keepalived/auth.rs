//! `auth_hmac` and `max_ttl`: text in, parameters out, and what is refused rather than run without authentication.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vrrpd::config::{self, Keys, Loaded};
use vrrpd::engine::params::{Auth, HmacParams};
use vrrpd::wire::auth::Key;

use crate::reader::{assert_converts, document, kinds, load, refused, routers};

/// 32 bytes of text, and as digits; both have `m4rker`.
const TEXT: &str = "m4rker-m4rker-m4rker-m4rker-m4rk";
const DIGITS: &str = "hex:6d346b65722d6d346b65722d6d346b65722d6d346b65722d6d346b65722d6d34";

/// An instance with these lines and this block; the block begins at line 5.
fn with(lines: &str, block: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n {lines}\nauth_hmac {{\n{block}\n}}\n \
         virtual_ipaddress {{\n 10.0.0.1/24\n }}\n}}\n"
    )
}

fn hmac(loaded: &Loaded) -> HmacParams {
    match &routers(&loaded.config)[0].auth {
        Auth::Hmac(params) => params.clone(),
        other => panic!("{other:?}"),
    }
}

fn show(loaded: &Loaded) -> String {
    let params = hmac(loaded);
    let ids: Vec<String> = params.keys.iter().map(|(id, _)| id.to_string()).collect();
    format!("{} of {}, {:?}, {:?}", params.active, ids.join(" "), params.mode, params.guard)
}

#[test]
fn each_keyword_of_auth_hmac() {
    let one = format!("key 1 {TEXT}\nactive_key 1");
    let time = "1 of 1, Enforce, Time { window: 5s }";
    for (lines, block, answer, expected) in [
        ("", one.clone(), time, &[][..]),
        ("version 3", one.clone(), time, &[]),
        ("", format!("active_key 1\nkey 1 {DIGITS}"), time, &[]),
        ("", format!("key 1 \"{TEXT}\"\nactive_key 1 2"), time, &["extra-words"]),
        ("", format!("key 1 {TEXT} {DIGITS}\nactive_key 1"), time, &["extra-words"]),
        ("", format!("key 9 {TEXT}\nkey 2 {DIGITS}\nactive_key 9"), "9 of 2 9, Enforce, Time { window: 5s }", &[]),
        ("", format!("{one}\nkey 1 {DIGITS}"), time, &["twice"]),
        ("", format!("key 2 {DIGITS}\n{one}\nactive_key 2"), "2 of 1 2, Enforce, Time { window: 5s }", &[]),
        ("", format!("{one}\nanti_replay time"), time, &[]),
        ("", format!("{one}\nanti_replay monotonic"), "1 of 1, Enforce, Monotonic", &[]),
        ("", format!("{one}\nanti_replay monotonic\nanti_replay"), "1 of 1, Enforce, Monotonic", &["value"]),
        ("", format!("{one}\nanti_replay clock"), time, &["value"]),
        ("", format!("{one}\nanti_replay monotonic\ntime_window 9"), "1 of 1, Enforce, Monotonic", &["contradiction"]),
        ("", format!("{one}\ntime_window 1"), "1 of 1, Enforce, Time { window: 1s }", &[]),
        ("", format!("{one}\ntime_window 300"), "1 of 1, Enforce, Time { window: 300s }", &[]),
        ("", format!("{one}\ntime_window 301"), time, &["value"]),
        ("", format!("{one}\ntime_window 0"), time, &["value"]),
        ("", format!("{one}\ntime_window 9\ntime_window x"), "1 of 1, Enforce, Time { window: 9s }", &["value"]),
        ("", format!("{one}\nmode enforce"), time, &[]),
        ("", format!("{one}\nmode permissive"), "1 of 1, Permissive, Time { window: 5s }", &[]),
        ("", format!("{one}\nmode receive-only"), "1 of 1, ReceiveOnly, Time { window: 5s }", &[]),
        ("", format!("{one}\nmode receive_only"), time, &["value"]),
        ("strict_mode", format!("{one}\nmode permissive"), time, &["contradiction", "note"]),
        ("strict_mode", format!("{one}\nmode enforce"), time, &["note"]),
        ("advert_int 3", one.clone(), "1 of 1, Enforce, Time { window: 9s }", &["note"]),
        ("advert_int 2.99\nversion 3", one.clone(), "1 of 1, Enforce, Time { window: 6s }", &[]),
        ("advert_int 200", one.clone(), "1 of 1, Enforce, Time { window: 300s }", &["note"]),
        ("authentication {\nauth_type PASS\nauth_pass x\n}", one.clone(), time, &["contradiction"]),
        ("version 3\nauthentication {\nauth_type PASS\nauth_pass x\n}", one.clone(), time, &["contradiction"]),
        ("authentication {\nauth_pass x\n}", one.clone(), time, &["contradiction"]),
        ("auth_hmac {\nmode permissive\n}", one.clone(), "1 of 1, Permissive, Time { window: 5s }", &[]),
        ("", format!("{one}\nactive_kye 2"), time, &["unknown-keyword"]),
    ] {
        let text = with(lines, &block);
        let loaded = load(&text);
        assert_eq!(show(&loaded), answer, "{text}");
        let mut found = kinds(&loaded.warnings);
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
        assert_converts(&block, &loaded);
    }
}

#[test]
fn an_instance_of_ipv6_has_it_too() {
    let text = with("native_ipv6", &format!("key 1 {TEXT}\nactive_key 1")).replace("10.0.0.1/24", "fe80::1/64");
    assert_eq!(show(&load(&text)), "1 of 1, Enforce, Time { window: 5s }");
}

/// Where Keepalived says a word in its log and goes on without authentication, or without the key.
#[test]
fn what_would_run_without_authentication_is_refused() {
    let one = format!("key 1 {TEXT}");
    let unauthenticated = "Keepalived then runs without any authentication; write the number of one of the keys";
    for (block, problem) in [
        (one.clone(), format!("5:1: error: auth_hmac has no `active_key`; {unauthenticated}")),
        (String::new(), format!("5:1: error: auth_hmac has no `active_key`; {unauthenticated}")),
        (
            format!("{one}\nactive_key 2"),
            format!("7:12: error: `active_key` names key 2, which is not there; {unauthenticated}"),
        ),
        (format!("{one}\nactive_key 0"), "7:12: error: the number of a key is 0; expected 1 to 255".to_owned()),
        (format!("{one}\nactive_key {TEXT}"), "7:12: error: the number of a key from 1 to 255 belongs here".to_owned()),
        (format!("key 256 {TEXT}\nactive_key 1"), "6:5: error: the number of a key is 256; expected".to_owned()),
        (format!("key {TEXT}\nactive_key 1"), "6:5: error: the number of a key from 1 to 255 belongs here".to_owned()),
        ("key 1\nactive_key 1".to_owned(), "6:1: error: `key` needs a word behind it".to_owned()),
        (
            format!("key 1 {}\nactive_key 1", &TEXT[..31]),
            "6:7: error: key 1: key of 31 bytes, 32 to 64 expected; `vrrpd keygen` makes one".to_owned(),
        ),
        (format!("key 1 {DIGITS}a\nactive_key 1"), "6:7: error: key 1: half an octet".to_owned()),
        (
            format!("{one}\nkey 2 file:/nonexistent/m4rker\nactive_key 1"),
            "7:7: error: key 2: /nonexistent/m4rker: cannot be read: No such file".to_owned(),
        ),
    ] {
        let lines = refused(&with("", &block));
        assert!(lines.lines().any(|line| line.starts_with(&format!("f.conf:{problem}"))), "{problem}\n{lines}");
    }
}

#[test]
fn key_files_are_read_where_the_file_that_names_them_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("inner")).unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("outer.key", &format!("{TEXT}\n"), 0o600);
    write("inner/inner.key", &format!("{DIGITS}\r\n"), 0o400);
    write("inner/keys.conf", "key 2 file:inner.key\n", 0o644);
    write("k.conf", &with("", "key 1 file:outer.key\ninclude inner/keys.conf\nactive_key 2"), 0o644);
    let loaded = config::load(&at("k.conf"), None).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(kinds(&loaded.warnings), Vec::<&str>::new(), "{:?}", loaded.warnings);
    let keys = hmac(&loaded).keys;
    assert!(*keys[0].1 == Key::new(TEXT.as_bytes()).unwrap() && *keys[1].1 != *keys[0].1);
    let toml = assert_converts("files", &loaded);
    let named = |id: u8, name: &str| format!("{id} = \"file:{}\"", at(name).display());
    assert!(toml.contains(&named(1, "outer.key")) && toml.contains(&named(2, "inner/inner.key")), "{toml}");

    fs::set_permissions(at("inner/inner.key"), fs::Permissions::from_mode(0o440)).unwrap();
    let said = config::load(&at("k.conf"), None).unwrap_err().to_string();
    let (conf, key) = (at("inner/keys.conf").display().to_string(), at("inner/inner.key").display().to_string());
    let mode = "mode 0440 lets others than its owner read or change it";
    assert_eq!(said, format!("{conf}:1:7: error: key 2: {key}: {mode}; chmod 600 {key}"));
    let elsewhere = config::load_with(&at("k.conf"), None, Keys::LeftAlone).expect("keys are left alone");
    assert!(convert(&elsewhere).contains(&named(2, "inner/inner.key")));
}

/// The way in which Keepalived's manual names a credential of systemd; no test runs as a unit that has one.
#[test]
fn a_credential_is_named_by_its_directory() {
    let text = with("", "key 1 file:${_ENV CREDENTIALS_DIRECTORY}/web\nactive_key 1");
    let said = refused(&text);
    let expected =
        "key 1: no credential \"web\", for $CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential=web:PATH";
    assert!(said.contains(expected), "{said}");
    let loaded =
        config::load_from_with("f.conf", text.as_bytes(), config::Format::Keepalived, Keys::LeftAlone).unwrap();
    assert!(convert(&loaded).contains("keys = { 1 = \"credential:web\" }"), "{}", convert(&loaded));
}

#[test]
fn a_key_in_a_file_that_everybody_can_read_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.conf");
    fs::write(&path, with("", &format!("key 1 {TEXT}\nactive_key 1"))).unwrap();
    for (mode, expected) in [(0o600, &[][..]), (0o640, &[]), (0o644, &["exposed-key"])] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(kinds(&config::load(&path, None).unwrap().warnings), expected, "{mode:04o}");
    }
}

#[test]
fn an_inline_key_is_carried_over() {
    let loaded = load(&with("", &format!("key 3 {DIGITS}\nactive_key 3\nmode permissive\ntime_window 7")));
    let table = format!(
        "[instance.V.auth.hmac]\nkeys = {{ 3 = \"{DIGITS}\" }}\nactive = 3\nmode = \"permissive\"\nwindow = \"7s\"\n"
    );
    assert!(convert(&loaded).ends_with(&table), "{}", convert(&loaded));
}

/// Each place where a secret can stand, with each slip that comes to mind.
#[test]
fn no_message_shows_a_secret() {
    let hidden = [
        format!("key 1 {}", &TEXT[..31]),
        format!("key 1 {TEXT}{TEXT}{TEXT}"),
        format!("key 1 hex:{TEXT}"),
        format!("key 1 {DIGITS}a"),
        format!("key 1 {TEXT}ü"),
        format!("key {TEXT}"),
        format!("key {TEXT} 1"),
        format!("key 1 x {TEXT}"),
        format!("key 1\n{TEXT}"),
        format!("key 1\nhex:{TEXT}"),
        format!("{TEXT}"),
        format!("key 1 {{\n{TEXT}\n}}"),
        format!("kye 1 {TEXT}"),
        format!("key 1 {TEXT}\nactive_key {TEXT}"),
        format!("key 1 {TEXT}\nactive_key 1 {TEXT}"),
        format!("key 1 {TEXT}\nkey 1 {TEXT}"),
        format!("key 1 \"{TEXT}\nactive_key 1"),
        format!("}}\nauth_hmac {TEXT} {{\nkey 1 x"),
        format!("}}\nauthentication {TEXT} {{\nauth_type PASS"),
        format!("}}\nauthentication {{\nauth_type PASS\nauth_pass {TEXT} {TEXT}"),
        format!("}}\nauthentication {{\nauth_type PASS\nauth_pass\n{TEXT}"),
        format!("}}\nauthentication {{\nauth_type PASS {TEXT}\nauth_pass {TEXT}"),
    ];
    for block in hidden {
        let text = with("", &block);
        let said = match config::load_from("f.conf", text.as_bytes(), config::Format::Keepalived) {
            Ok(loaded) => {
                assert!(!loaded.warnings.is_empty(), "{text}");
                format!("{loaded:?} {}", loaded.warnings.iter().map(ToString::to_string).collect::<String>())
            }
            Err(problems) => format!("{problems}\n{problems:?}"),
        };
        assert!(!said.contains("m4rker") && !said.contains("6d346b"), "{block}\n{said}");
    }
}

#[test]
fn a_peer_has_a_highest_ttl() {
    let text = |entry: &str| {
        format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n unicast_peer {{\n{entry}\n}}\n \
             virtual_ipaddress {{\n 10.0.0.1/24\n }}\n}}\n"
        )
    };
    for (entry, range, expected) in [
        ("10.9.0.2 max_ttl 64", (None, Some(64)), &[][..]),
        ("10.9.0.2 min_ttl 64 max_ttl 64", (Some(64), Some(64)), &[]),
        ("10.9.0.2 max_ttl 70 min_ttl 64", (Some(64), Some(70)), &[]),
        ("10.9.0.2 max_ttl 255", (None, None), &[]),
        ("10.9.0.2 max_ttl 0", (None, None), &["value"]),
        ("10.9.0.2 min_ttl 64 max_ttl 63", (Some(64), None), &["value"]),
        ("10.9.0.2 max_ttl 256", (None, None), &["extra-words", "note"]),
        ("10.9.0.2 max_ttl", (None, None), &["extra-words", "note"]),
    ] {
        let loaded = load(&text(entry));
        let peer = routers(&loaded.config)[0].peers()[0].clone();
        assert_eq!((peer.min_ttl, peer.max_ttl), range, "{entry}");
        let mut found = kinds(&loaded.warnings);
        found.sort_unstable();
        assert_eq!(found, expected, "{entry}");
        assert_converts(entry, &loaded);
    }
}

fn convert(loaded: &Loaded) -> String {
    config::keepalived::convert(&loaded.config, document(loaded))
}

#[test]
fn a_path_in_toml_does_not_depend_on_where_the_file_was() {
    let text = with("", "key 1 file:keys/web\nactive_key 1");
    let loaded =
        config::load_from_with("f.conf", text.as_bytes(), config::Format::Keepalived, Keys::LeftAlone).unwrap();
    let toml = convert(&loaded);
    let path = toml.split_once("1 = \"file:").unwrap().1.split('"').next().unwrap();
    assert!(Path::new(path).is_absolute() && path.ends_with("/keys/web"), "{path}");
}
