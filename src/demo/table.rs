//! The demo's last page: one row for each thing that happened.

use super::lab::Node;
use super::screen::{Look, Screen};

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened.
    pub event: String,
    /// Who held the address at the end.
    pub holders: Vec<Node>,
    /// Who should.
    pub expected: Node,
    /// What the client missed.
    pub silence: String,
    /// What the protocol allows.
    pub limit: String,
}

impl Row {
    /// Says whether the address was where it should be.
    pub fn is_right(&self) -> bool {
        self.holders == [self.expected]
    }

    fn holders(&self) -> String {
        match self.holders.as_slice() {
            [] => "nobody!".to_owned(),
            [node] if *node == self.expected => node.to_string(),
            nodes => nodes.iter().map(|node| format!("{node}!")).collect::<Vec<_>>().join(" "),
        }
    }
}

/// Writes the table.
pub fn print(screen: &Screen, rows: &[Row]) {
    screen.say("");
    screen.say(&screen.paint(Look::Bold, &line(HEADINGS)));
    screen.say(&WIDTHS.map(|width| "-".repeat(width)).join("  "));
    for row in rows {
        let text = line([&row.event, &row.holders(), &row.silence, &row.limit]);
        screen.say(&screen.paint(if row.is_right() { Look::Plain } else { Look::Bad }, &text));
    }
}

const HEADINGS: [&str; 4] = ["what happened", "address at", "client got no answer for", "protocol's limit"];
/// 78 columns with the gaps.
const WIDTHS: [usize; 4] = [22, 10, 24, 16];

fn line(cells: [&str; 4]) -> String {
    let [event, holders, silence, limit] = WIDTHS;
    let [a, b, c, d] = cells;
    format!("{a:event$}  {b:holders$}  {c:silence$}  {d:limit$}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(holders: &[Node]) -> Row {
        Row {
            event: "a is stopped".to_owned(),
            holders: holders.to_vec(),
            expected: Node::B,
            silence: "nothing lost".to_owned(),
            limit: "0.61 s".to_owned(),
        }
    }

    #[test]
    fn only_the_expected_node_alone_is_right() {
        assert!(row(&[Node::B]).is_right());
        for wrong in [&[][..], &[Node::A], &[Node::A, Node::B]] {
            assert!(!row(wrong).is_right(), "{wrong:?}");
            assert!(row(wrong).holders().contains('!'), "{wrong:?}");
        }
    }

    #[test]
    fn the_table_fits_eighty_columns() {
        assert!(line(HEADINGS).len() <= 80);
        assert_eq!(WIDTHS.iter().sum::<usize>() + 3 * 2, 78);
    }
}
