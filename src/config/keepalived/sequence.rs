//! `~SEQ(...)`, `~SEQx(...)` and `~LST(...)`: lines that are repeated with other values.
//!
//! One stop before and after: `expand`.

use super::expand::is_name;

/// Cuts `~SEQ(...)` off a line: what is in front of the rest, and the rest without outer blanks.
pub(super) fn cut(line: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    for (at, c) in line.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    let (head, rest) = line.split_at(at + 1);
                    let rest = rest.trim();
                    return (!rest.is_empty()).then_some((head, rest));
                }
            }
            _ => {}
        }
    }
    None
}

/// What is repeated how often.
pub(super) enum Repeat {
    /// A number counts.
    Count {
        /// The parameter.
        name: String,
        /// Its first value.
        start: i64,
        /// What is added; not 0.
        step: i64,
        /// Its last value is not beyond this.
        end: i64,
        /// Written in hexadecimal.
        is_hex: bool,
    },
    /// Parameters take the values of rows.
    List {
        /// The parameters.
        names: Vec<String>,
        /// One row each round; missing values are empty.
        rows: Vec<Vec<String>>,
    },
}

impl Repeat {
    /// Reads the text that [`cut`] cut off.
    pub fn parse(head: &str) -> Option<Self> {
        let (kind, arguments) = head.split_once('(')?;
        let arguments = fields(arguments.strip_suffix(')')?);
        match kind {
            "~SEQ" | "~SEQx" => count(&arguments, kind == "~SEQx"),
            "~LST" => {
                let (names, rows) = arguments.split_first()?;
                let names = row(names);
                let is_sound = !rows.is_empty() && names.iter().all(|name| is_name(name));
                is_sound.then(|| Self::List { names, rows: rows.iter().map(|text| row(text)).collect() })
            }
            _ => None,
        }
    }

    /// Returns the parameters.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Count { name, .. } => Box::new(std::iter::once(name.as_str())),
            Self::List { names, .. } => Box::new(names.iter().map(String::as_str)),
        }
    }

    /// Returns the values of the parameters in each round.
    pub fn rounds(&self) -> Box<dyn Iterator<Item = Vec<(String, String)>> + '_> {
        match self {
            Self::Count { name, start, step, end, is_hex } => {
                let values = std::iter::successors(Some(*start), |value| value.checked_add(*step));
                let values = values.take_while(|value| if *step > 0 { value <= end } else { value >= end });
                Box::new(values.map(|value| {
                    let text = if *is_hex { format!("{value:x}") } else { value.to_string() };
                    vec![(name.clone(), text)]
                }))
            }
            Self::List { names, rows } => Box::new(rows.iter().map(|row| {
                let values = row.iter().cloned().chain(std::iter::repeat(String::new()));
                names.iter().cloned().zip(values).collect()
            })),
        }
    }
}

/// Reads (name, end), (name, start, end) or (name, start, step, end).
fn count(arguments: &[String], is_hex: bool) -> Option<Repeat> {
    let (name, numbers) = arguments.split_first()?;
    let numbers: Vec<i64> = numbers.iter().map(|text| number(text)).collect::<Option<_>>()?;
    let towards = |start: i64, end: i64| if end >= start { 1 } else { -1 };
    let (start, step, end) = match *numbers.as_slice() {
        [end] => {
            let start = if end >= 0 { 1 } else { -1 };
            (start, start, end)
        }
        [start, end] => (start, towards(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return None,
    };
    let is_endless = step == 0 || (end > start && step < 0) || (end < start && step > 0);
    let is_negative = is_hex && (start < 0 || end < 0);
    let is_sound = is_name(name) && !is_endless && !is_negative;
    is_sound.then(|| Repeat::Count { name: name.clone(), start, step, end, is_hex })
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Splits at the commas outside braces.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut depth = 0usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                fields.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(field) = fields.last_mut() {
            field.push(c);
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

/// Reads `{a, b}` or a single value.
fn row(text: &str) -> Vec<String> {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(inner) => inner.split(',').map(|value| value.trim().to_owned()).collect(),
        None => vec![text.to_owned()],
    }
}
