//! A report has what helps and no secret, however the configuration has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::{command, outcome};

/// In each secret, so that a part of one is found, too.
const MARK: &str = "h0rse";

/// A directory with key files and included files; every secret begins with [`MARK`] and has a number.
fn prepared() -> TempDir {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("key", "h0rse01-of-a-key-file-with-enough-bytes\n", 0o600);
    fs::create_dir(directory.path().join("credentials")).unwrap();
    write("credentials/web", "h0rse02-of-a-credential-with-enough-bytes\n", 0o600);
    write("included.conf", "$INCLUDED=h0rse03\n! h0rse04\n@lb9 auth_pass h0rse05\ninclude inner.conf\n", 0o644);
    write("inner.conf", "$INNER= \\\n  auth_type PASS \\\n  auth_pass h0rse06\n", 0o644);
    write("tells", "#!/bin/sh\necho it failed with h0rse77x\nexit 1\n", 0o755);
    directory
}

/// Makes a report without a daemon and without packets; returns its bytes and what was printed.
fn reported(directory: &Path, config: &Path) -> (Vec<u8>, String) {
    let archive = directory.join(format!("{}.tar", config.file_name().unwrap().to_str().unwrap()));
    let mut command = command(&["report", "--seconds", "0", "--config", config.to_str().unwrap(), "-o"]);
    command.arg(&archive).arg("--runtime-dir").arg(directory.join("run"));
    command.env("CREDENTIALS_DIRECTORY", directory.join("credentials")).env("WEB_PASSWORD", "h0rse07");
    let (code, stdout, stderr) = outcome(&command.output().unwrap());
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    (fs::read(&archive).unwrap(), stdout + &stderr)
}

/// Returns a member of a tar.
fn member(archive: &[u8], name: &str) -> Option<String> {
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(512).filter(|(header, _)| header[0] != 0) {
        let text =
            |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim_end_matches('\0').to_owned();
        let len = usize::from_str_radix(&text(124..135), 8).unwrap();
        if text(0..100) == format!("report/{name}") {
            return Some(String::from_utf8_lossy(&after[..len]).into_owned());
        }
        rest = &after[len.next_multiple_of(512)..];
    }
    None
}

#[track_caller]
fn assert_no_secret(bytes: &[u8], of: &str) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(at) = text.find(MARK) {
        let around: String = text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{of}: a secret behind {around:?}: {:?}", &text[at..(at + 40).min(text.len())]);
    }
    // As digits and as the bytes of digits, which hold no mark.
    for form in [&b"00112233445566778899aabbccddeeff"[..], b"\x00\x11\x22\x33\x44\x55\x66\x77"] {
        assert!(!bytes.windows(form.len()).any(|window| window.eq_ignore_ascii_case(form)), "{of}: {form:x?}");
    }
}

fn toml(auth: &str) -> String {
    format!(
        "# h0rse10\n[daemon]\nnode = \"lb1\" # h0rse11\n[check.answers]\nexec = [\"/bin/true\", \"--password\", \"h0rse12\"]\n\
         [check.page]\nhttp = \"http://127.0.0.1/health?token=h0rse13\"\n\
         [instance.web]\ninterface = \"nowhere0\"\nvirtual_router_id = 51\nversion = 2\npriority = 100\nsource = \"10.9.0.1\"\n\
         peers = [\"10.9.0.2\"]\naddresses = [\"10.9.0.100\"]\nchecks = [\"answers\", \"page\"]\n\
         notify = [\"/bin/true\", \"h0rse14\"]\n{auth}"
    )
}

