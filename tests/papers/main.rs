//! What the pages show is so: each command is run by a test or says why not, each configuration is good, each output is one.
//!
//! This reads the pages; `tests/netns/papers.rs` runs the commands on a pair of hosts. The words of the fences are explained in
//! `docs/testing.md`.

mod blocks;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use blocks::{Block, Mark, blocks, completed, root};

/// Languages of files that other programs read. Nobody runs them; the page says where they go.
const OF_OTHERS: [&str; 4] = ["ini", "haproxy", "nginx", "apache"];

#[test]
fn each_block_says_what_is_done_with_it() {
    let tests = names_of_tests();
    let mut findings = String::new();
    let mut count = 0;
    for (page, text) in pages() {
        let (found, unfenced) = blocks(&text);
        for line in unfenced {
            let _ = writeln!(findings, "{page}:{line}: a block without a fence, or a fence that is not closed");
        }
        for (at, block) in found.iter().enumerate() {
            let before = found.get(at.wrapping_sub(1));
            if let Err(problem) = judge(block, before, &page, &tests) {
                let _ = writeln!(findings, "{page}:{}: {problem}", block.line);
            }
        }
        count += found.len();
    }
    assert!(findings.is_empty(), "\n{findings}");
    assert!(count > 90, "{count} blocks");
}

/// Says what is wrong with the words of a fence; `before` is the block before it.
fn judge(block: &Block, before: Option<&Block>, page: &str, tests: &BTreeSet<String>) -> Result<(), String> {
    let is_after_run = before.is_some_and(|before| before.mark == Mark::Run);
    match (block.language.as_str(), &block.mark) {
        (_, Mark::Unknown(words)) => Err(format!("{words:?}: no such words behind a fence")),
        ("sh" | "text" | "toml", Mark::NoRun(_)) => Ok(()),
        ("sh" | "text", Mark::RunBy(names)) => names.iter().try_for_each(|name| {
            let is_there = tests.contains(name) || (name.starts_with("tests/") && root().join(name).exists());
            is_there.then_some(()).ok_or(format!("no test {name}"))
        }),
        ("sh", Mark::Run) => is_read_aloud(page),
        ("sh", Mark::Install) if page == "README.md" => Ok(()),
        ("text", Mark::Output) if is_after_run => Ok(()),
        ("text", Mark::Output) => Err("no block \"run\" before this output".to_owned()),
        ("text", Mark::Usage) => usage(&block.text),
        ("text", Mark::Golden(file)) => golden(&block.text, file),
        ("toml" | "keepalived", Mark::Bare) => Ok(()),
        ("toml", Mark::Apply) => is_read_aloud(page),
        ("json", Mark::Bare) => block.text.lines().try_for_each(|line| {
            serde_json::from_str::<serde_json::Value>(line).map(|_| ()).map_err(|error| format!("{error}: {line}"))
        }),
        (language, Mark::Bare) if OF_OTHERS.contains(&language) => Ok(()),
        ("sh", _) => Err("say \"run\", \"run-by NAME\" or \"no-run: REASON\" behind \"sh\"".to_owned()),
        ("text", _) => {
            Err("say \"output\", \"golden FILE\", \"usage\", \"run-by NAME\" or \"no-run: REASON\"".to_owned())
        }
        (language, mark) => Err(format!("{language:?} with {mark:?}: expected \"sh\", \"text\", \"toml\" or the like")),
    }
}

/// A page with a block to run is in the list of the story that runs them.
fn is_read_aloud(page: &str) -> Result<(), String> {
    let story = fs::read_to_string(root().join("tests/netns/papers.rs")).unwrap();
    let is_there = story.contains(&format!("= \"{page}\";"));
    is_there.then_some(()).ok_or("the page is not in the list of tests/netns/papers.rs".to_owned())
}

/// Each line of what is shown stands in the file, which another test holds.
fn golden(text: &str, file: &str) -> Result<(), String> {
    let golden = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    let lines: BTreeSet<&str> = golden.lines().collect();
    let missing: Vec<&str> = text.lines().filter(|line| *line != "..." && !lines.contains(line)).collect();
    missing.is_empty().then_some(()).ok_or(format!("not in {file}: {missing:#?}"))
}

/// Each option that a line names is one of the command, and each of the command that a program may use is named.
fn usage(text: &str) -> Result<(), String> {
    text.lines().try_for_each(|line| {
        let name = line.split(' ').nth(1).unwrap_or_default();
        let (code, help) = vrrpd(&[name, "--help"], "");
        if code != 0 {
            return Err(format!("no command {name:?}"));
        }
        let mut options = line.split([' ', '[', ']']).filter(|word| word.starts_with("--"));
        let unknown = options.find(|option| !help.contains(option));
        unknown.map_or(Ok(()), |option| Err(format!("{name} has no {option}")))
    })
}

