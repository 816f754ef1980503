//! From the command line to running threads; nothing on the system changes before everything is known to be right.
//!
//! One stop before: `cli`. One stop after: `daemon::event_loop` and `daemon::service`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::signal::{SigmaskHow, Signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::apart;
use super::beside::{self, Refusal};
use super::channel::{CAPACITY, ProtocolHandle, ToProtocol, ToService, to_protocol};
use super::drains::Drains;
use super::effects::Effects;
use super::event_loop::{EventLoop, read_clocks, wanted_sockets};
use super::guard::{Guard, Origin};
use super::logging::{self, Log};
use super::record::Level;
use super::reload::Source;
use super::secrecy;
use super::service::{Service, ServiceFailure, Setup};
use super::state::live::State;
use super::state::past::Past;
use super::state::table::Table;
use super::state_dir::{self, StateDir};
use super::upgrade::{VERSION, hold_signals};
use crate::config::{self, Config, LocalHost, Problems, Severity, Unplaced};
use crate::control::group::control_group;
use crate::control::lock::{LockError, lock};
use crate::control::server::{BindError, Server};
use crate::control::status::Identity;
use crate::engine::input::{Input, RouterKey};
use crate::engine::node::Node;
use crate::engine::params::{NodeParams, RouterParams};
use crate::net::socket::{OpenError, Receiver, Sender};
use crate::wire::field::Family;

/// What the command line says.
#[derive(Debug, Default)]
pub struct Options {
    /// Configuration file; `None`: the default path.
    pub config: Option<PathBuf>,
    /// Its language; `None`: by its name.
    pub format: Option<config::Format>,
    /// Instead of the configured one.
    pub runtime_dir: Option<PathBuf>,
    /// Where to keep what outlives a reboot; `None`: see [`state_dir::resolve`].
    pub state_dir: Option<PathBuf>,
    /// How to log; `None`: to the journal when it listens, else text.
    pub log: Option<logging::Format>,
    /// Die with the process that started us.
    pub exits_with_parent: bool,
    /// Start even where a Keepalived runs the same virtual routers.
    pub beside_keepalived: bool,
}

/// Runs the daemon until it has handed over; returns its exit code.
pub fn run(options: &Options) -> ExitCode {
    let (guard, origin) = Guard::post();
    if options.exits_with_parent {
        // Cannot fail with a valid signal.
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    }
    let log = match logging::init(options.log, Level::Info) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("vrrpd: cannot start to log: {error}");
            guard.leave(&format!("cannot start to log: {error}"));
            return ExitCode::from(EX_SOFTWARE);
        }
    };
    guard.catch_panics();
    tell_origin(&origin);
    let result = start(options, &log, (&guard, origin));
    if let Err(error) = &result {
        for line in error.to_string().lines() {
            tracing::error!("{line}");
        }
    }
    log.flush(FLUSH_PATIENCE);
    if let Err(error) = &result {
        guard.leave(&error.to_string());
    }
    result.map_or_else(|error| ExitCode::from(error.exit_code()), |()| ExitCode::SUCCESS)
}

/// Says how this process came to run this program.
fn tell_origin(origin: &Origin) {
    match origin {
        Origin::Started => {}
        Origin::Upgraded { from } => tracing::info!("took over from version {from}, this is version {VERSION}"),
        Origin::Returned { from, why } => {
            tracing::error!("version {from} could not take over, back to version {VERSION}: {why}");
        }
    }
}

