//! Rules about the repository itself, as tests: layering, length, words, links, papers.
//!
//! Each rule reads the files; a finding names file, line and what to do. Papers that do not exist yet are not missed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What a layer must not name. Paths are of `src/`; the longest that fits counts.
const LAYERS: &[Layer] = &[
    Layer {
        path: "wire/",
        forbidden: &[
            "crate::engine",
            "crate::config",
            "crate::net",
            "crate::child",
            "crate::track",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
            "tokio",
            "nix",
            "socket2",
            "rtnetlink",
            "tracing",
            "std::fs",
            "std::net::UdpSocket",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
        ],
    },
    Layer {
        path: "engine/",
        forbidden: &[
            "crate::config",
            "crate::net",
            "crate::child",
            "crate::track",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
            "tokio",
            "nix",
            "socket2",
            "rtnetlink",
            "tracing",
            "serde",
            "serde_json",
            "toml",
            "std::fs",
            "std::thread",
            "std::sync::mpsc",
            "std::time::Instant",
            "std::time::SystemTime",
        ],
    },
    Layer {
        path: "config/",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::net",
            "crate::child",
            "crate::track",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
            "tokio",
            "socket2",
            "rtnetlink",
        ],
    },
    Layer {
        path: "net/",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::config",
            "crate::track",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
        ],
    },
    Layer {
        path: "child",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::config",
            "crate::net",
            "crate::track",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
        ],
    },
    Layer {
        path: "track/",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::config",
            "crate::net",
            "crate::notify",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
        ],
    },
    Layer {
        path: "notify",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::config",
            "crate::net",
            "crate::track",
            "crate::control",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
        ],
    },
    Layer {
        path: "control/",
        forbidden: &[
            "crate::engine::router",
            "crate::engine::node",
            "crate::config",
            "crate::net",
            "crate::child",
            "crate::track",
            "crate::notify",
            "crate::daemon",
            "crate::demo",
            "crate::cli",
            "rtnetlink",
        ],
    },
    Layer { path: "daemon/", forbidden: &["crate::demo", "crate::cli"] },
    Layer {
        path: "doctor/",
        forbidden: &["crate::engine::router", "crate::engine::node", "crate::demo", "crate::cli"],
    },
    Layer { path: "demo", forbidden: &["crate::engine::router", "crate::engine::node", "crate::cli"] },
];

struct Layer {
    path: &'static str,
    forbidden: &'static [&'static str],
}

/// Most lines of a source file and of a function.
const MAX_FILE: usize = 500;
const MAX_FUNCTION: usize = 70;

/// Words with another place or none, in code and comments of `src/`.
const BANNED: &[(&str, &str)] = &[
    ("TODO", "finish it or write an issue"),
    ("FIXME", "finish it or write an issue"),
    ("XXX", "finish it or write an issue"),
    ("dbg!(", "use tracing::debug!"),
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("ActiveRouter", "say Master"),
    ("State::Active", "say Master"),
    ("ACTIVE", "say MASTER"),
    ("/home/", "no path of one machine"),
    ("/Users/", "no path of one machine"),
    ("/root/", "no path of one machine"),
];

/// Beginnings of function names that say nothing.
const EMPTY_VERBS: &[&str] = &["get_", "do_", "process_"];

#[test]
fn layers_import_downwards_only() {
    let mut findings = Findings::default();
    for file in sources() {
        let Some(layer) =
            LAYERS.iter().filter(|layer| file.inside.starts_with(layer.path)).max_by_key(|l| l.path.len())
        else {
            continue;
        };
        for (number, line) in file.code() {
            for forbidden in layer.forbidden.iter().filter(|path| names_path(line, path)) {
                findings.add(&file, number, &format!("{} must not use {forbidden}", layer.path));
            }
        }
    }
    findings.none();
}

#[test]
fn grouped_imports_do_not_hide_a_layer() {
    let mut findings = Findings::default();
    for file in sources() {
        for (number, line) in file.code() {
            if line.trim_start().trim_start_matches("pub ").starts_with("use crate::{") {
                findings.add(&file, number, "write one `use crate::...` for each room, so that layers can be seen");
            }
        }
    }
    findings.none();
}

#[test]
fn files_and_functions_are_short() {
    let mut findings = Findings::default();
    for file in sources() {
        let count = file.text.lines().count();
        if count > MAX_FILE {
            findings.add(&file, count, &format!("{count} lines, at most {MAX_FILE}: split it by idea"));
        }
        for (number, length) in function_lengths(&file.text) {
            if length > MAX_FUNCTION {
                findings.add(&file, number, &format!("function of {length} lines, at most {MAX_FUNCTION}"));
            }
        }
    }
    findings.none();
}

