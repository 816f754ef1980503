//! The protocol thread: raw sockets, one timer, the other thread's bell, signals; the only reader of the clocks.
//!
//! A turn: drain the sockets, take messages and signals in, serve what is due, send all adverts, arm the timer once.
//! Draining before serving is what makes it safe after a pause; what arrives meanwhile is left for the next turn, and a
//! Master's adverts go out between two batches, so that a flood cannot silence it. It never blocks and never logs: what it has to say goes
//! to the service thread. One stop before and after: `engine::node`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::SigmaskHow;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use tokio::sync::oneshot;

use super::channel::{Inbox, ReloadRefusal, Signal, Snapshot, ToProtocol, ToService};
use super::effects::Effects;
use super::upgrade::{Replacement, hold_signals};
use crate::engine::change::Reloaded;
use crate::engine::input::Input;
use crate::engine::node::Node;
use crate::engine::output::Discard;
use crate::engine::params::{Auth, NodeParams};
use crate::engine::time::{Instant, Now};
use crate::net::socket::{Groups, Receiver, Wanted};
use crate::wire::field::Family;

/// Everything the protocol thread owns.
pub(super) struct EventLoop {
    node: Node,
    receiver: Receiver,
    groups: Groups,
    /// What was joined: interface index and group.
    joined: BTreeSet<(u32, IpAddr)>,
    /// Some router that a reload ended still listens for its successor.
    is_parting: bool,
    effects: Effects,
    inbox: Inbox,
    signals: SignalDelivery<UnixStream, WithOrigin>,
    timer: TimerFd,
    armed: Option<Instant>,
    /// When the timer was set last.
    armed_at: Instant,
    /// The latest time the engine was told.
    handled_at: Instant,
    epoll: Epoll,
    is_stopping: bool,
    /// A takeover is so near that sleeping would be late.
    is_watching: bool,
    /// The last turn had more than one batch to read.
    is_flooded: bool,
    unread: Unread,
    /// Who asked for a sign of life in this turn.
    pings: Vec<oneshot::Sender<Instant>>,
    /// Another program that is to take over.
    succession: Option<Succession>,
}

/// A program that is to take over, and since when it is.
struct Succession {
    replacement: Replacement,
    reply: oneshot::Sender<io::Error>,
    since: Instant,
}

/// Packets that could not be passed on to the engine.
#[derive(Debug, Default)]
struct Unread {
    /// Longer than any advert.
    too_long: u64,
    /// Without what the kernel says beside a packet.
    incomplete: u64,
}

