//! What nobody would write: mutilated files, and files without end. Each is read in bounded time and memory.

use std::io::{self, Read};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vrrpd::config::{self, Format};

use crate::property::check_keepalived;
use crate::reader::load;

/// A bit of everything.
const SEED: &str = "\
global_defs {\n router_id LVS\n vrrp_version 3\n script_user root\n vrrp_garp_master_delay 2\n notification_email {\n a@b\n }\n}\n\
$IF=eth0\n$M= \\\n 10.0.0.1/24 \\\n 10.0.0.2\n\
vrrp_script chk {\n script \"a 'b' | c\"\n interval 2\n weight -5\n fall 2\n}\n\
~SEQ(i, 1, 3) vrrp_instance V$i { # c\n\
vrrp_instance VI_1 {\n state MASTER\n interface ${IF}\n virtual_router_id 51\n priority 100\n advert_int 1.5\n nopreempt\n\
 preempt_delay 5\n version 2\n authentication {\n auth_type PASS\n auth_pass \"12 45678\"\n }\n unicast_src_ip 10.0.0.9\n\
 unicast_peer {\n 10.0.0.8 min_ttl 254\n }\n virtual_ipaddress {\n 10.0.1.1/24 brd + dev eth1 label eth1:0 scope link\n\
 $M\n }\n virtual_ipaddress_excluded { fe80::1/64 -nodad\n 2001:db8::1 preferred_lft 5 peer ::2\n }\n\
 track_script {\n chk weight 5 reverse\n }\n track_interface {\n eth1 weight 3\n}\n notify_master \"/bin/x\\x41 y\" root\n\
 virtual_routes {\n default via 10.0.0.1 dev eth0 table 7\n }\n garp_master_repeat 3\n}\n\
@^no vrrp_sync_group G { group { VI_1 V1 } }\nvirtual_server 10.0.0.1 80 {\n real_server 1 {\n }\n}\n";

/// Pieces that are put in anywhere.
const SPICE: [&str; 24] = [
    "{",
    "}",
    "\"",
    "'",
    "\n",
    "#",
    "$",
    "${",
    "~SEQ(x, 1, 9) ",
    "~LST({a,b},{1,2}) ",
    "@",
    "\\",
    "\0",
    "\u{fc}",
    "255",
    "0",
    "-1",
    "state MASTER\n",
    "priority 255\n",
    "10.0.0.1/24\n",
    "::1",
    "version 3\n",
    "strict_mode\n",
    "native_ipv6\n",
];

#[test]
fn mutilated_files_are_read_and_what_is_usable_converts() {
    check_keepalived(SEED.as_bytes());
    let edit = (any::<prop::sample::Index>(), 0..4u8, any::<prop::sample::Index>(), any::<u8>());
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(edit, 0..12), |edits| {
        let mut bytes = SEED.as_bytes().to_vec();
        for (at, kind, what, byte) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => {
                    let end = (at + what.index(40)).min(bytes.len() - 1);
                    bytes.drain(at..end);
                }
                2 => {
                    let piece = what.get(&SPICE).bytes();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let end = (at + what.index(200)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.extend(copy);
                }
            }
        }
        check_keepalived(&bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn harmless_oddities_are_read_as_keepalived_reads_them() {
    let text = "\u{feff}# r\u{e9}seau\r\nvrrp_instance V{\r\n\tinterface\teth0\r\n virtual_router_id 1\r\n\
                virtual_ipaddress{10.0.0.1/24}}}\r\nvirtual_server 1 1 {\n real_server {\n }\n";
    let loaded = load(text);
    let lines: Vec<_> = loaded.warnings.iter().map(|warning| (warning.line, warning.column)).collect();
    assert_eq!(lines.len(), 4, "{:?}", loaded.warnings);
    let latin1 = load_bytes(
        b"vrrp_instance V {\n interface e # caf\xe9\n virtual_router_id 1\n virtual_ipaddress { 10.0.0.1/8 }\n}\n",
    );
    assert_eq!(latin1.warnings.len(), 0, "{:?}", latin1.warnings);
}

#[test]
fn endless_lines_and_files_end() {
    for endless in [io::repeat(b'a'), io::repeat(b'{'), io::repeat(b'\n'), io::repeat(b'"'), io::repeat(0)] {
        // 100 MB of one byte; the reader stops at 16 MiB.
        let problems = config::load_from("f.conf", endless.take(100_000_000), Format::Keepalived).unwrap_err();
        assert!(problems.to_string().contains("larger than 16 MiB"), "{problems}");
    }
    for byte in [b'a', b'{', b'}', b'$', b'"', b'~', b'\n'] {
        let mut file = vec![byte; 2_000_000];
        assert!(config::load_from("f.conf", file.as_slice(), Format::Keepalived).is_err());
        // The same in lines that are read.
        for at in (0..file.len()).step_by(900) {
            file[at] = b'\n';
        }
        assert!(config::load_from("f.conf", file.as_slice(), Format::Keepalived).is_err());
    }
    let deep = "vrrp_instance V {\n".repeat(100_000);
    assert!(config::load_from("f.conf", deep.as_bytes(), Format::Keepalived).is_err());
    let many: String = (0..20_000).map(|n| format!("~LST(a, {}) unknown $a\n", n % 7)).collect();
    assert!(config::load_from("f.conf", many.as_bytes(), Format::Keepalived).is_err());
}

#[track_caller]
fn load_bytes(bytes: &[u8]) -> vrrpd::config::Loaded {
    config::load_from("f.conf", bytes, Format::Keepalived).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A short file that asks for a million lines is refused after a bounded number; a long one that asks for nothing is not.
#[test]
fn repetitions_are_bounded_and_the_length_of_a_file_is_not_counted() {
    let nested = "~SEQ(x, 1, 99) ~SEQ(y, 1, 99) ~SEQ(z, 1, 99) a$x$y$z\n";
    let doubled: String = (1..30).map(|n| format!("$A{n}=$A{m} $A{m}\n", m = n - 1)).collect::<String>() + "$A29\n";
    for text in ["~SEQ(x, 1, 9999999) a$x\n", nested, &doubled] {
        let problems = config::load_from("f.conf", text.as_bytes(), Format::Keepalived).unwrap_err().to_string();
        assert!(problems.contains("without end"), "{problems}");
    }
    let router = "vrrp_instance V {\ninterface lo\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n";
    let long = "# a comment\n\nvrrp_version 3\n".repeat(60_000);
    let text = format!("global_defs {{\n{long}}}\n{router}");
    if let Err(problems) = config::load_from("f.conf", text.as_bytes(), Format::Keepalived) {
        assert!(!problems.to_string().contains("without end"), "{problems}");
    }
}
