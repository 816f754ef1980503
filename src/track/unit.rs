//! The state of a systemd unit, as systemd says it over the system bus.
//!
//! Nothing is asked twice without a reason: systemd sends a signal when something about the unit changed, and then it is asked.
//! A signal only says that there is something to ask, and counts only from systemd itself, because every local user can send one.
//! One stop after: [`Outcome`].

mod bus;
#[cfg(test)]
mod tests;
mod wire;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use self::bus::{BUS, Bus, on_bus};
use self::wire::{Call, Message, SIGNAL};
use super::Outcome;
use crate::engine::input::CheckResult;

/// Where the system bus is.
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How long the last known state stands when the connection or systemd went away: `systemctl daemon-reexec` takes up to a
/// second on a busy host, a restart of the bus a fifth of it.
const GRACE: Duration = Duration::from_secs(2);

/// How long systemd may take to answer: it does not while it reads its units again (`systemctl daemon-reload`).
const PATIENCE: Duration = Duration::from_secs(5);

/// The first and the longest pause between two connections.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Reports the state of a unit at first and whenever it changes, until dropped.
///
/// It passes while it is `active`, `reloading` or `refreshing`. Failed as well while the state cannot be found out: after
/// [`GRACE`] without a connection; a question without an answer loses the connection after [`PATIENCE`].
pub(super) async fn watch(name: &str, report: impl FnMut(Outcome)) {
    follow(Path::new(SYSTEM_BUS), name, report).await;
}

async fn follow(bus: &Path, name: &str, mut report: impl FnMut(Outcome)) {
    let mut last = None;
    let mut report = |outcome: Outcome| {
        if last.as_ref() != Some(&outcome) {
            last = Some(outcome.clone());
            report(outcome);
        }
    };
    let mut pause = Duration::ZERO;
    let mut reason = "no answer".to_owned();
    loop {
        let (mut watch, outcome) = open(bus, name, pause, reason, &mut report).await;
        report(outcome);
        reason = loop {
            match watch.changed().await {
                Ok(outcome) => report(outcome),
                Err(reason) => break reason,
            }
        };
        pause = PAUSES.0;
    }
}

