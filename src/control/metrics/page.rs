//! How one family of metrics is written: its head, then its samples, labels escaped.
//!
//! One stop before: `families` and `keepalived`, which say what the samples are.

use std::fmt::Write as _;

use crate::control::status::Status;

/// Metrics of one name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How its samples behave.
    pub kind: Kind,
    /// The names of its labels, in the order in which samples give their values.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
    samples: Tell,
}

/// Gives the samples of a family.
type Tell = fn(&Status, &mut Samples<'_>);

/// How samples behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls but at a restart; its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    /// Returns the word of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

impl Family {
    /// Makes a family of counters.
    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        samples: Tell,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, help, samples }
    }

    /// Makes a family of gauges.
    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        samples: Tell,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, help, samples }
    }

    /// Appends the family. Without a sample nothing is appended.
    pub(super) fn write(&self, status: &Status, text: &mut String) {
        (self.samples)(status, &mut self.samples(text));
    }

    /// Takes samples of the family at the end of `text`.
    pub(super) fn samples<'t>(&'t self, text: &'t mut String) -> Samples<'t> {
        Samples { family: self, text, is_begun: false }
    }
}

/// Takes the samples of one family.
pub(super) struct Samples<'t> {
    family: &'t Family,
    text: &'t mut String,
    is_begun: bool,
}

impl Samples<'_> {
    /// Adds a whole number; `values`: one for each label of the family.
    pub fn whole(&mut self, values: &[&str], number: impl Into<i128>) {
        self.begin(values);
        // Writing to a string does not fail.
        let _ = writeln!(self.text, " {}", number.into());
    }

    /// Adds 1 or 0.
    pub fn flag(&mut self, values: &[&str], is_set: bool) {
        self.whole(values, u8::from(is_set));
    }

    /// Adds a length of time, given in milliseconds and written in seconds.
    pub fn seconds(&mut self, values: &[&str], ms: impl Into<i128>) {
        self.begin(values);
        let ms = ms.into();
        let sign = if ms < 0 { "-" } else { "" };
        let ms = ms.unsigned_abs();
        // Writing to a string does not fail.
        let _ = writeln!(self.text, " {sign}{}.{:03}", ms / 1000, ms % 1000);
    }

    fn begin(&mut self, values: &[&str]) {
        let Family { name, kind, labels, help, .. } = self.family;
        debug_assert_eq!(labels.len(), values.len(), "{name} has the labels {labels:?}");
        if !self.is_begun {
            self.is_begun = true;
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.name());
        }
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().zip(values).enumerate() {
            let _ = write!(self.text, "{}{label}=\"", if place == 0 { '{' } else { ',' });
            escape(value, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }
}

/// Appends the value of a label: backslash, quote and newline are escaped, nothing else is special.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}
