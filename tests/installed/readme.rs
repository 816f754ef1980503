//! The section of README.md that an operator follows, as steps.
//!
//! A fence "```sh both", "```sh lb1" or "```sh lb2" has commands, a line each; "```toml" is the configuration of both. What a
//! page on the web shows is the same without the last word.

use vrrpd::demo::lab::Node;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Run this line on this host.
    Run(Node, String),
    /// Write this as the configuration of both hosts.
    Configure(String),
}

/// Returns the steps of a section, in order.
///
/// **Errors:** there is no such section, or a fence in it is neither of commands nor of a configuration.
pub fn steps(readme: &str, heading: &str) -> Result<Vec<Step>, String> {
    let begin = format!("\n## {heading}\n");
    let (_, section) = readme.split_once(&begin).ok_or(format!("no section {heading:?}"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut steps = Vec::new();
    // What is between two fences is in, what is behind the second is out.
    let mut parts = section.split("```");
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        let (fence, text) = block.split_once('\n').ok_or("a fence without lines")?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match fence {
            "toml" => steps.push(Step::Configure(lines.collect::<Vec<_>>().join("\n") + "\n")),
            "sh both" => {
                let lines: Vec<_> = lines.collect();
                for node in [Node::A, Node::B] {
                    steps.extend(lines.iter().map(|line| Step::Run(node, (*line).to_owned())));
                }
            }
            "sh lb1" => steps.extend(lines.map(|line| Step::Run(Node::A, line.to_owned()))),
            "sh lb2" => steps.extend(lines.map(|line| Step::Run(Node::B, line.to_owned()))),
            other => return Err(format!("{other:?}: expected \"toml\", \"sh both\", \"sh lb1\" or \"sh lb2\"")),
        }
    }
    Ok(steps)
}
