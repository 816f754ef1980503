//! Secrets and options that few files have.

use super::tests::{SEAT, WEB, complains, ip, load_text, only_router};
use crate::engine::params::{Auth, AuthMode, VipOptions};
use crate::wire::auth::Password;

#[test]
fn version_2_has_a_secret_and_version_3_none() {
    let auth = |version: &str, keys: &str| format!("{WEB}{version}{SEAT}[instance.web.auth]\n{keys}\n");
    let v2 = "version = 2\n";
    assert_eq!(
        only_router(&auth(v2, "password = \"12345678\"")).auth,
        Auth::Password { password: Password::new(b"12345678"), mode: AuthMode::Enforce }
    );
    assert_eq!(only_router(&auth(v2, "ah = \"key\"")).auth, Auth::Ah(Password::new(b"key")));
    complains(&auth("", "password = \"x\""), &["7:1: error: version 3 has no password"]);
    complains(&auth(v2, "password = \"x\"\nah = \"y\""), &["10:6: error: `password` and `ah` exclude"]);
    complains(&auth(v2, ""), &["8:1: error: `auth` needs `password` or `ah`"]);
    let long = auth(v2, "password = \"123456789\"");
    let warnings = load_text(&long).unwrap().warnings;
    assert_eq!(
        warnings[0].to_string(),
        "t.toml:9:12: warning: only the first 8 bytes of the secret count (RFC 2338); cut it on every node"
    );
    assert!(!format!("{:?}", only_router(&long)).contains("1234"));
}

#[test]
fn options_that_few_need_arrive() {
    let router = only_router(&format!(
        "{WEB}source = \"fe80::2\"\nmulticast = true\nmaster_down_adverts = 5\nignore_link = true\n\
         addresses = [\"fe80::1/64\", {{ address = \"2001:db8::1\", peer = \"2001:db8::2\", preferred_lifetime = \"1h\", \
         dad = true, home = true, mngtmpaddr = true, noprefixroute = true, autojoin = true, no_track = true }}]\n"
    ));
    assert_eq!((router.master_down_adverts, router.ignores_link), (5, true));
    let options = VipOptions {
        peer: Some(ip("2001:db8::2")),
        preferred_lifetime: Some(3600),
        detects_duplicates: true,
        is_home: true,
        manages_temporary: true,
        has_no_route: true,
        joins_group: true,
        is_untracked: true,
    };
    assert_eq!(router.vips[1].options, options);
    for (option, problem) in [
        ("dad = true", "6:48: error: `dad` beside an IPv4 address"),
        ("peer = \"::2\"", "error: `peer` is \"::2\"; expected an address of the same family"),
        ("preferred_lifetime = \"5ms\"", "whole seconds"),
    ] {
        let text =
            format!("{WEB}{}", SEAT.replace("[\"10.0.0.30\"]", &format!("[{{ address = \"10.0.0.30\", {option} }}]")));
        let problems = load_text(&text).expect_err(option).to_string();
        assert!(problems.contains(problem.trim_start_matches("6:48: ")), "{problems}");
    }
    complains(&format!("{WEB}{SEAT}master_down_adverts = 0\n"), &["7:23: error: `master_down_adverts` is 0; expected"]);
    complains(&format!("{WEB}version = 2\nmulticast = true\naddresses = []\n"), &["6:13: warning: no addresses"]);
}
