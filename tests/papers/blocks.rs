//! The blocks of a page: what stands between two fences, and what the words behind the first say is done with it.
//!
//! The words are explained in `docs/testing.md`, "What the pages show". One stop after: `main.rs` holds all blocks to them,
//! `tests/netns/papers.rs` runs those that are to be run.

use std::path::Path;

/// One block of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// The first word of the fence; empty when there is none.
    pub language: String,
    /// The others.
    pub mark: Mark,
    /// Its lines, without what they are indented by as the fence is.
    pub text: String,
}

/// What is done with a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Nothing is said.
    Bare,
    /// `run`: it is run on lb1 of the pair, all of it as one script.
    Run,
    /// `apply`: it becomes the configuration of both hosts of the pair, which reload it.
    Apply,
    /// `output`: what the block `run` before it writes.
    Output,
    /// `usage`: how a command is called; its options are those of `--help`.
    Usage,
    /// `both`, `lb1` or `lb2`: `tests/install` runs it there.
    Install,
    /// `golden FILE`: each line of it stands in that file.
    Golden(String),
    /// `run-by NAME ...`: these tests, or scripts of the repository, run it.
    RunBy(Vec<String>),
    /// `no-run: REASON`
    NoRun(String),
    /// Something else.
    Unknown(String),
}

impl Mark {
    fn parse(words: &str) -> Self {
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        let rest = rest.trim();
        match (first, rest) {
            ("", _) => Self::Bare,
            ("run", "") => Self::Run,
            ("apply", "") => Self::Apply,
            ("output", "") => Self::Output,
            ("usage", "") => Self::Usage,
            ("both" | "lb1" | "lb2", "") => Self::Install,
            ("golden", file) if !file.is_empty() => Self::Golden(file.to_owned()),
            ("run-by", names) if !names.is_empty() => Self::RunBy(names.split(' ').map(str::to_owned).collect()),
            ("no-run:", reason) if !reason.is_empty() => Self::NoRun(reason.to_owned()),
            _ => Self::Unknown(words.to_owned()),
        }
    }
}

/// Returns the blocks of a page, in order, and the lines from 1 on that look like a block without a fence.
///
/// A block without a fence is a paragraph that is indented by four blanks or more; one in a list item that is itself indented is none.
pub fn blocks(page: &str) -> (Vec<Block>, Vec<usize>) {
    let (mut found, mut unfenced) = (Vec::new(), Vec::new());
    let (mut open, mut is_list, mut before_is_blank) = (None::<(usize, Block)>, false, true);
    for (at, line) in page.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if let Some((margin, mut block)) = open.take() {
            if line.trim() == "```" {
                found.push(block);
            } else {
                block.text += line.get(margin.min(indent)..).unwrap_or_default();
                block.text.push('\n');
                open = Some((margin, block));
            }
            continue;
        }
        if let Some(words) = line.trim_start().strip_prefix("```") {
            let (language, mark) = words.split_once(' ').unwrap_or((words, ""));
            let mark = Mark::parse(mark.trim());
            open = Some((indent, Block { line: at + 1, language: language.to_owned(), mark, text: String::new() }));
        } else if !line.trim().is_empty() {
            if before_is_blank && indent >= 4 && !is_list {
                unfenced.push(at + 1);
            }
            if indent == 0 {
                is_list = line.starts_with("- ") || line.split_once(". ").is_some_and(|(number, _)| is_number(number));
            }
        }
        before_is_blank = line.trim().is_empty();
    }
    // A fence that is never closed swallows the page: it is told as a line that is no block.
    unfenced.extend(open.map(|(_, block)| block.line));
    (found, unfenced)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit())
}

/// Returns the configuration of the pair: the first block "toml" of the README.
pub fn pair() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    blocks(&readme).0.into_iter().find(|block| block.language == "toml").unwrap().text
}

/// Returns a file of what is shown: a part of one becomes a part of the README's pair.
pub fn completed(text: &str) -> Result<String, String> {
    let table = |text: &str| text.parse::<toml::Table>().map_err(|error| error.to_string());
    let shown = table(text)?;
    let instances = shown.get("instance").and_then(toml::Value::as_table);
    let is_whole = instances.is_some_and(|all| all.values().all(|instance| instance.get("interface").is_some()));
    if is_whole {
        return Ok(text.to_owned());
    }
    let mut whole = table(&pair())?;
    merge(&mut whole, shown);
    Ok(whole.to_string())
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Returns where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
