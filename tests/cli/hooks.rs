//! The sample hooks of `conf/hooks/`, with programs in place of the providers' that write down how they are called.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use crate::in_tree;

/// A folder with programs that only write down their words, and answer with a text.
struct Stage(TempDir);

impl Stage {
    fn new(programs: &[(&str, &str)]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for (name, answer) in programs {
            let log = stage.0.path().join("calls");
            let text = format!(
                "#!/bin/sh\nprintf '{name}' >>{0}\nprintf ' %s' \"$@\" >>{0}\necho >>{0}\n{answer}\n",
                log.display()
            );
            let path = stage.0.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        stage
    }

    /// Runs a hook as the daemon does; returns its exit code and the calls it made.
    fn run(&self, hook: &str, variables: &[(&str, &str)]) -> (i32, Vec<String>) {
        let log = self.0.path().join("calls");
        let _ = fs::remove_file(&log);
        let mut command = Command::new(in_tree("conf/hooks").join(hook));
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.0.path().display()));
        command.env("VRRPD_ADDRESSES", "10.0.0.30/32 2001:db8::30/128 10.0.0.31/24").env("VRRPD_NAME", "web");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let calls = fs::read_to_string(log).unwrap_or_default();
        (output.status.code().unwrap(), calls.lines().map(str::to_owned).collect())
    }
}

/// Answers as the metadata services do, by the last part of the address.
const METADATA: &str = "for last; do :; done\ncase $last in\n*/token) echo TOKEN ;;\n*/mac) echo 02:00:00:00:00:01 ;;\n\
                        *interface-id) echo eni-7 ;;\n*instance-id) echo 4711 ;;\n*/name) echo lb1 ;;\n\
                        */zone) echo projects/1/zones/europe-west1-b ;;\nesac";

#[test]
fn aws_hook_assigns_the_ipv4_addresses_to_the_first_interface() {
    let stage = Stage::new(&[("curl", METADATA), ("aws", "")]);
    let (code, calls) = stage.run("aws", &[]);
    let assign = "aws ec2 assign-private-ip-addresses --network-interface-id eni-7 --allow-reassignment --private-ip-addresses \
                  10.0.0.30 10.0.0.31";
    assert_eq!((code, calls.last().map(String::as_str)), (0, Some(assign)));
    let (code, calls) = stage.run("aws", &[("ENI", "eni-9")]);
    assert_eq!((code, calls.len()), (0, 1));
    assert_ne!(stage.run("aws", &[("VRRPD_ADDRESSES", "2001:db8::30/128")]).0, 0, "nothing was moved");
}

#[test]
fn hetzner_hook_assigns_the_floating_ip_and_shows_its_token_to_nobody() {
    let stage = Stage::new(&[("curl", METADATA)]);
    let token = stage.0.path().join("token");
    fs::write(&token, "s3cr3t\n").unwrap();
    let variables = [("FLOATING_IP", "42"), ("TOKEN_FILE", token.to_str().unwrap())];
    let (code, calls) = stage.run("hetzner", &variables);
    assert_eq!((code, calls.len()), (0, 2), "{calls:?}");
    assert!(
        calls[1].contains("{\"server\":4711}") && calls[1].ends_with("/floating_ips/42/actions/assign"),
        "{calls:?}"
    );
    assert!(!calls.concat().contains("s3cr3t"), "{calls:?}");
    assert_eq!(stage.run("hetzner", &[]), (78, Vec::new()), "not filled in");
}

#[test]
fn gcp_hook_takes_the_addresses_from_the_others_first() {
    let stage = Stage::new(&[("curl", METADATA), ("gcloud", "case $5 in lb3) exit 1 ;; esac")]);
    let (code, calls) = stage.run("gcp", &[("OTHERS", "lb2:europe-west1-c lb3:europe-west1-d")]);
    let updates: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.strip_prefix("gcloud compute instances network-interfaces update "))
        .collect();
    let expected = [
        "lb2 --zone europe-west1-c --aliases ",
        "lb3 --zone europe-west1-d --aliases ",
        "lb1 --zone europe-west1-b --aliases 10.0.0.30/32;10.0.0.31/32",
    ];
    assert_eq!((code, updates), (0, expected.to_vec()));
    assert_eq!(stage.run("gcp", &[]).0, 78, "not filled in");
}

#[test]
fn azure_hook_moves_what_is_not_here_yet() {
    let stage = Stage::new(&[("az", "case \"$*\" in *list*web-1*) echo vrrpd-web-1 ;; esac")]);
    let (code, calls) = stage.run("azure", &[("GROUP", "g"), ("OWN", "nic1"), ("OTHERS", "nic2 nic3")]);
    let changes: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.strip_prefix("az network nic ip-config "))
        .filter(|call| !call.starts_with("list"))
        .collect();
    let expected = [
        "delete -g g --nic-name nic2 -n vrrpd-web-2",
        "delete -g g --nic-name nic3 -n vrrpd-web-2",
        "create -g g --nic-name nic1 -n vrrpd-web-2 --private-ip-address 10.0.0.31",
    ];
    assert_eq!((code, changes), (0, expected.to_vec()), "the first is here already");
    assert_eq!(stage.run("azure", &[("GROUP", "g")]).0, 78, "not filled in");
}

/// Where shellcheck is, it finds nothing; everywhere a shell can read them.
#[test]
fn hooks_are_sound_shell() {
    let hooks: Vec<_> = fs::read_dir(in_tree("conf/hooks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(hooks.len() >= 4, "{hooks:?}");
    let mut linters = vec![vec!["sh", "-n"]];
    if Command::new("shellcheck").arg("--version").output().is_ok() {
        linters.push(vec!["shellcheck"]);
    }
    for hook in &hooks {
        assert_eq!(fs::metadata(hook).unwrap().permissions().mode() & 0o111, 0o111, "{}", hook.display());
        for words in &linters {
            let output = Command::new(words[0]).args(&words[1..]).arg(hook).output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{words:?} {}: {text}", hook.display());
        }
    }
}