#[test]
fn a_report_on_a_toml_has_no_secret() {
    let directory = prepared();
    let hmac = |value: &str| toml(&format!("[instance.web.auth.hmac]\nkeys = {{ 1 = \"{value}\" }}\n"));
    for (name, text) in [
        ("password.toml", toml("[instance.web.auth]\npassword = \"h0rse20x\"\n")),
        ("ah.toml", toml("[instance.web.auth]\nah = '''h0rse21x'''\n")),
        ("text.toml", hmac("h0rse22-with-enough-bytes-to-be-a-key")),
        ("digits.toml", hmac("hex:00112233445566778899AABBCCDDEEFF 00112233445566778899aabbccddeeff")),
        ("file.toml", hmac("file:key")),
        ("credential.toml", hmac("credential:web")),
        ("wrong-key.toml", toml("auth_pass = \"h0rse23x\"\n")),
        ("wrong-type.toml", toml("[instance.web.auth]\npassword = [\"h0rse24x\", { h0rse25 = \"h0rse26\" }]\n")),
        ("key-as-number.toml", toml("[instance.web.auth.hmac]\nkeys = { \"h0rse27-with-enough-bytes\" = \"1\" }\n")),
        ("no-toml.toml", toml("[instance.web.auth\npassword = \"h0rse28x\"\n")),
    ] {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        let (archive, printed) = reported(directory.path(), &file);
        assert_no_secret(&archive, name);
        assert_no_secret(printed.as_bytes(), name);
        let copy = member(&archive, &format!("config/1-{name}"));
        assert_eq!(copy.is_none(), name == "no-toml.toml", "{name}");
        let is_shown = |copy: &str| copy.contains("addresses = [\"10.9.0.100\"]") && copy.contains("(hidden)");
        assert!(copy.is_none_or(|copy| is_shown(&copy)), "{name}");
        assert!(member(&archive, "README.txt").unwrap().contains("No secrets are in it"));
        assert!(member(&archive, "errors.txt").unwrap().contains("status.json: not running"), "{name}");
        assert!(printed.contains("report/versions.txt") && printed.contains("No secrets are in it"), "{printed}");
    }
}

#[test]
fn a_report_on_a_keepalived_conf_has_no_secret() {
    let directory = prepared();
    let block = |auth: &str| {
        format!(
            "! h0rse30\n$OWN=h0rse31\ninclude included.conf\n\
             vrrp_script answers {{\n script \"/bin/true -p h0rse32\" root\n}}\n\
             vrrp_instance web {{\n interface nowhere0\n virtual_router_id 51\n priority 100\n advert_int 1\n\
             unicast_src_ip 10.9.0.1\n unicast_peer {{\n 10.9.0.2\n }}\n {auth}\n\
             virtual_ipaddress {{\n 10.9.0.100\n }}\n track_script {{\n answers\n }}\n\
             notify \"/bin/true h0rse33\"\n}}\n\
             virtual_server 10.9.0.100 80 {{\n HTTP_GET {{\n url {{\n path /?h0rse34\n digest h0rse35\n }}\n }}\n}}\n"
        )
    };
    for (name, text) in [
        ("pass.conf", block("authentication {\n auth_type PASS\n auth_pass h0rse40\n }")),
        ("line.conf", block("authentication { auth_type PASS auth_pass \"h0rse41\" }")),
        ("macro.conf", block("authentication {\n auth_type PASS\n auth_pass ${OWN}\n }")),
        ("included-macro.conf", block("authentication {\n auth_type PASS\n auth_pass $INCLUDED\n }")),
        ("lines.conf", block("authentication {\n $INNER\n }")),
        ("environment.conf", block("authentication {\n auth_type PASS\n auth_pass ${_ENV WEB_PASSWORD}\n }")),
        ("list.conf", block("authentication {\n auth_type PASS\n ~LST(p, h0rse42) auth_pass $p\n }")),
        ("other-host.conf", block("@other authentication { auth_pass h0rse43 }")),
        ("ah.conf", block("authentication {\n auth_type AH\n auth_pass h0rse44\n }")),
        ("hmac.conf", block("auth_hmac {\n key 1 h0rse45-with-enough-bytes-to-be-a-key\n active_key 1\n }")),
        ("hmac-file.conf", block("auth_hmac {\n key 1 file:key\n active_key 1\n }")),
        ("misspelt.conf", block("authentication {\n auth_type PASS\n auth_passs h0rse46\n h0rse47\n }")),
        ("unclosed.conf", block("authentication {\n auth_type PASS\n auth_pass h0rse48\n")),
        ("unnumbered.conf", block("auth_hmac {\n key h0rse49-with-enough-bytes\n active_key 1\n }")),
    ] {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        let (archive, printed) = reported(directory.path(), &file);
        assert_no_secret(&archive, name);
        assert_no_secret(printed.as_bytes(), name);
        let copy = member(&archive, &format!("config/1-{name}")).unwrap();
        assert!(copy.contains("virtual_router_id 51") && copy.contains(" 10.9.0.100\n"), "{copy}");
        assert!(member(&archive, "config/2-included.conf").unwrap().contains("$INCLUDED=(hidden)"), "{name}");
        assert!(member(&archive, "config/3-inner.conf").unwrap().contains("$INNER=(hidden)"), "{name}");
        if name == "macro.conf" {
            let converted = member(&archive, "config/converted.toml").unwrap();
            assert!(converted.contains("password = \"(hidden)\""), "{converted}");
        }
    }
}