/// Tries until it has a connection and a state. `reason`: why there is none; reported when the grace is over, and what comes
/// after that at once.
async fn open(
    bus: &Path,
    name: &str,
    mut pause: Duration,
    mut reason: String,
    report: &mut impl FnMut(Outcome),
) -> (Watch, Outcome) {
    let mut grace = pin!(sleep(GRACE));
    let mut is_told = false;
    loop {
        let wait = pause;
        let mut attempt = pin!(async move {
            sleep(wait).await;
            in_time(Watch::open(bus, name)).await
        });
        let result = loop {
            tokio::select! {
                result = &mut attempt => break result,
                () = &mut grace, if !is_told => {
                    is_told = true;
                    report(unknown(&reason));
                }
            }
        };
        match result {
            Ok(opened) => return opened,
            Err(words) => {
                if is_told {
                    report(unknown(&words));
                }
                reason = words;
            }
        }
        pause = (pause * 2).clamp(PAUSES.0, PAUSES.1);
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

fn unknown(reason: &str) -> Outcome {
    Outcome { result: CheckResult::Failed, words: printable(&format!("cannot ask systemd: {reason}"), 200) }
}

/// A unit on a connection.
struct Watch {
    bus: Bus,
    name: String,
    heard: Heard,
}

/// What the signals said.
#[derive(Default)]
struct Heard {
    /// The unique bus name of systemd.
    systemd: String,
    /// The object of the unit; an alias has that of the unit itself.
    path: String,
    /// The unit may have another state.
    is_changed: bool,
    /// Systemd left the bus, or another one came.
    is_lost: bool,
}

impl Watch {
    async fn open(bus: &Path, name: &str) -> Result<(Self, Outcome), String> {
        let bus = Bus::connect(bus).await?;
        let mut watch = Self { bus, name: name.to_owned(), heard: Heard::default() };
        for rule in [
            format!("type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'"),
            format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='Reloading'"),
        ] {
            watch.call(&on_bus("AddMatch", &[&rule])).await?;
        }
        watch.heard.systemd = watch.text(&on_bus("GetNameOwner", &[SYSTEMD])).await?;
        watch.call(&of_manager("Subscribe", &[])).await?;
        let outcome = watch.ask().await?;
        Ok((watch, outcome))
    }

    /// Waits until there is something to ask, and asks.
    ///
    /// **Errors:** what the operator reads; the connection is of no more use.
    async fn changed(&mut self) -> Result<Outcome, String> {
        while !self.heard.is_changed && !self.heard.is_lost {
            let message = self.bus.next().await?;
            self.heard.note(&message);
        }
        if self.heard.is_lost {
            return Err("systemd left the bus".to_owned());
        }
        in_time(self.ask()).await
    }

    async fn ask(&mut self) -> Result<Outcome, String> {
        self.heard.is_changed = false;
        let name = self.name.clone();
        let path = self.text(&of_manager("LoadUnit", &[&name])).await?;
        if path != self.heard.path {
            let from = format!("type='signal',sender='{SYSTEMD}',path='{path}'");
            let rule = format!("{from},interface='{PROPERTIES}',member='PropertiesChanged'");
            self.call(&on_bus("AddMatch", &[&rule])).await?;
            self.heard.path.clone_from(&path);
        }
        let load = self.property(&path, "org.freedesktop.systemd1.Unit", "LoadState").await?;
        let active = self.property(&path, "org.freedesktop.systemd1.Unit", "ActiveState").await?;
        let sub = self.property(&path, "org.freedesktop.systemd1.Unit", "SubState").await?;
        let detail = if active == "failed" {
            let interface = interface_of(&name);
            // Not every type of unit has one.
            self.property(&path, &interface, "Result").await.unwrap_or(sub)
        } else {
            sub
        };
        Ok(verdict(&load, &active, &detail))
    }

    async fn property(&mut self, path: &str, interface: &str, property: &str) -> Result<String, String> {
        let arguments = [interface, property];
        self.text(&Call { destination: SYSTEMD, path, interface: PROPERTIES, member: "Get", arguments: &arguments })
            .await
    }

    async fn text(&mut self, call: &Call<'_>) -> Result<String, String> {
        let answer = self.call(call).await?;
        answer.text().ok_or_else(|| format!("{}: an answer of type {:?}", call.member, answer.signature))
    }

    async fn call(&mut self, call: &Call<'_>) -> Result<Message, String> {
        let heard = &mut self.heard;
        self.bus.call(call, |message| heard.note(&message)).await
    }
}

impl Heard {
    fn note(&mut self, message: &Message) {
        if message.kind != SIGNAL {
            return;
        }
        let is_by_systemd = message.sender == self.systemd;
        match (message.interface.as_str(), message.member.as_str()) {
            (PROPERTIES, "PropertiesChanged") if is_by_systemd => self.is_changed |= message.path == self.path,
            // True: it begins and answers nobody before its end; false: it has ended.
            (MANAGER, "Reloading") if is_by_systemd => self.is_changed |= message.truth() == Some(false),
            (BUS, "NameOwnerChanged") if message.sender == BUS => self.is_lost = true,
            _ => {}
        }
    }
}

/// Returns a call of systemd's manager.
fn of_manager<'a>(member: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call { destination: SYSTEMD, path: "/org/freedesktop/systemd1", interface: MANAGER, member, arguments }
}

/// Returns the interface of a unit's type, such as that of services.
fn interface_of(name: &str) -> String {
    let suffix = name.rsplit('.').next().unwrap_or_default();
    let (first, rest) = suffix.split_at_checked(1).unwrap_or_default();
    format!("{SYSTEMD}.{}{rest}", first.to_uppercase())
}

fn verdict(load: &str, active: &str, detail: &str) -> Outcome {
    let passes = matches!(active, "active" | "reloading" | "refreshing");
    let result = if passes { CheckResult::Passed } else { CheckResult::Failed };
    let words = match (active, load) {
        ("inactive", "not-found") => "not found".to_owned(),
        ("inactive", "masked" | "error" | "bad-setting") => format!("inactive ({load})"),
        (_, _) => format!("{active} ({detail})"),
    };
    Outcome { result, words: printable(&words, 80) }
}

/// Returns a text without what a terminal would take for a command, cut to so many bytes.
fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(most).collect()
}