/// Checks everything, opens everything, then starts the threads.
fn start(options: &Options, log: &Log, (guard, origin): (&Guard, Origin)) -> Result<(), StartError> {
    let hidden = secrecy::hide();
    let path = options.config.clone().unwrap_or_else(config::default_path);
    let loaded = apart::load(&path, options.format).map_err(StartError::Config)?;
    tell_warnings(&loaded.warnings);
    let config_loaded_at = read_clocks().mono;
    check_capabilities()?;
    let settings = loaded.config.daemon.clone();
    let runtime_dir = options.runtime_dir.clone().unwrap_or_else(|| settings.runtime_dir.clone());
    let lock = lock(&runtime_dir).map_err(StartError::Lock)?;
    let state_dir = open_state_dir(options, &runtime_dir);
    let (node_name, params) = place(&loaded.config)?;
    // With the secrets of instances that are not for this node.
    apart::unload(loaded);
    // One that was upgraded was there first.
    if origin == Origin::Started && !options.beside_keepalived {
        let here = local_addresses().map_err(StartError::System)?.into_iter().map(|(_, address)| address);
        beside::refuse(&params, &here.collect::<Vec<_>>()).map_err(StartError::Beside)?;
    }
    hidden.unless_needed(&params);
    let wanted = wanted_sockets(&params);
    let receiver = Receiver::open(wanted).map_err(StartError::Socket)?;
    let sender = Sender::open(wanted).map_err(StartError::Socket)?;
    let server = Server::bind(&lock, control_group(settings.control_group.as_deref()).as_deref())
        .map_err(StartError::Control)?;

    let (protocol, inbox) = to_protocol().map_err(StartError::System)?;
    // At a takeover each router says two things, and none is to be lost; room that is not used costs nothing.
    let (to_service, from_protocol) = mpsc::channel(CAPACITY + 2 * params.routers.len());
    let mut node = Node::new(&params);
    let routers: Routers = node.routers().map(|(key, params)| (key, Arc::clone(params))).collect();
    let drains = drains(&mut node, &state_dir);
    let past = past(&runtime_dir);
    adopt(&mut node, past.as_ref(), &routers);
    let adopting = node.adopting().collect();
    let left = past.iter().flat_map(Past::left).collect();
    let of = |key| routers.get(&key).map(AsRef::as_ref);
    let table = || Table::new(&path, routers.iter().map(|(key, params)| (*key, params.as_ref())));
    let state = apart::work(|| State::create(&runtime_dir, table(), past.as_ref(), of));
    let effects = Effects::new(sender, to_service, state);
    let event_loop = EventLoop::new(node, receiver, effects, inbox).map_err(StartError::System)?;
    let source = Source { path: path.clone(), format: options.format, settings: settings.clone() };
    let identity = Identity {
        node: node_name,
        pid: std::process::id(),
        started_at: read_clocks().mono,
        config_path: path,
        config_loaded_at,
    };
    let setup = Setup {
        identity,
        source,
        params,
        routers,
        log: log.clone(),
        protocol,
        adopting,
        left,
        state_dir,
        drains,
        guard: guard.clone(),
        origin,
    };
    let thread = spawn_service(setup, server, from_protocol)?;
    event_loop.run();
    match thread.join() {
        Ok(result) => result.map_err(StartError::Service),
        Err(_) => Err(StartError::System(io::Error::other("the service thread panicked"))),
    }
}

/// Starts the service thread.
fn spawn_service(
    setup: Setup,
    server: Server,
    from_protocol: mpsc::Receiver<ToService>,
) -> Result<JoinHandle<Result<(), ServiceFailure>>, StartError> {
    let alarm = Alarm(setup.protocol.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    let serve = move || {
        let _alarm = alarm;
        LocalSet::new().block_on(&runtime, async {
            let (service, orders) = Service::new(setup);
            service.run(orders, server, from_protocol).await
        })
    };
    std::thread::Builder::new().name("service".to_owned()).spawn(serve).map_err(StartError::System)
}

/// Makes the state directory; where that is impossible the daemon does without.
fn open_state_dir(options: &Options, runtime_dir: &Path) -> StateDir {
    let state_dir = StateDir::at(state_dir::resolve(options.state_dir.as_deref(), runtime_dir));
    if let Err(error) = state_dir.create() {
        let path = state_dir.path().display();
        tracing::warn!("cannot make the state directory {path}: {error}; nothing will be known after a reboot");
    }
    state_dir
}

/// Says what in a configuration deserves a second look.
fn tell_warnings(warnings: &[config::Problem]) {
    for warning in warnings {
        let (file, line, column) = (&warning.file, warning.line, warning.column);
        match warning.severity() {
            Severity::Note => tracing::info!("{file}:{line}:{column}: {}", warning.text()),
            Severity::Warning | Severity::Error => tracing::warn!("{file}:{line}:{column}: {}", warning.text()),
        }
    }
}

/// Reads what the process before this one left.
fn past(runtime_dir: &Path) -> Option<Past> {
    Past::read(runtime_dir).unwrap_or_else(|error| {
        tracing::warn!("cannot read the state file: {error}");
        None
    })
}

/// Tells a node who stays away since an earlier process; whose time is over meanwhile does not.
fn drains(node: &mut Node, state_dir: &StateDir) -> Drains {
    let mut drains = Drains::read(state_dir).unwrap_or_else(|error| {
        let path = state_dir.path().display();
        tracing::error!("cannot read in {path} who is drained, so nobody is: {error}");
        Drains::default()
    });
    let now = read_clocks();
    drains.expire(now.utc);
    node.handle(now, Input::Drain(drains.for_engine()));
    drains
}

/// Tells a node what the process before it left.
fn adopt(node: &mut Node, past: Option<&Past>, routers: &Routers) {
    let Some(past) = past.map(Past::index) else { return };
    for (&router, params) in routers {
        if let Some(imprint) = past.imprint(params) {
            node.handle(read_clocks(), Input::Adopt { router, imprint });
        }
    }
}

/// Configurations by key.
type Routers = BTreeMap<RouterKey, Arc<RouterParams>>;

/// Ends the protocol thread when the service thread ends, for whatever reason.
struct Alarm(ProtocolHandle);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.send(ToProtocol::GiveUp);
    }
}