#[test]
fn files_begin_with_what_they_are() {
    let mut findings = Findings::default();
    for file in sources() {
        if !file.text.starts_with("//! ") {
            findings.add(&file, 1, "the first line is `//! ` and what this file decides or does");
        }
    }
    findings.none();
}

#[test]
fn words_are_those_of_the_vocabulary() {
    let mut findings = Findings::default();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            for (word, instead) in BANNED.iter().filter(|(word, _)| has_word(line, word)) {
                findings.add(&file, number + 1, &format!("{word:?}: {instead}"));
            }
        }
        for (number, line) in file.code() {
            let Some((_, name)) = line.split_once("fn ") else { continue };
            for verb in EMPTY_VERBS.iter().filter(|verb| name.starts_with(**verb)) {
                findings.add(&file, number, &format!("{verb}: name what the function does or returns"));
            }
        }
    }
    findings.none();
}

#[test]
fn only_two_files_read_the_clocks() {
    let mut findings = Findings::default();
    for file in sources() {
        if matches!(file.inside.as_str(), "daemon/event_loop.rs" | "daemon/logging.rs")
            || file.inside.starts_with("demo")
        {
            continue;
        }
        for (number, line) in file.code() {
            if line.contains("Instant::now(") || line.contains("SystemTime::now(") || line.contains("clock_gettime(") {
                findings.add(&file, number, "take `now` as an argument; daemon/event_loop.rs reads the clocks");
            }
        }
    }
    findings.none();
}

#[test]
fn relative_links_of_papers_resolve() {
    let mut findings = Findings::default();
    for path in papers() {
        let text = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        for (number, target) in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !folder.join(file).exists() {
                findings.add_at(&path, number, &format!("link to {target}: no such file"));
            }
        }
    }
    findings.none();
}

#[test]
fn papers_name_no_place_of_one_machine() {
    let mut findings = Findings::default();
    for path in papers() {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for word in ["/home/", "/Users/", "/root/", "TODO", "FIXME"].iter().filter(|word| line.contains(**word)) {
                findings.add_at(&path, number + 1, &format!("{word:?} has no place in a paper"));
            }
        }
    }
    findings.none();
}

#[test]
fn one_paper_alone_names_the_other_word_for_master() {
    let mut findings = Findings::default();
    for path in papers().into_iter().filter(|path| !path.ends_with("docs/architecture.md")) {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if ["Active Router", "Active router", "Active_Down", "\"Active\"", "`Active`"]
                .iter()
                .any(|w| line.contains(w))
            {
                findings.add_at(&path, number + 1, "say Master; docs/architecture.md names the other word once");
            }
        }
    }
    findings.none();
}

#[test]
fn the_changelog_keeps_its_shape() {
    let path = root().join("CHANGELOG.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut findings = Findings::default();
    assert!(text.starts_with("# Changelog\n"), "CHANGELOG.md begins with its title");
    let version = concat!("## [", env!("CARGO_PKG_VERSION"), "] - ");
    assert!(text.contains(version), "CHANGELOG.md has a heading {version:?}");
    for (number, line) in text.lines().enumerate() {
        if let Some(release) = line.strip_prefix("## ") {
            let date = release.split(" - ").nth(1).unwrap_or_default();
            let is_date = date.len() == 10 && date.bytes().filter(|&byte| byte == b'-').count() == 2;
            if !release.starts_with('[') || !(is_date || date == "unreleased") {
                findings.add_at(&path, number + 1, "a release is `## [VERSION] - YYYY-MM-DD` or `- unreleased`");
            }
        } else if let Some(section) = line.strip_prefix("### ")
            && !["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"].contains(&section)
        {
            findings.add_at(&path, number + 1, "a section is one of those of Keep a Changelog");
        }
    }
    findings.none();
}

#[test]
fn every_example_configuration_is_explained() {
    let texts: String = papers().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut findings = Findings::default();
    for path in files(&root().join("conf"), "toml") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !texts.contains(&name) {
            findings.add_at(&path, 1, "no paper names this example");
        }
    }
    findings.none();
}

