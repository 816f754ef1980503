//! The lines about clocks: those of the peers, and that of this node.

use std::net::IpAddr;
use std::time::Duration;

use super::lines::{line, text};
use crate::control::rfc3339;
use crate::daemon::record::{Key, Kind, Level, Record};
use crate::engine::output::{ClockOffset, ClockTrouble};

/// Returns the line of a peer whose adverts are about to be too old or too new.
pub(super) fn of_skew(peer: IpAddr, skew: ClockOffset, window: Duration) -> Record {
    let message = format!(
        "authentication clock skew {} sec from {peer} approaching window {} sec: check the clocks ({}), beyond the \
         window its adverts are refused",
        seconds(skew),
        window.as_secs(),
        direction(skew)
    );
    line(Level::Warn, Kind::Clock, message, vec![(Key::Peer, text(peer))])
}

/// Returns the line of what is wrong with the clock of this node.
pub(super) fn of_trouble(trouble: ClockTrouble) -> Record {
    let (level, message) = match trouble {
        ClockTrouble::BeforeRelease { utc } => (
            Level::Warn,
            format!(
                "own clock shows {}, before this program was made: signed adverts bear that time and other nodes refuse \
                 them; set this host's clock",
                rfc3339::format(utc)
            ),
        ),
        ClockTrouble::Stepped { by } => (
            Level::Warn,
            format!(
                "own clock was {}; the peers still go by the time before, which is kept for signing: check this host's \
                 clock",
                set(by)
            ),
        ),
        ClockTrouble::Followed { by } => {
            (Level::Info, format!("own clock was {}, and a peer goes by that time: so does this node", set(by)))
        }
        ClockTrouble::Restored => (Level::Info, "own clock is back at the time that was kept for signing".to_owned()),
    };
    line(level, Kind::Clock, message, Vec::new())
}

/// Returns the whole seconds of our time minus the other's, as Keepalived writes them: positive when the other is behind.
pub(super) fn seconds(skew: ClockOffset) -> String {
    let seconds = skew.length.as_secs();
    if skew.is_ahead && seconds > 0 { format!("-{seconds}") } else { seconds.to_string() }
}

/// Returns which way and how far another clock is off.
pub(super) fn direction(skew: ClockOffset) -> String {
    let direction = if skew.is_ahead { "ahead" } else { "behind" };
    format!("{direction} by {:.1} s", skew.length.as_secs_f64())
}

fn set(by: ClockOffset) -> String {
    let direction = if by.is_ahead { "forward" } else { "back" };
    format!("set {direction} by {:.1} s", by.length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_line_says_which_clock_is_wrong_by_how_much() {
        let offset = |ms, is_ahead| ClockOffset { length: Duration::from_millis(ms), is_ahead };
        let kept = "; the peers still go by the time before, which is kept for signing: check this host's clock";
        for (trouble, level, expected) in [
            (
                ClockTrouble::BeforeRelease { utc: Duration::from_secs(12) },
                Level::Warn,
                "own clock shows 1970-01-01T00:00:12.000Z, before this program was made: signed adverts bear that time \
                 and other nodes refuse them; set this host's clock"
                    .to_owned(),
            ),
            (
                ClockTrouble::Stepped { by: offset(3_600_000, true) },
                Level::Warn,
                format!("own clock was set forward by 3600.0 s{kept}"),
            ),
            (
                ClockTrouble::Stepped { by: offset(3_040, false) },
                Level::Warn,
                format!("own clock was set back by 3.0 s{kept}"),
            ),
            (
                ClockTrouble::Followed { by: offset(3_600_000, false) },
                Level::Info,
                "own clock was set back by 3600.0 s, and a peer goes by that time: so does this node".to_owned(),
            ),
            (ClockTrouble::Restored, Level::Info, "own clock is back at the time that was kept for signing".to_owned()),
        ] {
            let record = of_trouble(trouble);
            assert_eq!((record.level, record.kind, record.text()), (level, Some(Kind::Clock), expected));
        }
    }

    #[test]
    fn a_skew_has_the_sign_of_keepalived() {
        let offset = |ms, is_ahead| ClockOffset { length: Duration::from_millis(ms), is_ahead };
        let skews = [(7_200, false), (3_900, true), (400, true), (0, false)].map(|(ms, is_ahead)| offset(ms, is_ahead));
        assert_eq!(skews.map(seconds), ["7", "-3", "0", "0"]);
        assert_eq!(skews.map(direction)[..2], ["behind by 7.2 s", "ahead by 3.9 s"]);
    }
}