impl EventLoop {
    /// Joins what the thread needs; signals are caught from here on.
    ///
    /// **Errors:** the kernel refused a timer, a pipe or a place in epoll.
    pub fn new(node: Node, receiver: Receiver, effects: Effects, inbox: Inbox) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let signals =
            SignalDelivery::with_pipe(read, write, WithOrigin::default(), [SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        // A program that took over was given them blocked, so that none was lost before it was caught.
        hold_signals(SigmaskHow::SIG_UNBLOCK)?;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = |source: Source| EpollEvent::new(EpollFlags::EPOLLIN, source as u64);
        for socket in receiver.fds() {
            epoll.add(socket, readable(Source::Socket))?;
        }
        // Told of once each time it rings, so that it need not be read.
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, Source::Timer as u64))?;
        epoll.add(&*inbox.bell, readable(Source::Bell))?;
        epoll.add(signals.get_read(), readable(Source::Signal))?;
        Ok(Self {
            node,
            receiver,
            groups: Groups::new(),
            joined: BTreeSet::new(),
            is_parting: false,
            effects,
            inbox,
            signals,
            timer,
            armed: None,
            armed_at: Instant::default(),
            handled_at: Instant::default(),
            epoll,
            is_stopping: false,
            is_watching: false,
            is_flooded: false,
            unread: Unread::default(),
            pings: Vec::new(),
            succession: None,
        })
    }

    /// Turns until every router has handed over.
    pub fn run(mut self) {
        let mut events = [EpollEvent::empty(); 8];
        loop {
            let patience = if self.is_watching { EpollTimeout::ZERO } else { EpollTimeout::NONE };
            let ready = match self.epoll.wait(&mut events, patience) {
                Ok(count) => events.get(..count).unwrap_or_default(),
                Err(_interrupted) => &[],
            };
            let is_ready = |source: Source| ready.iter().any(|event| event.data() == source as u64);
            let (bell, signal, timer) = (is_ready(Source::Bell), is_ready(Source::Signal), is_ready(Source::Timer));
            let is_timer_alone = timer && ready.len() == 1;
            if timer {
                self.armed = None;
            }
            let began = read_clocks();
            let has_nothing_to_hear = is_timer_alone && self.is_in_time(began);
            if !has_nothing_to_hear && self.drain_sockets(began) {
                break;
            }
            let now = shifted(began, self.handled_at.max(began.mono));
            self.handled_at = now.mono;
            if bell {
                self.take_messages(now);
            }
            if signal {
                self.take_signals(now);
            }
            self.node.handle(now, Input::Timeout);
            if self.is_parting && !self.node.is_parting() {
                self.regroup();
            }
            if self.effects.carry_out(now, &mut self.node) {
                break;
            }
            for ping in self.pings.drain(..) {
                // Nobody waits any more when this fails.
                let _ = ping.send(began.mono);
            }
            self.succeed(now);
            self.arm(now);
        }
        // First, so that the service thread does not wait for room while this one waits for the service thread.
        drop(self.inbox);
        self.effects.finish(&self.node);
    }

    /// Says whether a turn is for adverts that are due at this moment: nothing had come when the thread woke up, and it has
    /// not slept since. The end of a Backup's patience looks at the sockets once more.
    fn is_in_time(&mut self, began: Now) -> bool {
        let is_late = self.node.poll_timeout().is_some_and(|at| began.mono.since(at) > AWAKE);
        !is_late && !self.is_flooded && !self.node.is_takeover_next()
    }

    /// Reads what waits on the sockets: all that arrived before this turn, however much. Says whether the node has finished.
    ///
    /// Where that is more than a batch, a Master's adverts that fall due go out in between. The patience of a Backup does not
    /// end before everything that arrived in time was read.
    fn drain_sockets(&mut self, began: Now) -> bool {
        let was_flooded = std::mem::take(&mut self.is_flooded);
        for batch in 0..BATCHES {
            self.is_flooded = batch > 0;
            if (was_flooded || self.is_flooded) && self.serve_masters(began) {
                return true;
            }
            let (node, handled_at) = (&mut self.node, &mut self.handled_at);
            let drained = self.receiver.receive(began.utc, |datagram, arrival| {
                *handled_at = arrived_at(began, arrival).max(*handled_at);
                node.handle(shifted(began, *handled_at), Input::Datagram(datagram));
            });
            self.unread.too_long += drained.truncated as u64;
            self.unread.incomplete += drained.unknown as u64;
            if !drained.more {
                break;
            }
        }
        false
    }

    /// Serves the deadlines that are due, up to the first that would end the patience of a Backup, and sends; says whether the
    /// node has finished.
    ///
    /// Nothing after a pause: what is waiting on the sockets may say that another node is Master.
    fn serve_masters(&mut self, began: Now) -> bool {
        let now = read_clocks();
        let mut is_served = false;
        while let Some(at) = self.node.poll_timeout() {
            let is_punctual = began.mono.since(at) <= PUNCTUAL && at >= self.handled_at;
            if at > now.mono || !is_punctual || self.node.is_takeover_next() {
                break;
            }
            self.handled_at = at;
            self.node.handle(shifted(now, at), Input::Timeout);
            is_served = true;
            if self.node.poll_timeout() == Some(at) {
                // Not served by being due: the end of the turn serves it.
                break;
            }
        }
        is_served && self.effects.carry_out(now, &mut self.node)
    }

    fn take_messages(&mut self, now: Now) {
        let messages: Vec<ToProtocol> = self.inbox.drain().collect();
        for message in messages {
            match message {
                ToProtocol::Input(Input::Interface(interface)) => {
                    self.node.handle(now, Input::Interface(interface));
                    self.regroup();
                }
                ToProtocol::Ping(reply) => self.pings.push(reply),
                ToProtocol::Replace(replacement, reply) => {
                    self.succession = Some(Succession { replacement, reply, since: now.mono });
                }
                ToProtocol::Describe(table) => {
                    // Where that fails the one of before stays, whose routers are known by all that they are.
                    let _ = self.effects.state().rewrite(&table);
                }
                ToProtocol::GiveUp => self.effects.give_up(),
                ToProtocol::Reload { params, reply } => {
                    // Nobody waits any more when this fails.
                    let _ = reply.send(self.reload(now, &params));
                }
                ToProtocol::Input(input) => self.node.handle(now, input),
                ToProtocol::Snapshot(reply) => {
                    // Nobody waits any more when this fails.
                    let (routers, checks, groups) = (self.node.snapshot(), self.node.checks(), self.node.groups());
                    let strays = strays(&self.node, &self.unread);
                    let _ = reply.send(Snapshot { now, routers, checks, groups, strays });
                }
            }
        }
    }

    /// Goes on with another configuration: what may fail comes first, so that nothing is half done.
    fn reload(&mut self, now: Now, params: &NodeParams) -> Result<Reloaded, ReloadRefusal> {
        if self.is_stopping {
            return Err(ReloadRefusal::Stopping);
        }
        let wanted = wanted_sockets(params);
        let watched = self.receiver.fds().count();
        self.effects.open_more(wanted).map_err(ReloadRefusal::Socket)?;
        let opened = self.receiver.open_more(wanted).map_err(ReloadRefusal::Socket);
        if self.receiver.fds().count() != watched {
            for socket in self.receiver.fds() {
                match self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, Source::Socket as u64)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(ReloadRefusal::System(errno.into())),
                }
            }
        }
        opened?;
        let reloaded = self.node.reload(now, params).ok_or(ReloadRefusal::Stopping)?;
        self.regroup();
        Ok(reloaded)
    }

    /// Joins the groups that routers listen to and leaves those that none does any more.
    fn regroup(&mut self) {
        let wanted = self.node.memberships();
        for (index, group) in self.joined.difference(&wanted) {
            self.groups.leave(*index, *group);
        }
        for (index, group) in &wanted {
            // Refused only while the interface cannot do multicast; its next change tries again.
            let _ = self.groups.join(*index, *group);
        }
        self.joined = wanted;
        self.is_parting = self.node.is_parting();
    }

    fn take_signals(&mut self, now: Now) {
        for origin in self.signals.pending() {
            let sender = origin.process.map(|process| (process.pid, process.uid));
            self.effects.tell(ToService::Signal(Signal { number: origin.signal, sender }));
            if matches!(origin.signal, SIGTERM | SIGINT) {
                if self.is_stopping {
                    self.effects.give_up();
                }
                self.is_stopping = true;
                self.node.handle(now, Input::Shutdown);
            }
        }
    }

    /// Becomes another program, if one is to take over and there is time before the next advert: right after one, as a rule.
    fn succeed(&mut self, now: Now) {
        let has_sent = self.effects.has_sent();
        let Some(succession) = &self.succession else { return };
        let mut has_room = || self.node.poll_timeout().is_none_or(|at| at.since(now.mono) >= ROOM);
        let is_overdue = now.mono.since(succession.since) >= SUCCESSION_PATIENCE;
        if !(has_sent || is_overdue || has_room()) {
            return;
        }
        let Some(Succession { replacement, reply, .. }) = self.succession.take() else { return };
        self.effects.state().settle(now.mono, &self.node);
        // Nobody waits any more when this fails.
        let _ = reply.send(replacement.execute(self.is_stopping));
    }

    /// Arms the timer for the earliest deadline, unless it is.
    ///
    /// A sleeping processor takes its time to wake up. For a takeover the timer rings a little earlier, and the thread
    /// watches the rest of the time pass; a Master that lives never lets it come to that.
    fn arm(&mut self, now: Now) {
        let unwritten = self.effects.state().deadline();
        let next = self.node.poll_timeout();
        let mut deadline = next.into_iter().chain(unwritten).min();
        self.is_watching = false;
        if let Some(at) = deadline.filter(|at| next == Some(*at) && self.node.is_takeover_next()) {
            self.is_watching = at.since(now.mono) <= WATCH;
            deadline = Some(at - WATCH);
        }
        if self.is_watching || deadline == self.armed || self.may_ring_early(now, deadline) {
            return;
        }
        let armed = match deadline {
            Some(at) => {
                let spec = TimeSpec::from_duration(Duration::from_nanos(at.as_nanos().max(1)));
                self.timer.set(Expiration::OneShot(spec), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => self.timer.unset(),
        };
        // Setting a timer fails only for a time that is none; then the next turn tries again.
        self.armed = armed.ok().and(deadline);
        self.armed_at = now.mono;
    }

    /// Says whether the timer may stay although the deadline is later, as it is after each advert that a Backup hears: there are
    /// thousands in a second, and the timer is far away and was set a moment ago. At worst it rings in vain, once.
    fn may_ring_early(&self, now: Now, deadline: Option<Instant>) -> bool {
        let is_far = deadline.zip(self.armed).is_some_and(|(at, armed)| at > armed && armed > now.mono + SETTLED);
        is_far && now.mono.since(self.armed_at) < SETTLED
    }
}

/// Returns which sockets the routers of a configuration need.
pub(super) fn wanted_sockets(params: &NodeParams) -> Wanted {
    let any = |family| params.routers.iter().any(|router| router.family == family);
    let ah = params.routers.iter().any(|router| matches!(router.auth, Auth::Ah(_)));
    Wanted { v4: any(Family::V4), v6: any(Family::V6), ah }
}

/// Returns how many packets fitted no router or could not be read, by reason.
fn strays(node: &Node, unread: &Unread) -> BTreeMap<Discard, u64> {
    let mut strays: BTreeMap<Discard, u64> =
        Discard::ALL.iter().map(|reason| (*reason, node.stray().count(*reason))).collect();
    for (reason, count) in [(Discard::Length, unread.too_long), (Discard::Incomplete, unread.incomplete)] {
        *strays.entry(reason).or_default() += count;
    }
    strays
}

/// Returns the same moment on both clocks, seen from another on both.
fn shifted(now: Now, mono: Instant) -> Now {
    let utc = now.utc.saturating_sub(now.mono.since(mono)) + mono.since(now.mono);
    Now { mono, utc }
}

/// Returns when a packet arrived, so that a deadline counts from there and not from when this thread got the processor.
///
/// Only a short while counts: after a pause the queue may hold nothing but old packets of a Master that lives, and the
/// wall clock, by which the kernel stamps them, may have been set in between.
fn arrived_at(now: Now, arrival: Option<Duration>) -> Instant {
    let age = arrival.and_then(|arrival| now.utc.checked_sub(arrival)).filter(|age| *age <= AGE_MAX);
    now.mono - age.unwrap_or_default()
}

/// Reads both clocks.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
pub(super) fn read_clocks() -> Now {
    let since_boot =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Now { mono: Instant::from_nanos(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX)), utc }
}

