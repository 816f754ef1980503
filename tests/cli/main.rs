//! The built binary from outside: what it prints, where, and with which exit code.

mod drain;
mod explain;
mod history;
mod hooks;
mod keys;
mod programs;
mod report;
mod requirements;
mod schema;
mod secrets;
mod upgrade;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const COMMANDS: [&str; 16] = [
    "run",
    "check",
    "convert",
    "doctor",
    "explain",
    "history",
    "keygen",
    "reload",
    "report",
    "drain",
    "resume",
    "release",
    "sniff",
    "status",
    "demo",
    "completions",
];

#[test]
fn every_example_is_quiet() {
    let mut seen = 0;
    for entry in fs::read_dir(in_tree("conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        // Their programs and keys are of nobody's host.
        let output = vrrpd(&["check", "--no-programs", path.to_str().unwrap()]);
        assert_eq!(outcome(&output), (0, String::new(), String::new()), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 8, "{seen} examples");
}

#[test]
fn a_file_with_many_errors_is_told_all_of_them() {
    let output = command(&["check", "many-errors.toml"]).current_dir(in_tree("tests/cli")).output().unwrap();
    let (code, stdout, stderr) = outcome(&output);
    let expected = fs::read_to_string(in_tree("tests/cli/many-errors.txt")).unwrap();
    assert_eq!(stderr, expected);
    assert_eq!((code, stdout.as_str()), (78, ""));
}

#[test]
fn json_says_the_same_as_the_lines() {
    let directory = in_tree("tests/cli");
    let output = command(&["check", "--json", "many-errors.toml"]).current_dir(directory).output().unwrap();
    let (code, stdout, stderr) = outcome(&output);
    assert_eq!((code, stderr.as_str()), (78, ""));
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(object["schema"], 1);
    let lines: String = object["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap().to_owned();
            let (line, column) = (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap());
            format!("{}:{line}:{column}: {}: {}\n", text("file"), text("severity"), text("text"))
        })
        .collect();
    assert_eq!(lines, fs::read_to_string(in_tree("tests/cli/many-errors.txt")).unwrap());

    let good = vrrpd(&["check", "--json", in_tree("conf/pair.toml").to_str().unwrap()]);
    assert_eq!(outcome(&good), (0, "{\"schema\":1,\"problems\":[]}\n".to_owned(), String::new()));
}

#[test]
fn a_warning_is_printed_and_is_no_error() {
    let output = with_input(&["check", "-"], &fs::read(in_tree("conf/pair.toml")).unwrap());
    assert_eq!(outcome(&output), (0, String::new(), String::new()));

    let equal = fs::read_to_string(in_tree("conf/pair.toml")).unwrap().replace("priority = 200", "priority = 100");
    let (code, stdout, stderr) = outcome(&with_input(&["check", "-"], equal.as_bytes()));
    assert_eq!((code, stdout.as_str()), (0, ""));
    let rest = "warning: priority 100 is also that of \"lb1\", at line 15; of two masters the one with the higher \
                address, 192.0.2.12, stays; give each node its own priority\n";
    assert_eq!(stderr, format!("-:20:12: {rest}"));
}

#[test]
fn every_file_is_checked_and_one_error_decides() {
    let (good, bad) = (in_tree("conf/pair.toml"), in_tree("tests/cli/many-errors.toml"));
    let output = vrrpd(&["check", bad.to_str().unwrap(), "/nonexistent.toml", good.to_str().unwrap()]);
    let (code, _, stderr) = outcome(&output);
    assert_eq!(code, 78);
    let last = stderr.lines().last().unwrap();
    assert_eq!(last, "/nonexistent.toml:1:1: error: cannot be read: No such file or directory (os error 2)");
    assert!(stderr.lines().count() > 20, "{stderr}");
}

#[test]
fn weights_that_cannot_move_the_address_are_told_of_two_files_together() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, own: u8, peer: u8, priority: u8, weight: &str| {
        let text = format!(
            "vrrp_script chk {{\n  script \"/usr/bin/true\"\n  weight {weight}\n}}\nvrrp_instance web {{\n  interface eth0\n  \
             virtual_router_id 51\n  priority {priority}\n  unicast_src_ip 10.0.0.{own}\n  unicast_peer {{\n    10.0.0.{peer}\n  \
             }}\n  virtual_ipaddress {{\n    10.0.0.30/24\n  }}\n  track_script {{\n    chk\n  }}\n}}\n"
        );
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (weight, lead) in [("-2", Some(10)), ("2", Some(10)), ("-10", Some(10)), ("-11", None), ("11", None)] {
        let (one, two) = (file("lb1.conf", 1, 2, 100, weight), file("lb2.conf", 2, 1, 90, weight));
        let (code, _, text) = outcome(&vrrpd(&["check", &one, &two]));
        let told: Vec<&str> = text.lines().filter(|line| line.contains("can never move")).collect();
        assert_eq!((code, told.len()), (0, usize::from(lead.is_some())), "weight {weight}: {text}");
        if let Some(lead) = lead {
            let words = format!("lb1.conf:5:1: warning: weight {weight} of chk can never move the address of web: ");
            assert!(told[0].contains(&words) && told[0].contains(&format!("is {lead} lower")), "{}", told[0]);
        }
        let (_, _, alone) = outcome(&vrrpd(&["check", &one]));
        assert!(!alone.contains("can never move"), "one file alone does not prove it: {alone}");
    }
    let (one, stranger) = (file("lb1.conf", 1, 2, 100, "-2"), file("lb3.conf", 3, 1, 90, "-2"));
    let (_, _, text) = outcome(&vrrpd(&["check", &one, &stranger]));
    assert!(!text.contains("can never move"), "not each other's peers: {text}");
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let directory = TempDir::new().unwrap();
    let named = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(named("binary.toml"), b"a = \"\xff\"").unwrap();
    fs::copy(in_tree("conf/pair.toml"), named("toml.conf")).unwrap();
    for (path, text) in [
        (directory.path().to_str().unwrap().to_owned(), "cannot be read: Is a directory"),
        ("/dev/zero".to_owned(), "larger than 16 MiB"),
        (named("binary.toml"), "byte 6 is not UTF-8"),
        (named("toml.conf"), "no line of it is keepalived.conf"),
    ] {
        let (code, stdout, stderr) = outcome(&vrrpd(&["check", &path]));
        assert_eq!((code, stdout.as_str()), (78, ""), "{path}");
        assert!(stderr.starts_with(&format!("{path}:1:1: error: {text}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert_eq!(outcome(&vrrpd(&["check", "--format", "toml", &named("toml.conf")])).0, 0);
}

#[test]
fn a_keepalived_conf_is_checked_and_converted() {
    let text =
        b"vrrp_instance web {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n  192.0.2.30\n }\n}\n";
    let note = "f.conf:5:3: note: 192.0.2.30 has no prefix length and gets /32, as with Keepalived\n";
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("f.conf"), text).unwrap();
    let run = |arguments: &[&str]| outcome(&command(arguments).current_dir(directory.path()).output().unwrap());
    assert_eq!(run(&["check", "f.conf"]), (0, String::new(), note.to_owned()));
    assert_eq!(run(&["check", "--strict", "f.conf"]), (0, String::new(), note.to_owned()));
    let odd = String::from_utf8(text.to_vec()).unwrap() + "vrrp_script unused {\n script /bin/true\n}\n";
    fs::write(directory.path().join("odd.conf"), odd).unwrap();
    let warning = "odd.conf:8:1: warning: vrrp_script unused is used by no instance\n";
    let lines = note.replace("f.conf", "odd.conf") + warning;
    assert_eq!(run(&["check", "odd.conf"]), (0, String::new(), lines.clone()));
    assert_eq!(run(&["check", "--strict", "odd.conf"]), (78, String::new(), lines));
    let (code, toml, stderr) = run(&["convert", "f.conf"]);
    assert_eq!((code, stderr.as_str()), (0, note));
    assert!(toml.starts_with("[instance.web]\ninterface = \"eth0\"\n"), "{toml}");
    assert_eq!(outcome(&with_input(&["check", "-"], toml.as_bytes())), (0, String::new(), String::new()));
    assert_eq!(outcome(&with_input(&["convert", "-"], text)).1, toml);
    let (code, stdout, stderr) = outcome(&with_input(&["convert", "-"], b"vrrp_instance web {\n}\n"));
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.contains("-:1:1: error: the instance has no interface"), "{stderr}");
}

#[test]
fn every_syntax_error_is_told() {
    let text = b"a = \nb = \"x\nc = 1\nc = 2\n[instance.web\n";
    let (code, _, stderr) = outcome(&with_input(&["check", "-"], text));
    assert_eq!(code, 78);
    let places: Vec<_> = stderr.lines().map(|line| line.split(": error: not TOML: ").next().unwrap()).collect();
    assert_eq!(places, ["-:1:5", "-:2:7", "-:4:1", "-:5:14"]);
}

#[test]
fn a_wrong_command_line_exits_with_64_and_help_with_0() {
    for arguments in [&[][..], &["bogus"], &["check", "--bogus"], &["run", "--log", "xml"], &["run", "a"]] {
        let (code, stdout, stderr) = outcome(&vrrpd(arguments));
        assert_eq!((code, stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(stderr.contains("--help"), "{arguments:?}: {stderr}");
        assert!(!stderr.contains(" man"), "{arguments:?}: a hidden command in {stderr}");
    }
    for arguments in [&["--help"][..], &["-h"], &["help"], &["run", "--help"], &["help", "check"]] {
        let (code, stdout, stderr) = outcome(&vrrpd(arguments));
        assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(stdout.contains("Usage: vrrpd"), "{arguments:?}: {stdout}");
    }
    assert_eq!(outcome(&vrrpd(&["--version"])), (0, "vrrpd 0.1.0\n".to_owned(), String::new()));
}

#[test]
fn help_fits_80_columns_and_gives_examples() {
    for arguments in std::iter::once(vec!["--help"]).chain(COMMANDS.map(|name| vec![name, "--help"])) {
        let (_, stdout, _) = outcome(&vrrpd(&arguments));
        let long: Vec<_> = stdout.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{arguments:?}: {long:#?}");
        assert!(stdout.contains("\nExamples:\n"), "{arguments:?}: {stdout}");
        assert!(!stdout.contains("exit-with-parent") && !stdout.contains("manual pages"), "{stdout}");
    }
}

#[test]
fn completions_are_scripts_that_know_every_command() {
    for (shell, mark) in [("bash", "complete -F _vrrpd"), ("zsh", "#compdef vrrpd"), ("fish", "complete -c vrrpd")] {
        let (code, stdout, stderr) = outcome(&vrrpd(&["completions", shell]));
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        assert!(stdout.contains(mark), "{shell}: {stdout}");
        for name in COMMANDS.into_iter().chain(["runtime-dir", "json"]) {
            assert!(stdout.contains(name), "{shell}: {name}");
        }
    }
    let script = vrrpd(&["completions", "bash"]).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn manual_pages_name_the_options_of_help() {
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("made/for/it");
    assert_eq!(outcome(&vrrpd(&["man", pages.to_str().unwrap()])).0, 0);
    let mut names: Vec<_> =
        fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<_> = COMMANDS.iter().map(|name| format!("vrrpd-{name}.8")).collect();
    expected.push("vrrpd.8".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    for name in COMMANDS {
        let page = fs::read_to_string(pages.join(format!("vrrpd-{name}.8"))).unwrap();
        let page = ["\\fB", "\\fI", "\\fR", "\\"].iter().fold(page, |page, markup| page.replace(markup, ""));
        let help = outcome(&vrrpd(&[name, "--help"])).1;
        assert_eq!(options(&page), options(&help), "{name}");
        assert!(page.contains(".SH NOTES\n.nf\nExamples:\n"), "{page}");
    }
}

#[test]
fn the_documentation_names_every_key_and_its_example_is_good() {
    let page = fs::read_to_string(in_tree("docs/configuration.md")).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(
        outcome(&with_input(&["check", "--no-programs", "-"], example.as_bytes())),
        (0, String::new(), String::new())
    );

    // An unknown key far from every other makes `check` list the keys of its table.
    let text = "zzzzzzzz = 1\n[daemon]\nzzzzzzzz = 1\nnotify_fifo = { zzzzzzzz = 1 }\n[instance.web]\nzzzzzzzz = 1\n\
                addresses = [{ zzzzzzzz = 1 }]\npeers = [{ zzzzzzzz = 1 }]\nchecks = [{ zzzzzzzz = 1 }]\n\
                notify = { zzzzzzzz = 1 }\n[instance.web.auth]\nzzzzzzzz = 1\nhmac = { zzzzzzzz = 1 }\n[[instance.web.node]]\nzzzzzzzz = 1\n[check.a]\nzzzzzzzz = 1\n\
                process = { zzzzzzzz = 1 }\n[group.g]\nzzzzzzzz = 1\n";
    let (_, _, stderr) = outcome(&with_input(&["check", "-"], text.as_bytes()));
    let lists: Vec<_> = stderr.lines().filter_map(|line| line.split_once("; it has ")).map(|(_, keys)| keys).collect();
    assert_eq!(lists.len(), 14, "{stderr}");
    for key in lists.into_iter().flat_map(|keys| keys.split(", ")) {
        let name = key.trim_matches('`');
        let is_there = page.contains(key) || page.contains(&format!("[{name}")) || page.contains(&format!(".{name}]]"));
        assert!(is_there, "{key} is not in docs/configuration.md");
    }
}

/// Where a manual page cannot be written, the caller learns which of the exit codes it is.
#[test]
fn manual_pages_that_cannot_be_written_are_an_error() {
    let file = in_tree("conf/pair.toml");
    let (code, _, stderr) = outcome(&vrrpd(&["man", file.to_str().unwrap()]));
    assert_eq!(code, 70);
    assert!(stderr.starts_with("vrrpd: cannot write manual pages to"), "{stderr}");
}

/// Returns the long options that a text names, sorted.
fn options(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut found: Vec<String> = text
        .lines()
        // Examples name options of other shapes.
        .take_while(|line| !line.starts_with("Examples:"))
        .flat_map(|line| line.match_indices("--").map(|(at, _)| &line[at..]))
        .map(|rest| rest.chars().take_while(|c| is_part(*c)).collect())
        .filter(|option: &String| option.len() > 2)
        .collect();
    found.sort();
    found.dedup();
    found
}

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    command.args(arguments).env("COLUMNS", "200").stdin(Stdio::null());
    command
}

fn vrrpd(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