#[test]
fn configurations_that_pages_show_are_good() {
    let (mut findings, mut count) = (String::new(), 0);
    for (page, text) in pages() {
        let shown = blocks(&text).0.into_iter().filter(|block| matches!(block.mark, Mark::Bare | Mark::Apply));
        for block in shown.filter(|block| matches!(block.language.as_str(), "toml" | "keepalived")) {
            let said = match block.language.as_str() {
                "toml" => completed(&block.text).and_then(|text| checked(&text, "toml")),
                _ => checked(&block.text, "keepalived"),
            };
            if let Err(problem) = said {
                let _ = writeln!(findings, "{page}:{}: {problem}", block.line);
            }
            count += 1;
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
    assert!(count > 10, "{count} configurations");
}

/// Asks `vrrpd check`; programs and keys are of nobody's host, and a check alone may be there for the reader to use.
fn checked(text: &str, format: &str) -> Result<(), String> {
    let (code, said) = vrrpd(&["check", "--no-programs", "--format", format, "-"], text);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("no instance and no group names check") && !line.contains(": note: "))
        .collect();
    if code == 0 && lines.is_empty() { Ok(()) } else { Err(format!("exit code {code}: {}", lines.join("\n"))) }
}

/// Runs our program; returns its exit code and what it wrote.
fn vrrpd(arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that ends without reading is told by its exit code.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn migration_page_shows_what_check_says_of_the_article() {
    let page = fs::read_to_string(root().join("docs/migrate-from-keepalived.md")).unwrap();
    let shown = blocks(&page).0.into_iter().find(|block| block.text.starts_with("loadbalancer1.conf:")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
    let folder = root().join("tests/netns/article");
    let output = command.args(["check", "loadbalancer1.conf"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), shown.text);
}

/// The rules find what they look for.
#[test]
fn rules_about_blocks_are_not_blind() {
    let page = "a\n\n    code\n\n- b\n\n    text\n\n```sh\nx\n```\n\n  ```text output\n  y\n    z\n  ```\n```toml\n";
    let (found, unfenced) = blocks(page);
    assert_eq!(unfenced, [3, 17]);
    let texts: Vec<&str> = found.iter().map(|block| block.text.as_str()).collect();
    assert_eq!(texts, ["x\n", "y\n  z\n"]);
    let tests = names_of_tests();
    let judged = |fence: &str| {
        let (found, _) = blocks(&format!("```{fence}\nvrrpd status\n```\n"));
        judge(&found[0], None, "docs/none.md", &tests)
    };
    for bad in
        ["", "sh", "sh run", "sh lb1", "sh run-by no_such_test", "sh no-run:", "text", "text output", "json", "c"]
    {
        assert!(judged(bad).is_err(), "{bad:?} is good");
    }
    for bad in ["text golden SECURITY.md", "sh run now", "text golden no/such"] {
        assert!(judged(bad).is_err(), "{bad:?} is good");
    }
    for good in ["sh no-run: needs a cloud", "text no-run: a picture", "sh run-by rules_about_blocks_are_not_blind"] {
        assert_eq!(judged(good), Ok(()), "{good:?}");
    }
    assert!(usage("vrrpd check [--json] [FILE...]").is_ok() && usage("vrrpd check [--jsonp]").is_err());
    assert!(completed("[daemon]\nnode = \"lb1\"\n").and_then(|text| checked(&text, "toml")).is_ok());
    assert!(completed("[daemon]\nnodes = \"lb1\"\n").and_then(|text| checked(&text, "toml")).is_err());
}

/// Returns the pages that are held to their blocks, with their names in the repository, sorted.
fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)).into();
    let docs = fs::read_dir(root().join("docs")).unwrap();
    paths.extend(docs.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Returns the names of all functions behind `#[test]`, and the words of the lists from which macros make tests.
fn names_of_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["src", "tests"].iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = fs::read_to_string(file).unwrap();
        let functions = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split('(').next());
        let lists = ["\ntell! {", "\nmeasure! {", "\npages! {"].into_iter().flat_map(|head| text.split(head).skip(1));
        let words = lists.flat_map(|rest| rest.split("\n}").next().unwrap_or_default().split(|c: char| !is_word(c)));
        names.extend(functions.chain(words).map(str::to_owned));
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}
