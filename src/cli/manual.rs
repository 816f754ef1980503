//! Completions and manual pages, both made from the command line's definition.
//!
//! One stop before: the command line; one stop after: a package, which installs them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Exit;

/// Prints the completions of a shell.
pub fn print_completions(shell: Shell, command: &mut Command) -> Exit {
    // Into memory first: the generator panics when its output fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "vrrpd", &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("vrrpd: cannot print the completions: {error}");
            Exit::Software
        }
        Err(_) | Ok(()) => Exit::Good,
    }
}

/// Writes a page for `vrrpd` and for each command that is not hidden.
pub fn write_pages(directory: &Path, command: Command) -> Exit {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    match write_page_tree(directory, &command) {
        Ok(()) => Exit::Good,
        Err(error) => {
            eprintln!("vrrpd: cannot write manual pages to {}: {error}", directory.display());
            if error.kind() == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Software }
        }
    }
}

fn write_page_tree(directory: &Path, command: &Command) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_page(directory, subcommand)?;
    }
    write_page(directory, command)
}

fn write_page(directory: &Path, command: &Command) -> io::Result<()> {
    let page = Man::new(command.clone()).section(SECTION).manual("System Administration").date("");
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(directory.join(page.get_filename()), keep_lines(&String::from_utf8_lossy(&text)))
}

/// Gives the section with examples a name, and keeps its lines as they are: the generator does neither.
fn keep_lines(page: &str) -> String {
    let Some((before, section)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let (lines, after) = match section.find("\n.SH ") {
        Some(at) => section.split_at(at + 1),
        None => (section, ""),
    };
    format!("{before}.SH NOTES\n.nf\n{}\n.fi\n{after}", lines.trim_end())
}

/// Daemons and the tools of administrators.
const SECTION: &str = "8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_examples_are_kept_and_other_sections_untouched() {
        let page = ".SH NAME\na\n.SH EXTRA\nx\n  y\n\n.SH VERSION\nv\n";
        assert_eq!(keep_lines(page), ".SH NAME\na\n.SH NOTES\n.nf\nx\n  y\n.fi\n.SH VERSION\nv\n");
        assert_eq!(keep_lines(".SH NAME\n"), ".SH NAME\n");
    }
}
