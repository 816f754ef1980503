//! Reads single keys of a TOML table, each with its place.
//!
//! The table is walked by hand and not through serde's `deny_unknown_fields`, which stops at the first mistake: here
//! every wrong type and every unknown key of a file is found in one go, with its exact place, and the keys that were
//! asked for are the list that "did you mean" chooses from. One stop before: the parser of the `toml` crate; one stop
//! after: `schema`, which knows the names.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{KeyError, KeyHint, ValueError, excerpt};
use super::problem::Report;
use super::source::{Place, Written};
use super::suggest;

/// A value of the parsed text with its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// What stands at a key.
#[derive(Clone, Debug)]
pub(super) enum Key<T> {
    /// Nothing: the default holds.
    Absent,
    /// Something unusable, which was reported: nothing follows from it.
    Wrong,
    /// A value of the right type.
    Here(Written<T>),
}

impl<T> Key<T> {
    /// Returns the value if there is a usable one.
    pub fn here(&self) -> Option<&Written<T>> {
        match self {
            Self::Here(written) => Some(written),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Says whether the key is in the file, usable or not.
    pub fn is_written(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Wrong | Self::Here(_) => true,
        }
    }

    /// Turns the value into something else; `None` from `convert` means that it reported why not.
    pub fn and_then<U>(&self, convert: impl FnOnce(&Written<T>) -> Option<U>) -> Key<U> {
        match self {
            Self::Absent => Key::Absent,
            Self::Wrong => Key::Wrong,
            Self::Here(written) => match convert(written) {
                Some(value) => Key::Here(Written { value, place: written.place }),
                None => Key::Wrong,
            },
        }
    }

    /// Returns the usable value.
    pub fn into_here(self) -> Option<T> {
        match self {
            Self::Here(written) => Some(written.value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Returns the value that may be absent; `None` outside for what was reported.
    pub fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Wrong => None,
            Self::Here(written) => Some(Some(written.value)),
        }
    }

    /// Returns the value or, where nothing is written, the default; `None` for what was reported.
    pub fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Wrong => None,
            Self::Here(written) => Some(written.value),
        }
    }
}

impl<T> From<Option<Written<T>>> for Key<T> {
    /// `None` is what a reader returns after it reported.
    fn from(written: Option<Written<T>>) -> Self {
        written.map_or(Self::Wrong, Self::Here)
    }
}

/// Returns where a value begins.
pub(super) fn place_of<T>(spanned: &Spanned<T>) -> Place {
    Place(spanned.span().start)
}

/// One table while its keys are asked for; what nobody asked for is reported by [`Fields::finish`].
pub(super) struct Fields<'t> {
    /// The header as it is written, for messages: `[instance.web]`.
    title: String,
    /// Where the table begins.
    place: Place,
    table: &'t DeTable<'t>,
    asked: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    /// Begins to read a table.
    pub fn new(title: impl Into<String>, place: Place, table: &'t DeTable<'t>) -> Self {
        Self { title: title.into(), place, table, asked: Vec::new() }
    }

    /// Asks for a key of any type; returns the place of the key with the value.
    pub fn value(&mut self, key: &'static str) -> Option<(Place, &'t Value<'t>)> {
        self.asked.push(key);
        self.table.get_key_value(key).map(|(written, value)| (place_of(written), value))
    }

    /// Asks for a key and reads it.
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&'t Value<'t>) -> Option<Written<T>>) -> Key<T> {
        match self.value(key) {
            Some((_, value)) => read(value).into(),
            None => Key::Absent,
        }
    }

    /// Asks for a key that must be there and reads it; reports when it is not.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        report: &mut Report<'_>,
        read: impl FnOnce(&'t Value<'t>, &mut Report<'_>) -> Option<Written<T>>,
    ) -> Key<T> {
        match self.value(key) {
            Some((_, value)) => read(value, report).into(),
            None => {
                report.error(self.place, KeyError::Missing { key, table: self.title.clone(), example });
                Key::Wrong
            }
        }
    }

    /// Asks for a string; `expected` says what it stands for.
    pub fn string(&mut self, key: &'static str, expected: &'static str, report: &mut Report<'_>) -> Key<&'t str> {
        self.read(key, |value| string(key, expected, value, report))
    }

    /// Asks for a whole number.
    pub fn integer(&mut self, key: &'static str, expected: &'static str, report: &mut Report<'_>) -> Key<i64> {
        self.read(key, |value| integer(key, expected, value, report))
    }

    /// Asks for `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, report: &mut Report<'_>) -> Key<bool> {
        self.read(key, |value| match value.get_ref() {
            DeValue::Boolean(truth) => Some(Written { value: *truth, place: place_of(value) }),
            _ => wrong_type(key, "true or false", value, report),
        })
    }

    /// Returns the keys that are there and were asked for, each with its place.
    pub fn places(&self) -> Vec<(&'static str, Place)> {
        let written = |key: &&'static str| self.table.get_key_value(*key).map(|(written, _)| (*key, place_of(written)));
        self.asked.iter().filter_map(written).collect()
    }

    /// Reports every key that was not asked for; `foreign` are names of keepalived.conf and what they are here.
    pub fn finish(self, foreign: &[(&str, &'static str)], report: &mut Report<'_>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = if let Some((_, ours)) = foreign.iter().find(|(theirs, _)| *theirs == name) {
                KeyHint::FromKeepalived(ours)
            } else if let Some(meant) = suggest::closest(name, self.asked.iter().copied()) {
                KeyHint::Meant(meant)
            } else {
                KeyHint::OneOf(self.asked.clone())
            };
            report.error(place_of(key), KeyError::Unknown { key: name.to_owned(), table: self.title.clone(), hint });
        }
    }
}

/// Returns the entries of a table in the order of the file.
pub(super) fn in_file_order<'t>(table: &'t DeTable<'t>) -> Vec<(Written<&'t str>, &'t Value<'t>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (Written { value: key.get_ref().as_ref(), place: place_of(key) }, value))
        .collect();
    entries.sort_by_key(|(key, _)| key.place);
    entries
}

/// Reads a string.
pub(super) fn string<'t>(
    key: &'static str,
    expected: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
) -> Option<Written<&'t str>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Written { value: text.as_ref(), place: place_of(value) }),
        _ => wrong_type(key, expected, value, report),
    }
}

/// Reads a whole number.
pub(super) fn integer(
    key: &'static str,
    expected: &'static str,
    value: &Value<'_>,
    report: &mut Report<'_>,
) -> Option<Written<i64>> {
    let DeValue::Integer(number) = value.get_ref() else {
        return wrong_type(key, expected, value, report);
    };
    let parsed = i64::from_str_radix(number.as_str(), number.radix());
    if parsed.is_err() {
        let found = excerpt(&number.to_string());
        report.error(place_of(value), ValueError::Unfit { key, found, expected });
    }
    parsed.ok().map(|parsed| Written { value: parsed, place: place_of(value) })
}

/// Reads a list.
pub(super) fn list<'t>(
    key: &'static str,
    expected: &'static str,
    value: &'t Value<'t>,
    report: &mut Report<'_>,
) -> Option<&'t [Value<'t>]> {
    match value.get_ref() {
        DeValue::Array(items) => Some(items),
        _ => wrong_type(key, expected, value, report),
    }
}

/// Reports a value of another type; returns `None` for the caller to return.
pub(super) fn wrong_type<T>(
    key: &'static str,
    expected: &'static str,
    value: &Value<'_>,
    report: &mut Report<'_>,
) -> Option<T> {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    report.error(place_of(value), ValueError::WrongType { key, expected, found });
    None
}
