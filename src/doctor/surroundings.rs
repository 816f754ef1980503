//! The clock, the cloud, and the programs that are called. Pure.

use super::facts::{Clock, Facts, Machine};
use super::finding::Finding;
use crate::engine::params::{HookEvent, RouterParams, Transport};

/// Looks at all three.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.programs.iter().map(of_program).collect();
    found.extend(of_clock(facts));
    found.extend(of_cloud(facts));
    found
}

fn of_program(finding: &crate::daemon::audit::Finding) -> Finding {
    let what = format!("{}: {}", finding.whose, finding.obstacle);
    let (topic, is_check) = ("programs", finding.is_check);
    match (finding.is_bearable, is_check) {
        (true, _) => Finding::advice(topic, what, "whoever can change that file can become root"),
        (false, true) => Finding::problem(
            topic,
            what,
            "a check that cannot run has failed, so the instances that name it are ineligible",
        ),
        (false, false) => Finding::problem(topic, what, "nobody is told when the address moves"),
    }
}

fn of_clock(facts: &Facts) -> Option<Finding> {
    let router = facts.routers.iter().find(|router| router.auth.goes_by_time())?;
    let topic = "clock";
    let why = format!(
        "adverts of {} are refused when their time and ours differ by more than the window, and both nodes become master",
        router.name
    );
    let install = ["apt-get install chrony", "systemctl enable --now chrony"];
    Some(match facts.clock {
        Clock::Synchronised => Finding::fine(topic, "the clock was set by a time server"),
        Clock::Kept(program) => {
            Finding::advice(topic, format!("{program} keeps the clock, and only itself knows how well"), why)
                .mend("to see it", &[if program == "chronyd" { "chronyc tracking" } else { "timedatectl" }])
        }
        Clock::Waiting => Finding::problem(topic, "systemd-timesyncd runs and has heard no time server", why)
            .mend("as root, to see why", &["timedatectl timesync-status", "journalctl -u systemd-timesyncd"]),
        Clock::Unkept => Finding::problem(topic, "nothing that can be seen from here keeps the clock", why)
            .mend("as root, or what keeps the time on this system", &install),
    })
}

/// A network that moves no address because a host says so.
struct Cloud {
    name: &'static str,
    /// The sample hook; `None`: there is none, docs/clouds.md says what to call.
    hook: Option<&'static str>,
}

fn of_cloud(facts: &Facts) -> Vec<Finding> {
    let Some(cloud) = cloud(&facts.machine) else { return Vec::new() };
    let topic = "cloud";
    let mut found = Vec::new();
    for router in &facts.routers {
        let name = &router.name;
        if matches!(router.transport, Transport::Multicast { .. }) {
            let what = format!("{name} uses multicast, and this machine is in {}", cloud.name);
            let why = "networks of clouds carry no multicast: every node hears nobody and becomes master";
            found.push(
                Finding::problem(topic, what, why)
                    .mend("the instance's table, instead of multicast", &["peers = [\"ADDRESS\"]"]),
            );
        }
        if is_told(router) {
            found.push(Finding::fine(
                topic,
                format!("this machine is in {}, and {name} calls a hook when it becomes master", cloud.name),
            ));
            continue;
        }
        let what = format!("this machine is in {}, where gratuitous ARP moves no address", cloud.name);
        let why = format!(
            "the network goes on sending to the node it was told of: a takeover of {name} needs a call of the provider's interface; \
                           docs/clouds.md says which"
        );
        let finding = Finding::problem(topic, what, why);
        found.push(match cloud.hook {
            Some(hook) => {
                let line = format!("notify_master = \"/etc/vrrpd/hooks/{hook}\"");
                finding
                    .mend(format!("[instance.{name}], after conf/hooks/{hook} was put there and filled in"), &[&line])
            }
            None => finding,
        });
    }
    found
}

fn is_told(router: &RouterParams) -> bool {
    router.hooks.calls.iter().any(|hook| matches!(hook.event, HookEvent::Any | HookEvent::Master))
}