#[test]
fn the_ledger_and_the_tests_agree() {
    let path = root().join("docs/rfc9568-ledger.md");
    let ledger = fs::read_to_string(&path).unwrap();
    let tests = test_names(&["src", "tests"]);
    let mut findings = Findings::default();
    let mut named = BTreeSet::new();
    for (number, line) in ledger.lines().enumerate() {
        if line.contains("PENDING") {
            findings.add_at(&path, number + 1, "PENDING: name a test, or say why there is none");
        }
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_test_name(name)) {
            if !tests.contains(name) {
                findings.add_at(&path, number + 1, &format!("no test {name}"));
            }
            named.insert(name);
        }
    }
    for name in test_names(&["tests/rfc"]).iter().filter(|name| !named.contains(name.as_str())) {
        findings.add_at(&path, 1, &format!("no row names {name}"));
    }
    findings.none();
}

/// The last cell of a row names the tests that show it, or says why there is none.
#[test]
fn each_line_of_the_threat_model_names_its_test() {
    let path = root().join("docs/threat-model.md");
    let text = fs::read_to_string(&path).unwrap();
    let tests = test_names(&["src", "tests"]);
    let (mut findings, mut lines) = (Findings::default(), 0);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && line.ends_with(" |")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, shown] = cells.as_slice() else {
            findings.add_at(&path, number + 1, "a row has three cells");
            continue;
        };
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        for name in named.iter().filter(|name| is_test_name(name) && !tests.contains(**name)) {
            findings.add_at(&path, number + 1, &format!("no test {name}"));
        }
        let is_shown = named.iter().any(|name| is_test_name(name));
        let is_heading = *shown == "test"
            || line.starts_with("| restarted")
            || line.starts_with("| vrrpd")
            || line.starts_with("| Keepalived");
        if !is_shown && !is_heading {
            findings.add_at(&path, number + 1, "name a test");
        }
        lines += usize::from(is_shown);
    }
    findings.none();
    assert!(lines > 20, "{lines} lines with a test");
}

#[test]
fn each_kind_of_log_line_is_documented() {
    let text = fs::read_to_string(root().join("docs/logging.md")).unwrap();
    let catalog = fs::read_to_string(root().join("dist/vrrpd.catalog")).unwrap();
    for kind in vrrpd::daemon::record::Kind::ALL {
        let row = format!("`{}`", kind.message_id());
        assert!(text.contains(&row), "docs/logging.md lacks the message id of {kind:?}");
        let entry = format!("\n-- {}\nSubject: ", kind.message_id());
        assert!(catalog.contains(&entry), "dist/vrrpd.catalog lacks the message id of {kind:?}");
    }
}

