//! What each command of the section must do, in its order: who has the address then, what a client may miss, and what else is
//! to be seen on the host.

use vrrpd::demo::lab::Node::{self, A, B};

use crate::container::Container;
use crate::left;

/// What is expected of one command.
pub struct Expected {
    /// The command as the section has it.
    pub command: &'static str,
    /// Where.
    pub node: Node,
    /// Who alone has the address when all is quiet again.
    pub master: Option<Node>,
    /// How many requests may be lost, of one each millisecond; `None`: the address is on its way up or gone.
    pub lost: Option<usize>,
    /// Looks at the host, and returns what is worth telling.
    pub proof: fn(&Seen<'_>) -> Result<String, String>,
}

/// What a proof looks at.
pub struct Seen<'a> {
    /// The host the command ran on.
    pub host: &'a Container,
    /// What the command wrote.
    pub output: &'a str,
    /// The service before the command.
    pub before: Service,
    /// The service when all was quiet again.
    pub after: Service,
    /// What was on the host before the package.
    pub clean: &'a left::Listing,
}

/// What systemd says of the service.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Service {
    /// `active` and so on.
    pub state: String,
    /// The main process; "0" when there is none.
    pub pid: String,
    /// How often systemd started it again by itself.
    pub restarts: u32,
}

impl Service {
    /// Asks a host.
    pub fn of(host: &Container) -> Self {
        let property = |name| host.property(name).unwrap_or_default();
        let restarts = property("NRestarts").parse().unwrap_or(0);
        Self { state: property("ActiveState"), pid: property("MainPID"), restarts }
    }
}

