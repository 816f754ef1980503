//! Lines to blocks: which keyword stands in which block.
//!
//! Braces are taken as Keepalived takes them: only a keyword that opens a block has a `{`; a `{` elsewhere is ignored,
//! so that its `}` ends the block around it. One stop before: `expand`; one stop after: `map`.

use super::expand::Line;
use super::grammar::{Body, Keyword};
use super::lexer::{self, Piece, Word};
use super::refusal::Refusal;
use super::remark::{Remark, excerpt};
use super::report::{At, Report, Spot};
use crate::config::suggest;

/// One keyword with what follows it, or one entry of a list.
#[derive(Debug)]
pub(super) struct Node {
    /// The first word.
    pub keyword: String,
    /// The words behind it.
    pub words: Vec<At<String>>,
    /// The text behind it, quotes and all.
    pub rest: String,
    /// Where it begins.
    pub spot: Spot,
    /// What stands in braces.
    pub body: Vec<Node>,
    /// Line of the `}`, or its own.
    pub last_line: u32,
}

impl Node {
    /// Returns the word `at` behind the keyword.
    pub fn word(&self, at: usize) -> Option<&At<String>> {
        self.words.get(at)
    }

    /// Returns all words, the first included.
    pub fn entry(&self) -> impl Iterator<Item = At<&str>> {
        let first = At { value: self.keyword.as_str(), spot: self.spot };
        std::iter::once(first).chain(self.words.iter().map(|word| At { value: word.value.as_str(), spot: word.spot }))
    }
}

/// Reads all lines; reports what stands where it does not belong.
pub(super) fn parse(lines: &[Line], root: &'static [Keyword], report: &mut Report) -> Vec<Node> {
    let items: Vec<Item<'_>> = lines.iter().flat_map(items).collect();
    let mut parser = Parser { items: &items, at: 0, report };
    parser.block(root, None)
}

/// A piece of a line with its place.
#[derive(Clone, Copy)]
enum Item<'l> {
    Text { text: &'l str, line: &'l Line, offset: u32 },
    Open(Spot),
    Close(Spot),
}

fn items(line: &Line) -> impl Iterator<Item = Item<'_>> {
    lexer::pieces(&line.text).into_iter().map(move |piece| match piece {
        Piece::Text { text, offset } => Item::Text { text, line, offset },
        Piece::Open(offset) => Item::Open(place(line, offset)),
        Piece::Close(offset) => Item::Close(place(line, offset)),
    })
}

/// Returns the place of a character; where something was replaced, that of the line.
fn place(line: &Line, offset: u32) -> Spot {
    let offset = if line.is_verbatim { offset } else { 0 };
    Spot { column: line.spot.column.saturating_add(offset), ..line.spot }
}

struct Parser<'p> {
    items: &'p [Item<'p>],
    at: usize,
    report: &'p mut Report,
}