/// What woke the thread up.
#[derive(Clone, Copy)]
enum Source {
    Socket,
    Timer,
    Bell,
    Signal,
}

/// How long before a takeover the thread stays awake.
const WATCH: Duration = Duration::from_micros(250);

/// A thread that serves a deadline this late was not kept from running.
const AWAKE: Duration = Duration::from_millis(1);

/// How often a timer that is further away than this is put off at most.
const SETTLED: Duration = Duration::from_millis(10);

/// A deadline that was due longer than this before a turn is served when all that waited has been read.
const PUNCTUAL: Duration = Duration::from_millis(10);

/// The longest time on a socket's queue that is made up for.
const AGE_MAX: Duration = Duration::from_millis(10);

/// Time enough for another program to start before the next deadline.
const ROOM: Duration = Duration::from_millis(250);

/// How long the turn with the right moment for another program is waited for.
const SUCCESSION_PATIENCE: Duration = Duration::from_millis(500);

/// Batches read in one turn: more than the sockets' buffers can hold after a pause.
const BATCHES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::samples;
    use crate::engine::input::Interface;
    use crate::engine::params::{NodeParams, RouterParams, Transport};

    fn node(transport: Transport) -> Node {
        let router = RouterParams { interface: "lo".to_owned(), transport, ..samples::params("web") };
        Node::new(&NodeParams { routers: vec![Arc::new(router)], ..NodeParams::default() })
    }

    fn joined(mut node: Node) -> bool {
        let (name, addresses, elsewhere) = ("lo".to_owned(), Vec::new(), Vec::new());
        let interface = Interface { name, index: Some(1), is_up: true, addresses, elsewhere };
        node.handle(samples::NOW, Input::Interface(interface));
        node.memberships().contains(&(1, GROUP))
    }

    const GROUP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18));

    #[test]
    fn a_group_is_joined_also_beside_unicast_peers() {
        let peers = samples::params("web").peers().to_vec();
        assert!(joined(node(Transport::Multicast { group: GROUP })));
        assert!(joined(node(Transport::Unicast { peers: peers.clone(), also: Some(GROUP) })));
        assert!(!joined(node(Transport::Unicast { peers, also: None })));
    }

    #[test]
    fn what_could_not_be_read_is_counted_with_the_strays() {
        let mut node = node(Transport::Multicast { group: GROUP });
        node.handle(
            samples::NOW,
            Input::Datagram(crate::engine::input::Datagram::V4 { interface: 1, packet: &[0; 8] }),
        );
        let strays = strays(&node, &Unread { too_long: 3, incomplete: 4 });
        let found: Vec<(Discard, u64)> = strays.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(Discard::Incomplete, 5), (Discard::Length, 3)]);
    }

    #[test]
    fn both_clocks_move_together() {
        let now = samples::NOW;
        let ms = Duration::from_millis;
        for (mono, utc) in
            [(now.mono + ms(5), now.utc + ms(5)), (now.mono - ms(5), now.utc - ms(5)), (now.mono, now.utc)]
        {
            assert_eq!(shifted(now, mono), Now { mono, utc });
        }
    }
}