/// Runs a daemon that is master on one end of a cable, whose check says the password, and reports on it.
const STORY: &str = r#"
set -eu
ip link set lo up
ip link add d0 type veth peer name d1
ip address add 10.9.0.1/24 dev d0
ip link set d0 up
ip link set d1 up
ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev d0
"$PROGRAM" run --config "$DIR/vrrpd.toml" --runtime-dir "$DIR/run" --log text --exit-with-parent >"$DIR/log" 2>&1 &
daemon=$!
left=200
until "$PROGRAM" status --runtime-dir "$DIR/run" 2>"$DIR/why" | tee "$DIR/seen" | grep -q 'MASTER' && grep -q 'it failed' "$DIR/seen"; do
    left=$((left - 1))
    [ $left -gt 0 ] || { cat "$DIR/log" "$DIR/seen" "$DIR/why"; exit 1; }
    sleep 0.05
done
"$PROGRAM" report --seconds 2 --runtime-dir "$DIR/run" -o "$DIR/report.tar"
kill $daemon
wait $daemon
"#;

#[test]
fn a_report_on_a_running_daemon_has_status_packets_and_no_secret() {
    let isolation: &[&str] = if geteuid().is_root() { &["-n"] } else { &["-Urn"] };
    let works = Command::new("unshare").args(isolation).arg("true").status().is_ok_and(|status| status.success());
    if !works {
        return super::secrets::skipped("a_report_on_a_running_daemon needs root or user namespaces");
    }
    let directory = prepared();
    let path: PathBuf = directory.path().to_owned();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "[daemon]\nscript_user = \"root\"\nscript_security = false\n[check.tells]\nexec = \"{}\"\ninterval = \"100ms\"\n\
         [instance.web]\ninterface = \"d0\"\nvirtual_router_id = 51\nversion = 2\nadvert_interval = \"1s\"\npriority = 200\n\
         source = \"10.9.0.1\"\npeers = [\"10.9.0.2\"]\naddresses = [\"10.9.0.100\"]\n\
         checks = [{{ name = \"tells\", weight = 1 }}]\n[instance.web.auth]\npassword = \"h0rse77x\"\n",
        path.join("tells").display()
    );
    fs::write(path.join("vrrpd.toml"), config).unwrap();
    let mut story = Command::new("unshare");
    story.args(isolation).args(["sh", "-c", STORY]).env("DIR", &path).env("PROGRAM", env!("CARGO_BIN_EXE_vrrpd"));
    let (code, stdout, stderr) = outcome(&story.stdin(Stdio::null()).output().unwrap());
    assert_eq!(code, 0, "{stdout}{stderr}");
    let archive = fs::read(path.join("report.tar")).unwrap();
    assert_no_secret(&archive, "report");
    let status = member(&archive, "status.json").unwrap();
    assert!(status.contains("it failed with (hidden)"), "{status}");
    for (name, word) in [
        ("status.txt", "MASTER"),
        ("status-after.json", "\"state\": \"MASTER\""),
        ("history.txt", "MASTER"),
        ("history.json", "\"kind\": \"transition\""),
        ("state.json", "\"hold\": \"master\""),
        ("drains.json", "\"node\": null"),
        ("host/addresses.txt", "10.9.0.100"),
        ("host/settings.txt", "net.ipv4.conf.d0.rp_filter"),
        ("versions.txt", "kernel"),
        ("config/1-vrrpd.toml", "password = \"(hidden)\""),
    ] {
        let text = member(&archive, name).unwrap_or_else(|| panic!("no {name}\n{stdout}"));
        assert!(text.contains(word), "{name}: {text}");
    }
    let readme = member(&archive, "README.txt").unwrap();
    let packets = readme.split("packets.pcap has ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(packets.parse::<u32>().unwrap() > 0 && readme.contains(&format!("In {packets} of them")), "{readme}");
    assert!(member(&archive, "packets.pcap").is_some());
}

#[test]
fn a_report_does_not_write_over_a_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("there.tar");
    fs::write(&file, "mine").unwrap();
    let (code, _, stderr) =
        outcome(&command(&["report", "--seconds", "0", "-o", file.to_str().unwrap()]).output().unwrap());
    assert_eq!(code, 70);
    assert!(stderr.contains("is there already"), "{stderr}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}
