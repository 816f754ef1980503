//! `vrrpd explain`: the whole text of it, for one file and for two that differ.

use std::fs;

use crate::{command, in_tree, outcome};

#[test]
fn a_pair_with_checks_reads_as_in_the_golden_text() {
    let output = command(&["explain", "--no-programs", "conf/haproxy.toml"]).current_dir(in_tree("")).output().unwrap();
    let expected = fs::read_to_string(in_tree("tests/cli/explained/haproxy.txt")).unwrap();
    assert_eq!(outcome(&output), (0, expected, String::new()));
}

#[test]
fn three_nodes_and_a_group_read_as_in_the_golden_text() {
    let output = command(&["explain", "conf/three-nodes.toml", "conf/group.toml", "--no-programs"]);
    let output = { output }.current_dir(in_tree("")).output().unwrap();
    let expected = fs::read_to_string(in_tree("tests/cli/explained/three-and-group.txt")).unwrap();
    assert_eq!(outcome(&output), (0, expected, String::new()));
}

#[test]
fn two_nodes_files_that_differ_say_what_comes_of_it() {
    let directory = in_tree("tests/cli/explained");
    let output = command(&["explain", "lb1.conf", "lb2.conf"]).current_dir(&directory).output().unwrap();
    let expected = fs::read_to_string(directory.join("pair.txt")).unwrap();
    assert_eq!(outcome(&output), (78, expected, String::new()));
}

#[test]
fn one_file_of_two_says_what_is_missing() {
    let directory = in_tree("tests/cli/explained");
    let output = command(&["explain", "lb1.conf"]).current_dir(&directory).output().unwrap();
    let expected = fs::read_to_string(directory.join("half.txt")).unwrap();
    assert_eq!(outcome(&output), (0, expected, String::new()));
}

#[test]
fn no_line_is_longer_than_80_columns() {
    let mut lines = 0;
    for entry in fs::read_dir(in_tree("conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let (code, stdout, stderr) =
            outcome(&command(&["explain", "--no-programs", path.to_str().unwrap()]).output().unwrap());
        assert_eq!((code, stderr.as_str()), (0, ""), "{}", path.display());
        let long: Vec<&str> = stdout.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{}: {long:#?}", path.display());
        lines += stdout.lines().count();
    }
    assert!(lines > 50, "{lines}");
}

#[test]
fn a_wrong_file_is_told_as_by_check() {
    let (code, stdout, stderr) =
        outcome(&command(&["explain", "tests/cli/many-errors.toml"]).current_dir(in_tree("")).output().unwrap());
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.contains("tests/cli/many-errors.toml:"), "{stderr}");
}
