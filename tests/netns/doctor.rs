//! `vrrpd doctor` on a real kernel: what is wrong with a node is found, and the lines that it prints mend it.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B, C};
use vrrpd::demo::lab::{INTERFACE, VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::{Keepalived, Vrrpd};
use crate::driver::our_program;
use crate::stories::quick;

#[test]
fn doctor_finds_what_is_wrong_and_its_lines_mend_it() {
    beside_others(|| finds().unwrap_or_else(|error| panic!("{error}")));
}

fn finds() -> Result<(), LabError> {
    let plan = Plan { priorities: vec![200, 150, 100], addresses: vec![VIP_V6, VIP_V4], ..quick() };
    // Node c is a stranger to both: another cluster with the same number.
    let stranger = format!(", \"{}\"", plan.source(C));
    let files = [A, B].map(|node| plan.toml(node).replace(&stranger, ""));
    assert!(files.iter().all(|file| !file.contains(&plan.source(C).to_string())), "{files:?}");
    let mut cluster = Cluster::with_files(&plan, &[Vrrpd, Vrrpd, Keepalived], &[files[0].clone(), files[1].clone()])?;
    let none: [String; 0] = [];

    // A node that is well, first alone and then beside a master.
    assert_eq!(problems(&cluster)?, none);
    cluster.start(B)?;
    cluster.watch.wait("node b to hold the address", Duration::from_secs(10), |log| {
        (log.holders(VIP_V4) == [B]).then_some(())
    })?;
    assert_eq!(problems(&cluster)?, none);
    let well = look(&cluster)?;
    assert!(well.to_string().contains("the adverts on the link are those of this cluster"), "{well}");

    // A packet filter.
    shell(
        &cluster,
        "nft add table inet filter && nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'",
    )?;
    assert_eq!(problems(&cluster)?, ["the policy of inet filter input drops the adverts that web is sent"]);
    let lines = mend(&cluster, "firewall")?;
    shell(&cluster, &lines)?;
    assert_eq!(problems(&cluster)?, none, "after {lines}");
    shell(&cluster, "nft flush ruleset")?;

    // A setting.
    cluster.lab().namespace(A)?.set(&format!("ipv6/conf/{INTERFACE}/disable_ipv6"), 1)?;
    let found = problems(&cluster)?;
    assert!(found.contains(&format!("IPv6 is switched off on {INTERFACE}")), "{found:?}");
    let setting = mend(&cluster, "sysctl")?;
    let (key, value) = setting.split_once(" = ").unwrap_or_default();
    let path = key.trim_start_matches("net.").replace('.', "/");
    cluster.lab().namespace(A)?.set(&path, value)?;
    assert_eq!(problems(&cluster)?, none, "after {setting}");

    // A host that has the address, and another cluster.
    cluster.stop(B)?;
    let third = cluster.lab().plug("third", &[(VIP_V4, 32)])?;
    let found = problems(&cluster)?;
    assert!(matches!(found.as_slice(), [one] if one.starts_with("10.77.1.1 of web is at ")), "{found:?}");
    drop(third);
    cluster.start(C)?;
    let advertised = "node c to send adverts";
    let since_start = Duration::from_secs(15);
    cluster.watch.wait(advertised, since_start, |log| log.advertisers(plan.interval * 2).contains(&C).then_some(()))?;
    let found = problems(&cluster)?;
    let words =
        format!("{} sends adverts for virtual_router_id 51 on {INTERFACE} and is no peer of web", plan.source(C));
    assert!(found.contains(&words), "{found:?}");
    cluster.check_alive()
}

/// Returns what `vrrpd doctor` on node a calls a problem, and checks that its exit code says the same.
fn problems(cluster: &Cluster) -> Result<Vec<String>, LabError> {
    let findings = look(cluster)?;
    let of = findings["findings"].as_array().into_iter().flatten();
    let bad = of.filter(|finding| finding["severity"] == "problem");
    Ok(bad.map(|finding| finding["what"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Returns the lines that mend the problem of a topic.
fn mend(cluster: &Cluster, topic: &str) -> Result<String, LabError> {
    let findings = look(cluster)?;
    let mut of = findings["findings"].as_array().into_iter().flatten();
    let finding = of.find(|finding| finding["topic"] == topic && finding["severity"] == "problem");
    let lines = finding.and_then(|finding| finding["mend"]["lines"].as_array()).into_iter().flatten();
    Ok(lines.filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
}

fn look(cluster: &Cluster) -> Result<Value, LabError> {
    let file = cluster.path("doctor.toml", A);
    let stranger = format!(", \"{}\"", cluster.plan.source(C));
    let text = cluster.plan.toml(A).replace(&stranger, "");
    std::fs::write(&file, text).map_err(LabError::kernel("write a file"))?;
    let mut command = our_program();
    command.args(["doctor", "--json", "--seconds", "1", "--config"]).arg(&file);
    command.arg("--runtime-dir").arg(cluster.path("run", A));
    let output = cluster.lab().namespace(A)?.enter(move || command.output());
    let output = output.map_err(LabError::kernel("run vrrpd doctor"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(found["unseen"], Value::Array(Vec::new()), "{text}");
    let is_bad = text.contains("\"severity\":\"problem\"");
    assert_eq!(output.status.code(), Some(i32::from(is_bad)), "{text}");
    Ok(found)
}

fn shell(cluster: &Cluster, script: &str) -> Result<(), LabError> {
    let mut command = Command::new("sh");
    command.args(["-euc", script]);
    let output = cluster.lab().namespace(A)?.enter(move || command.output());
    let output = output.map_err(LabError::kernel(format!("run {script}")))?;
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