#[test]
fn each_status_key_is_documented() {
    let text = fs::read_to_string(root().join("docs/status-json.md")).unwrap();
    let golden = fs::read_to_string(root().join("tests/cli/status.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&golden).unwrap();
    let mut missing = Vec::new();
    keys(&value, &mut |key| {
        if !text.contains(&format!("`{key}`")) {
            missing.push(key.to_owned());
        }
    });
    assert!(missing.is_empty(), "docs/status-json.md lacks {missing:?}");
}

/// The rules themselves find what they look for.
#[test]
fn rules_are_not_blind() {
    assert!(names_path("use crate::daemon::journal;", "crate::daemon"));
    assert!(names_path("    tokio::spawn(x)", "tokio"));
    assert!(!names_path("use crate::daemonic;", "crate::daemon"));
    assert!(!names_path("let my_tokio = 1;", "tokio"));
    assert!(!names_path("use crate::engine::time::Instant;", "std::time::Instant"));
    assert!(names_path("use std::time::{Duration, Instant};", "std::time::Instant"));
    assert!(names_path("use crate::engine::{input, node};", "crate::engine::node"));
    let text = format!("impl X {{\n    fn long() {{\n{}    }}\n    fn short() {{}}\n}}\n", "        x();\n".repeat(80));
    assert_eq!(function_lengths(&text), [(2, 82), (84, 1)]);
    assert_eq!(links("see [a](b.md#c) and\n[d](https://e)").collect::<Vec<_>>(), [(1, "b.md#c"), (2, "https://e")]);
    assert!(has_word("x ACTIVE", "ACTIVE") && !has_word("INTERACTIVE", "ACTIVE"));
    assert!(is_test_name("rfc9568_6_4_3_losing_advert_is_answered") && is_test_name("v2_unicast"));
    assert!(!is_test_name("strict") && !is_test_name("min_ttl") && !is_test_name("tests/rfc/main_x"));
    let text = "#[test]\n#[ignore]\nfn a_b() {\nfn c_d() {\ntell! {\n    x = [Y],\n        e_f g_h;\n}\ni_j";
    assert_eq!(tests_in(text).filter(|name| name.contains('_')).collect::<Vec<_>>(), ["a_b", "e_f", "g_h"]);
    assert!(test_names(&["tests/rfc"]).len() > 100);
    assert!(sources().len() > 10 && papers().len() > 5);
}

/// One source file.
struct Source {
    /// Where it is.
    path: PathBuf,
    /// The same below `src/`.
    inside: String,
    text: String,
}

impl Source {
    /// Returns the numbered lines before the tests, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\n#[expect").or_else(|| self.text.find("#[cfg(test)]\nmod tests"));
        let end = end.or_else(|| self.text.find("#[cfg(test)]\npub mod tests")).unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(number, line)| (number + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// What broke a rule.
#[derive(Default)]
struct Findings(String);

impl Findings {
    fn add(&mut self, file: &Source, line: usize, what: &str) {
        self.add_at(&file.path, line, what);
    }

    fn add_at(&mut self, path: &Path, line: usize, what: &str) {
        let path = path.strip_prefix(root()).unwrap_or(path);
        let _ = writeln!(self.0, "{}:{line}: {what}", path.display());
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// Says whether a line has the word, and not as the end of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric()))
}

/// Says whether a line names a path: plainly, or its last part inside braces after the rest.
fn names_path(line: &str, path: &str) -> bool {
    let plainly = line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let root_only = path.contains("::") || after == Some(':') || line.trim_start().starts_with("use ");
        root_only && !before.is_some_and(|c| is_word(c) || c == ':') && !after.is_some_and(is_word)
    });
    let grouped = || {
        let Some((stem, last)) = path.rsplit_once("::") else { return false };
        let Some((_, group)) = line.split_once(&format!("{stem}::{{")) else { return false };
        group.split(['{', '}', ',', ' ', ';']).any(|name| name == last || name.starts_with(&format!("{last}::")))
    };
    plainly || grouped()
}

/// Returns line and length of each function but `fmt`, whose match over all variants is a table; by the indentation that rustfmt gives to its closing brace.
fn function_lengths(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_start = |line: &str| {
        let words = line.trim_start();
        if words.starts_with("fn fmt(") {
            return false;
        }
        [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "async fn ",
            "pub async fn ",
            "const fn ",
            "pub const fn ",
        ]
        .iter()
        .any(|start| words.starts_with(start))
    };
    let length = |start: usize| {
        let indent = lines[start].len() - lines[start].trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let ends_at_once = lines[start].ends_with('}') || lines[start].ends_with(';');
        let end = lines[start..].iter().position(|line| **line == close);
        if ends_at_once { 1 } else { end.map_or(1, |end| end + 1) }
    };
    (0..lines.len()).filter(|&at| is_start(lines[at])).map(|at| (at + 1, length(at))).collect()
}

/// Returns line and target of each Markdown link.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| Some((number + 1, rest.split(')').next()?)))
    })
}

/// Says whether a word in backticks is meant as the name of a test: words joined by underscores.
fn is_test_name(name: &str) -> bool {
    /// Keys, counters and beginnings of names that look alike.
    const OTHERS: [&str; 3] = ["min_ttl", "own_address", "check_"];
    let is_name = name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_name && !OTHERS.contains(&name)
}

/// Returns the names of all tests in the `.rs` files below these folders.
fn test_names(folders: &[&str]) -> BTreeSet<String> {
    let files = folders.iter().flat_map(|folder| files(&root().join(folder), "rs"));
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    texts.iter().flat_map(|text| tests_in(text)).map(str::to_owned).collect()
}

/// Returns what stands as a function behind `#[test]`, and the words of the lists from which macros make tests.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let functions = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split('(').next());
    let lists = ["\ntell! {", "\nmeasure! {"].into_iter().flat_map(|head| text.split(head).skip(1));
    let words = lists.flat_map(|rest| rest.split("\n}").next().unwrap_or_default().split(|c: char| !is_word(c)));
    functions.chain(words)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn keys(value: &serde_json::Value, found: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            found(key);
            keys(value, found);
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let source = |path: PathBuf| Source {
        inside: path.strip_prefix(&src).unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).unwrap(),
        path,
    };
    files(&src, "rs").into_iter().map(source).collect()
}

/// Returns the Markdown files of the project.
fn papers() -> Vec<PathBuf> {
    let mut papers: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    papers.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    papers.extend(files(&root().join("docs"), "md"));
    papers.sort();
    papers
}

/// Returns the files below a folder with that ending, sorted; none when there is no such folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