fn cloud(machine: &Machine) -> Option<Cloud> {
    let Machine { vendor, product, asset } = machine;
    let known = |name, hook| Some(Cloud { name, hook });
    match (vendor.as_str(), product.as_str(), asset.as_str()) {
        ("Amazon EC2", _, _) => known("AWS", Some("aws")),
        (_, "Google Compute Engine", _) | ("Google", _, _) => known("Google Cloud", Some("gcp")),
        // Hyper-V says the same vendor; this number is Azure's own.
        ("Microsoft Corporation", _, "7783-7084-3265-9085-8269-3286-77") => known("Azure", Some("azure")),
        ("Hetzner", _, _) => known("Hetzner Cloud", Some("hetzner")),
        ("DigitalOcean", _, _) => known("DigitalOcean", None),
        ("Scaleway", _, _) => known("Scaleway", None),
        ("Vultr", _, _) => known("Vultr", None),
        ("Akamai" | "Linode", _, _) => known("Linode", None),
        ("Alibaba Cloud", _, _) => known("Alibaba Cloud", None),
        (_, _, "OracleCloud.com") => known("Oracle Cloud", None),
        (_, _, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::facts::tests::{facts, ip};
    use super::super::finding::Severity;
    use super::*;
    use crate::child::Obstacle;
    use crate::daemon::audit;
    use crate::engine::params::{Auth, AuthMode, Command, HmacParams, Hook, ReplayGuard};
    use crate::wire::auth::Key;
    use crate::wire::field::KeyId;

    fn machine(vendor: &str, product: &str, asset: &str) -> Machine {
        Machine { vendor: vendor.to_owned(), product: product.to_owned(), asset: asset.to_owned() }
    }

    #[test]
    fn clouds_are_known_by_their_firmware() {
        let name = |machine: &Machine| cloud(machine).map(|cloud| cloud.name);
        assert_eq!(name(&machine("Amazon EC2", "m5.large", "Amazon EC2")), Some("AWS"));
        assert_eq!(name(&machine("Google", "Google Compute Engine", "")), Some("Google Cloud"));
        let azure = machine("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77");
        assert_eq!(name(&azure), Some("Azure"));
        assert_eq!(name(&machine("Microsoft Corporation", "Virtual Machine", "1234")), None, "Hyper-V at home");
        assert_eq!(name(&machine("Hetzner", "vServer", "")), Some("Hetzner Cloud"));
        assert_eq!(name(&machine("QEMU", "Standard PC", "")), None);
    }

    #[test]
    fn a_cloud_needs_a_hook_and_no_multicast() {
        let mut facts = facts();
        facts.machine = machine("Hetzner", "vServer", "");
        let found = findings(&facts);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Problem));
        assert_eq!(found[0].mend.as_ref().unwrap().lines, ["notify_master = \"/etc/vrrpd/hooks/hetzner\""]);
        let command = Command { words: vec!["/etc/vrrpd/hooks/hetzner".to_owned()], user: None };
        facts.routers[0].hooks.calls.push(Hook { event: HookEvent::Backup, command: command.clone() });
        assert_eq!(findings(&facts)[0].severity, Severity::Problem);
        facts.routers[0].hooks.calls.push(Hook { event: HookEvent::Master, command });
        assert_eq!(findings(&facts)[0].severity, Severity::Fine);
        facts.routers[0].transport = Transport::Multicast { group: ip("224.0.0.18") };
        assert_eq!(findings(&facts)[0].what, "web uses multicast, and this machine is in Hetzner Cloud");
    }

    #[test]
    fn the_clock_matters_where_adverts_go_by_time() {
        let mut facts = facts();
        assert!(findings(&facts).is_empty());
        let id = KeyId::new(1).unwrap();
        let key = Arc::new(Key::new(&[7; 32]).unwrap());
        let hmac = |guard| {
            Auth::Hmac(HmacParams { keys: vec![(id, Arc::clone(&key))], active: id, mode: AuthMode::Enforce, guard })
        };
        facts.routers[0].auth = hmac(ReplayGuard::Time { window: Duration::from_secs(30) });
        for (clock, severity) in [
            (Clock::Synchronised, Severity::Fine),
            (Clock::Kept("chronyd"), Severity::Advice),
            (Clock::Waiting, Severity::Problem),
            (Clock::Unkept, Severity::Problem),
        ] {
            facts.clock = clock;
            assert_eq!(findings(&facts)[0].severity, severity);
        }
        facts.routers[0].auth = hmac(ReplayGuard::Monotonic);
        assert!(findings(&facts).is_empty());
    }

    #[test]
    fn a_check_that_cannot_run_is_a_problem() {
        let finding = |is_check, is_bearable| audit::Finding {
            whose: "check apache".to_owned(),
            program: "/x".to_owned(),
            is_check,
            obstacle: Obstacle::Missing("/x".into()),
            is_bearable,
        };
        let mut facts = facts();
        facts.programs = vec![finding(true, false), finding(false, false), finding(true, true)];
        let severities: Vec<Severity> = findings(&facts).iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Problem, Severity::Problem, Severity::Advice]);
        assert_eq!(findings(&facts)[0].what, "check apache: /x does not exist");
    }
}