/// Finds out which node of the configuration this host is; waits while its address is not there yet.
fn place(config: &Config) -> Result<(String, NodeParams), StartError> {
    let host_name = host_name();
    let mut is_told = false;
    loop {
        let here = local_addresses().map_err(StartError::System)?;
        let addresses: Vec<IpAddr> = here.iter().map(|(_, address)| *address).collect();
        let host = LocalHost { addresses: &addresses, host_name: &host_name };
        let unplaced = match config.for_this_host(&host) {
            Ok(params) => {
                for instance in config.left_out(&host) {
                    tracing::warn!("instance {instance:?} is left out: its nodes do not name this host");
                }
                return Ok((config.node_name(&host), params));
            }
            Err(unplaced) => unplaced,
        };
        if !is_worth_waiting(&unplaced, &here) {
            return Err(StartError::Unplaced(unplaced));
        }
        if !is_told {
            is_told = true;
            tracing::warn!("{unplaced}; waiting for it");
            super::systemd::ready("waiting for an address of this node");
        }
        super::systemd::alive();
        // A program that took over was given them blocked, and catches none before it has its address.
        let _ = hold_signals(SigmaskHow::SIG_UNBLOCK);
        wait_for_addresses();
    }
}

/// Returns what the configuration has for this host, without waiting for anything.
pub(super) fn params_of_this_host(config: &Config) -> Result<NodeParams, StartError> {
    let host_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let here = local_addresses().map_err(StartError::System)?;
    let addresses: Vec<IpAddr> = here.iter().map(|(_, address)| *address).collect();
    config.for_this_host(&LocalHost { addresses: &addresses, host_name: &host_name }).map_err(StartError::Unplaced)
}

/// Says whether an address may still come: its interface is missing, or has no address of that family at all.
fn is_worth_waiting(unplaced: &Unplaced, here: &[(String, IpAddr)]) -> bool {
    match unplaced {
        Unplaced::NotHere { interface, addresses, .. } => {
            let families: Vec<Family> = addresses.iter().map(Family::of).collect();
            let is_global = |address: &IpAddr| match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(address) => !address.is_unicast_link_local(),
            };
            !here.iter().any(|(name, address)| {
                name == interface && families.contains(&Family::of(address)) && is_global(address)
            })
        }
        Unplaced::Ambiguous { .. } => false,
    }
}

#[allow(clippy::disallowed_methods, reason = "before any thread runs, and nothing is due yet")]
fn wait_for_addresses() {
    std::thread::sleep(Duration::from_millis(500));
}

/// Returns the name of this host; empty when it has none.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Returns the addresses of all interfaces.
pub(super) fn local_addresses() -> io::Result<Vec<(String, IpAddr)>> {
    let of = |entry: nix::ifaddrs::InterfaceAddress| {
        let storage = entry.address?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let address = v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))?;
        Some((entry.interface_name, address))
    };
    Ok(getifaddrs()?.filter_map(of).collect())
}

/// Says which capability is missing, before the first takeover would find out.
pub(super) fn check_capabilities() -> Result<(), StartError> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(StartError::System)?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let missing: Vec<&'static str> =
        CAPABILITIES.iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(StartError::Capability(missing)) }
}

/// Why the daemon did not start.
#[derive(Debug)]
pub(super) enum StartError {
    /// The configuration is wrong.
    Config(Problems),
    /// The configuration does not say which node this is.
    Unplaced(Unplaced),
    /// A Keepalived runs the same virtual routers.
    Beside(Refusal),
    /// These capabilities are missing.
    Capability(Vec<&'static str>),
    /// The runtime directory cannot be used, or another daemon uses it.
    Lock(LockError),
    /// A raw socket cannot be opened.
    Socket(OpenError),
    /// The control socket cannot be made.
    Control(BindError),
    /// The service thread cannot work.
    Service(ServiceFailure),
    /// The kernel refused something that it has no reason to refuse.
    System(io::Error),
}

impl StartError {
    pub fn exit_code(&self) -> u8 {
        let by_kind = |kind| if kind == io::ErrorKind::PermissionDenied { EX_NOPERM } else { EX_UNAVAILABLE };
        match self {
            Self::Config(_) | Self::Unplaced(_) | Self::Beside(_) => EX_CONFIG,
            Self::Capability(_) => EX_NOPERM,
            Self::Lock(LockError::Held { .. }) => EX_UNAVAILABLE,
            Self::Lock(LockError::System { source, .. }) => by_kind(source.kind()),
            Self::Socket(error) if error.is_permission() => EX_NOPERM,
            Self::Service(ServiceFailure::Net(error)) if error.is_permission() => EX_NOPERM,
            Self::Socket(_) | Self::Control(_) | Self::Service(_) => EX_UNAVAILABLE,
            Self::System(_) => EX_SOFTWARE,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Unplaced(unplaced) => unplaced.fmt(f),
            Self::Beside(refusal) => refusal.fmt(f),
            Self::Capability(missing) => write!(
                f,
                "needs {}: run as root, or give the unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
                missing.join(" and ")
            ),
            Self::Lock(error) => error.fmt(f),
            Self::Socket(error) => error.fmt(f),
            Self::Control(error) => error.fmt(f),
            Self::Service(failure) => failure.fmt(f),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

/// Bit numbers of what the daemon needs, in linux/capability.h.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];

/// How long the last lines may take.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;