impl<'p> Parser<'p> {
    fn next(&mut self) -> Option<Item<'p>> {
        let item = self.items.get(self.at).copied();
        self.at += 1;
        item
    }

    /// Takes the `{` of a block when it comes next.
    fn opens(&mut self) -> bool {
        let is_open = matches!(self.items.get(self.at), Some(Item::Open(_)));
        self.at += usize::from(is_open);
        is_open
    }

    /// Reads keywords up to the `}` of the block, or all that is left at the top.
    fn block(&mut self, table: &'static [Keyword], around: Option<&Node>) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(item) = self.next() {
            match item {
                Item::Open(spot) => self.report.remark(spot, Remark::UnexpectedOpen),
                Item::Close(_) if around.is_some() => return nodes,
                Item::Close(spot) => self.report.remark(spot, Remark::ExtraClose),
                Item::Text { text, line, offset } => {
                    nodes.extend(self.keyword(node(text, line, offset), table, around));
                }
            }
        }
        self.missing_close(around);
        nodes
    }

    fn keyword(&mut self, mut node: Node, table: &'static [Keyword], around: Option<&Node>) -> Option<Node> {
        let Some(known) = table.iter().find(|known| known.name == node.keyword) else {
            self.unknown(&node, table, around);
            return None;
        };
        if node.words.len() < known.least {
            self.report.refuse(node.spot, Refusal::MissingWord { keyword: known.name });
        }
        match known.body {
            Body::None => {}
            Body::Block(inner) => {
                self.must_open(&node);
                node.body = self.block(inner, Some(&node));
                node.last_line = self.last_line(&node);
            }
            Body::List => {
                self.must_open(&node);
                node.body = self.list(&node);
                node.last_line = self.last_line(&node);
            }
            Body::Foreign => {
                if self.opens() {
                    self.skip(&node);
                } else {
                    self.report.remark(node.spot, Remark::MissingOpen { keyword: node.keyword.clone() });
                }
            }
        }
        Some(node)
    }

    /// Returns the line of the item taken last; a block may end in another file.
    fn last_line(&self, node: &Node) -> u32 {
        let spot = match self.items.get(self.at.saturating_sub(1)) {
            Some(Item::Open(spot) | Item::Close(spot)) => *spot,
            Some(Item::Text { line, .. }) => line.spot,
            None => return u32::MAX,
        };
        if spot.file == node.spot.file { spot.line } else { node.spot.line }
    }

    fn unknown(&mut self, node: &Node, table: &'static [Keyword], around: Option<&Node>) {
        let names = table.iter().map(|known| known.name);
        let meant = if self.report.is_crowded() { None } else { suggest::closest(&node.keyword, names) };
        // A word on a line of its own may be the password or key of the line above.
        let is_secret = meant.is_none() && around.is_some_and(|node| SECRET.contains(&node.keyword.as_str()));
        let remark = Remark::Unknown {
            keyword: if is_secret { "(not shown)".to_owned() } else { excerpt(&node.keyword) },
            block: around.map(|node| excerpt(&node.keyword)),
            meant,
            has_brace: self.opens(),
        };
        self.report.remark(node.spot, remark);
    }

    fn must_open(&mut self, node: &Node) {
        if !self.opens() {
            self.report.remark(node.spot, Remark::MissingOpen { keyword: node.keyword.clone() });
        }
    }

    /// Reads one entry a line up to the `}`.
    fn list(&mut self, around: &Node) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(item) = self.next() {
            match item {
                Item::Open(spot) => self.report.remark(spot, Remark::UnexpectedOpen),
                Item::Close(_) => return nodes,
                Item::Text { text, line, offset } => nodes.push(node(text, line, offset)),
            }
        }
        self.missing_close(Some(around));
        nodes
    }

    /// Skips to the `}` that belongs to the `{` just taken.
    fn skip(&mut self, around: &Node) {
        let mut depth = 1usize;
        while let Some(item) = self.next() {
            match item {
                Item::Open(_) => depth += 1,
                Item::Close(_) => depth -= 1,
                Item::Text { .. } => {}
            }
            if depth == 0 {
                return;
            }
        }
        self.missing_close(Some(around));
    }

    fn missing_close(&mut self, around: Option<&Node>) {
        if let Some(node) = around {
            self.report.remark(node.spot, Remark::MissingClose { keyword: node.keyword.clone() });
        }
    }
}

fn node(text: &str, line: &Line, offset: u32) -> Node {
    let at = |word: Word| At { value: word.text, spot: place(line, offset.saturating_add(word.offset)) };
    let mut words = lexer::words(text).into_iter().map(at);
    let first = words.next();
    // A keyword in quotes is a word of a list; its text behind it is not asked for.
    let rest = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim()).to_owned();
    Node {
        keyword: first.as_ref().map(|word| word.value.clone()).unwrap_or_default(),
        spot: first.map_or(line.spot, |word| word.spot),
        words: words.collect(),
        rest,
        body: Vec::new(),
        last_line: line.spot.line,
    }
}

/// Blocks whose words are not shown.
const SECRET: [&str; 2] = ["authentication", "auth_hmac"];
