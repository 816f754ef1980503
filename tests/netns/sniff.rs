//! `vrrpd sniff` beside a pair of ours and a Keepalived whose password is another one.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B, C};
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::Version;

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::{Keepalived, Vrrpd};
use crate::routers::{Router, file};
use crate::stories::quick;

#[test]
fn sniff_shows_what_passes_and_what_the_configuration_says_to_it() {
    beside_others(|| sniffs().unwrap_or_else(|error| panic!("{error}")));
}

fn sniffs() -> Result<(), LabError> {
    const WRONG: &str = "authentication {\n auth_type PASS\n auth_pass other777\n }";
    let plan =
        Plan { version: Version::V2, interval: Duration::from_secs(1), priorities: vec![200, 150, 100], ..quick() };
    let good = Router::plain("web", 51, Version::V2, false, "10.77.1.1").with_password("s3cr3t77");
    let bad = Router { keepalived_auth: WRONG, ..good.clone() };
    // A Keepalived that is Master and hears adverts it refuses does not send its own in time: node a does not speak to it.
    let stranger = format!(", \"{}\"", plan.source(C));
    let of_a = file(std::slice::from_ref(&good), Vrrpd, &plan, A);
    assert!(of_a.contains(&stranger), "{of_a}");
    let files = [of_a.replace(&stranger, ""), file(&[good], Vrrpd, &plan, B), file(&[bad], Keepalived, &plan, C)];
    let mut cluster = Cluster::with_files(&plan, &[Vrrpd, Vrrpd, Keepalived], &files)?;
    for node in [A, B, C] {
        cluster.start(node)?;
    }
    let advertised = "nodes a and c to send adverts";
    cluster.watch.wait(advertised, Duration::from_secs(15), |log| {
        let senders = log.advertisers(Duration::from_millis(1500));
        (senders.contains(&A) && senders.contains(&C)).then_some(())
    })?;

    // On the Backup: what it hears and what it refuses.
    let config = cluster.folder(B)?.join("vrrpd.toml");
    let arguments = ["sniff", "--config", config.to_str().unwrap_or_default(), "--seconds", "4", "-i", "eth0"];
    let text = sniff(&cluster, &[&arguments[..], &["-v"]].concat())?;
    let json = sniff(&cluster, &[&arguments[..], &["--json"]].concat())?;
    let (ours, theirs) = (plan.source(A).to_string(), plan.source(C).to_string());
    // The words of each packet in one line: what is indented belongs to the line before.
    let packets = text.replace("\n    ", " ");
    let of = |source: &str| packets.lines().find(|line| line.contains(&format!(" in {source} "))).unwrap_or_default();
    let (accepted, refused) = (of(&ours), of(&theirs));
    let shown = "vrid 51 priority 200 accepted by web to ";
    let decoded = ", version 2, ttl 255, every 1000 ms, auth password, addresses 10.77.1.1";
    assert!(accepted.contains(shown) && accepted.ends_with(decoded), "{text}");
    let words = " received an invalid passwd from ";
    assert!(refused.contains(" vrid 51 priority 100 refused by web to ") && refused.contains(words), "{text}");
    let widest = text.lines().map(str::len).max();
    assert!(widest.is_some_and(|width| width <= 80), "{text}");
    let short = sniff(&cluster, &arguments)?;
    assert!(short.contains(shown.trim_end_matches(" to ")) && !short.contains("ttl 255"), "{short}");
    // The same words as in the log.
    let told = refused.find(words).and_then(|at| refused.get(at + 1..)).unwrap_or_default();
    assert!(cluster.lines(B).iter().any(|line| line.contains(told)), "{told:?} is not in the log");
    for line in json.lines() {
        let seen: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let is_ours = seen["source"] == ours.as_str();
        assert_eq!(seen["verdict"]["accepted"], is_ours, "{line}");
        assert_eq!(seen["verdict"]["reason"].as_str(), (!is_ours).then_some("auth"), "{line}");
    }
    assert!(json.lines().count() >= 4, "{json}");
    assert!(!text.contains("s3cr3t") && !text.contains("other777") && !json.contains("s3cr3t"), "{text}{json}");
    cluster.check_alive()
}

fn sniff(cluster: &Cluster, arguments: &[&str]) -> Result<String, LabError> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    command.args(arguments);
    let output = cluster.lab().namespace(B)?.enter(move || command.output());
    let output = output.map_err(LabError::kernel("run vrrpd sniff"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(out.into_owned()),
        false => Err(LabError::Daemon { name: "vrrpd sniff".to_owned(), problem: err.into_owned() }),
    }
}