const fn expect(
    command: &'static str,
    node: Node,
    master: Option<Node>,
    lost: Option<usize>,
    proof: fn(&Seen<'_>) -> Result<String, String>,
) -> Expected {
    Expected { command, node, master, lost, proof }
}

const INSTALL: &str = "apt-get install -y ./vrrpd_0.1.0-1_amd64.deb";
const UPGRADE: &str = "apt-get install -y ./vrrpd_0.1.0-2_amd64.deb";
const ANOTHER_ADDRESS: &str =
    "sed -i 's|\"192.0.2.30/24\"|\"192.0.2.30/24\", \"192.0.2.31/24\"|' /etc/vrrpd/vrrpd.toml";
const KEEP: &str = "sed -i 's|^\\[Network\\]$|&\\nKeepConfiguration=static|' /etc/systemd/network/eth0.network";

/// All that the section has, in order.
pub const ALL: &[Expected] = &[
    expect(INSTALL, A, None, None, is_installed),
    expect(INSTALL, B, None, None, is_installed),
    expect("vrrpd check", A, None, None, is_silent),
    expect("systemctl enable --now vrrpd", A, Some(A), None, runs),
    expect("vrrpd check", B, Some(A), Some(0), is_silent),
    expect("systemctl enable --now vrrpd", B, Some(A), Some(0), runs),
    expect("vrrpd status", A, Some(A), Some(0), says_master),
    expect("journalctl -u vrrpd VRRP_INSTANCE=web VRRP_STATE=MASTER", A, Some(A), Some(0), has_the_transition),
    expect("journalctl -x MESSAGE_ID=5f4b3091d8784b78a9a444ddde22c002", A, Some(A), Some(0), is_explained),
    expect("systemctl stop vrrpd", A, Some(B), Some(0), is_stopped),
    expect("systemctl start vrrpd", A, Some(A), Some(0), runs),
    expect("systemctl restart vrrpd", A, Some(A), Some(0), is_another_process),
    expect("systemctl kill --signal=KILL vrrpd", A, Some(A), Some(0), is_started_again),
    expect("systemctl kill --signal=STOP vrrpd", A, Some(A), Some(1000), watchdog_barked),
    expect(ANOTHER_ADDRESS, A, Some(A), Some(0), is_silent),
    expect("systemctl reload vrrpd", A, Some(A), Some(0), has_another_address),
    expect(ANOTHER_ADDRESS, B, Some(A), Some(0), is_silent),
    expect("systemctl reload vrrpd", B, Some(A), Some(0), is_the_same_process),
    expect("systemctl restart systemd-networkd", A, Some(A), Some(50), networkd_took),
    expect(KEEP, A, Some(A), Some(0), is_silent),
    expect("networkctl reload", A, Some(A), Some(0), networkd_took),
    expect("systemctl restart systemd-networkd", A, Some(A), Some(0), networkd_took),
    expect("networkctl reconfigure eth0", A, Some(A), Some(50), networkd_took),
    expect("systemctl reboot", A, Some(A), Some(0), runs),
    expect("vrrpd drain --wait --reason \"new disk\"", A, Some(B), Some(0), is_the_same_process),
    expect("systemctl reboot", A, Some(B), Some(0), is_drained),
    expect("vrrpd resume", A, Some(A), Some(0), is_the_same_process),
    expect(UPGRADE, A, Some(A), Some(0), is_upgraded),
    expect(UPGRADE, B, Some(A), Some(0), is_upgraded),
    expect("apt-get purge -y vrrpd", A, Some(B), Some(0), is_gone),
    expect("apt-get purge -y vrrpd", B, None, None, is_gone),
];

fn is_installed(seen: &Seen<'_>) -> Result<String, String> {
    let version = ask(seen, "dpkg-query --showformat '${Version}' --show vrrpd")?;
    must(seen.after.pid == "0", || format!("something runs that nobody configured: {:?}", seen.after))?;
    Ok(format!("version {version} installed, nothing runs"))
}

fn is_silent(seen: &Seen<'_>) -> Result<String, String> {
    must(seen.output.is_empty(), || "it said something".to_owned()).map(|()| String::new())
}

fn runs(seen: &Seen<'_>) -> Result<String, String> {
    must(seen.after.state == "active", || format!("{:?}", seen.after))?;
    must(seen.after.restarts == 0, || format!("started more than once: {:?}", seen.after)).map(|()| String::new())
}

fn says_master(seen: &Seen<'_>) -> Result<String, String> {
    has(seen.output, "web  MASTER")?;
    has(seen.output, "192.0.2.30/24 on eth0: present").map(|()| String::new())
}

fn has_the_transition(seen: &Seen<'_>) -> Result<String, String> {
    has(seen.output, "VRRP_Instance(web) Entering MASTER STATE").map(|()| String::new())
}

fn is_explained(seen: &Seen<'_>) -> Result<String, String> {
    has(seen.output, "Subject: Instance web entered MASTER").map(|()| String::new())
}

fn is_stopped(seen: &Seen<'_>) -> Result<String, String> {
    must(seen.after.state == "inactive", || format!("{:?}", seen.after)).map(|()| String::new())
}

fn is_another_process(seen: &Seen<'_>) -> Result<String, String> {
    runs(seen)?;
    must(seen.before.pid != seen.after.pid, || format!("{:?}", seen.after)).map(|()| String::new())
}

fn is_the_same_process(seen: &Seen<'_>) -> Result<String, String> {
    must(seen.before == seen.after && seen.after.state == "active", || {
        format!("{:?} before, {:?} after", seen.before, seen.after)
    })
    .map(|()| "same process".to_owned())
}

fn is_started_again(seen: &Seen<'_>) -> Result<String, String> {
    must(seen.after.state == "active" && seen.after.pid != seen.before.pid, || format!("{:?}", seen.after))?;
    must(seen.after.restarts == seen.before.restarts + 1, || format!("{:?}", seen.after))?;
    Ok("started again by systemd, once".to_owned())
}

fn watchdog_barked(seen: &Seen<'_>) -> Result<String, String> {
    let said = is_started_again(seen)?;
    has(&ask(seen, "journalctl --no-pager -u vrrpd -n 60")?, "Watchdog timeout")?;
    Ok(format!("watchdog; {said}"))
}

fn has_another_address(seen: &Seen<'_>) -> Result<String, String> {
    let said = is_the_same_process(seen)?;
    has(&ask(seen, "ip -o address show to 192.0.2.31")?, "192.0.2.31/24")?;
    Ok(format!("{said}, has 192.0.2.31 too"))
}

/// Says how many addresses networkd has taken away since the host was booted, by what the daemon says of them.
fn networkd_took(seen: &Seen<'_>) -> Result<String, String> {
    is_the_same_process(seen)?;
    let text = ask(seen, "journalctl --no-pager --boot -u vrrpd")?;
    let count = text.lines().filter(|line| line.contains("was removed by another program and put back")).count();
    Ok(format!("same process; addresses taken away and put back so far: {count}"))
}

fn is_drained(seen: &Seen<'_>) -> Result<String, String> {
    runs(seen)?;
    has(&ask(seen, "vrrpd status")?, "new disk")?;
    Ok("drained still after the reboot".to_owned())
}

fn is_upgraded(seen: &Seen<'_>) -> Result<String, String> {
    let said = is_the_same_process(seen)?;
    let version = ask(seen, "dpkg-query --showformat '${Version}' --show vrrpd")?;
    has(&version, "-2")?;
    // A program that was replaced under a process is shown as deleted.
    let program = ask(seen, &format!("readlink /proc/{}/exe", seen.after.pid))?;
    must(program == "/usr/sbin/vrrpd", || format!("runs {program}"))?;
    Ok(format!("version {version}, {said}"))
}

fn is_gone(seen: &Seen<'_>) -> Result<String, String> {
    let more = seen.clean.more_in(&left::Listing::of(seen.host).map_err(|error| error.to_string())?);
    must(more.is_empty(), || format!("left behind: {more:?}"))?;
    must(!seen.host.holds(crate::ADDRESS), || "the address is left behind".to_owned())?;
    Ok("nothing left: no file, user, group, unit, address".to_owned())
}

fn ask(seen: &Seen<'_>, line: &str) -> Result<String, String> {
    seen.host.ask(line).map_err(|error| error.to_string())
}

fn has(text: &str, part: &str) -> Result<(), String> {
    must(text.contains(part), || format!("no {part:?} in: {text}"))
}

fn must(is_so: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(problem()) }
}
