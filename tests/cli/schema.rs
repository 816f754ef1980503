//! What is printed as JSON fits the JSON Schemas of `docs/schema/`.
//!
//! The validator knows the words that those schemas use, and fails on any other: a rule that is not looked at is none.

use std::fs;

use serde_json::{Value, json};
use vrrpd::control::changes::{Changes, Update};
use vrrpd::control::drain::{DrainReply, Moved, Outcome, ResumeReply};
use vrrpd::control::message::Reply;
use vrrpd::control::status::State;

use crate::{in_tree, vrrpd};

#[test]
fn golden_status_fits_its_schema() {
    for name in ["status.json", "status-sick.json"] {
        let status = read(&format!("tests/cli/{name}"));
        assert_eq!(problems("status", &status), [""; 0], "{name}");
    }
}

#[test]
fn reload_replies_fit_their_schema() {
    let updated = vec![Update { name: "web".to_owned(), what: vec!["priority 100 -> 90".to_owned()] }];
    let changes = Changes { kept: vec!["mail".to_owned()], updated, ..Changes::default() };
    let reply: Value = serde_json::from_slice(&Reply::reload(changes).to_line()).unwrap();
    assert_eq!(problems("reload", &reply), [""; 0]);
}

#[test]
fn check_replies_fit_their_schema() {
    for (file, code) in [("tests/cli/many-errors.toml", 78), ("conf/pair.toml", 0)] {
        let output = vrrpd(&["check", "--json", "--no-programs", in_tree(file).to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(code));
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(problems("check", &reply), [""; 0], "{file}");
    }
}

/// What is found depends on the host; how it is said does not.
#[test]
fn diagnoses_fit_their_schema_and_a_wrong_file_is_told_as_check_does() {
    let doctor =
        |file: &str| vrrpd(&["doctor", "--json", "--seconds", "0", "--config", in_tree(file).to_str().unwrap()]);
    let output = doctor("conf/pair.toml");
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problems("doctor", &reply), [""; 0]);
    let of = |key: &str| reply[key].as_array().unwrap().clone();
    let has_problem = of("findings").iter().any(|finding| finding["severity"] == "problem");
    let code = if has_problem {
        1
    } else if of("unseen").is_empty() {
        0
    } else {
        69
    };
    assert_eq!(output.status.code(), Some(code), "{reply}");
    let wrong = doctor("tests/cli/many-errors.toml");
    assert!(wrong.stdout.is_empty() && String::from_utf8_lossy(&wrong.stderr).contains("many-errors.toml:"));
    assert_eq!(wrong.status.code(), Some(78));
}

#[test]
fn history_fits_its_schema() {
    assert_eq!(problems("history", &read("tests/cli/history.json")), [""; 0]);
    let mut history = read("tests/cli/history.json");
    history["entries"][0]["mood"] = json!("calm");
    history["entries"][1]["kind"] = json!("party");
    history["entries"][2].as_object_mut().unwrap().remove("reason");
    let found = problems("history", &history);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn drain_and_resume_replies_fit_their_schemas() {
    let moved = |drained| Moved { name: "web".to_owned(), state: State::Backup, drained, what: "words".to_owned() };
    let outcome = |drained| Outcome { node: true, instances: vec![moved(drained)], notes: vec!["a note".to_owned()] };
    let drained = Reply::Drain(DrainReply::new(outcome(true)));
    let resumed = Reply::Resume(ResumeReply::new(outcome(false)));
    for (schema, reply) in [("drain", drained), ("resume", resumed)] {
        let mut reply: Value = serde_json::from_slice(&reply.to_line()).unwrap();
        assert_eq!(problems(schema, &reply), [""; 0]);
        reply[schema]["instances"][0]["state"] = json!("master");
        assert_eq!(problems(schema, &reply).len(), 1, "{reply}");
    }
}

#[test]
fn every_key_of_the_golden_status_is_in_the_schema() {
    let mut status = read("tests/cli/status.json");
    status["instances"][0]["mood"] = json!("calm");
    let schema = closed(read("docs/schema/status.json"));
    assert_eq!(validate(&schema, &status), ["$.instances[0].mood is not in the schema"]);
}

#[test]
fn each_kind_of_mistake_is_found() {
    let broken = |path: &str, value: Value| {
        let mut status = read("tests/cli/status.json");
        *status.pointer_mut(path).unwrap() = value;
        problems("status", &status).join("; ")
    };
    for (path, value, told) in [
        ("/schema", json!(2), "$.schema"),
        ("/pid", json!("4711"), "$.pid"),
        ("/pid", json!(-1), "$.pid"),
        ("/pid", json!(1.5), "$.pid"),
        ("/config", json!({ "path": "a" }), "$.config lacks loaded_at"),
        ("/instances/0/state", json!("master"), "$.instances[0].state"),
        ("/instances/0/since", json!("yesterday"), "$.instances[0].since"),
        ("/instances/0/virtual_router_id", json!(256), "$.instances[0].virtual_router_id"),
        ("/instances/0/rival", json!({ "address": "10.0.0.1" }), "$.instances[0].rival"),
        ("/instances/0/counters/discarded/ttl", json!(null), "$.instances[0].counters.discarded.ttl"),
    ] {
        let found = broken(path, value);
        assert!(found.starts_with(told), "{path}: {found:?}");
    }
}

fn read(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(in_tree(path)).unwrap()).unwrap()
}

/// Returns in what a value differs from a schema of `docs/schema/`, and which of its keys the schema does not name.
fn problems(schema: &str, value: &Value) -> Vec<String> {
    validate(&closed(read(&format!("docs/schema/{schema}.json"))), value)
}

/// Forbids, all through a schema, keys that it does not name.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(words) => {
            let is_object = words.contains_key("properties") && words.get("type").is_some();
            for word in words.values_mut() {
                *word = closed(word.take());
            }
            if is_object && !words.contains_key("additionalProperties") {
                words.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = closed(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

fn validate(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, schema, value, "$", &mut found);
    found
}

/// Looks at one value; `root` has the definitions.
fn look(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let words = schema.as_object().unwrap_or_else(|| panic!("{at}: a schema is an object"));
    for (word, rule) in words {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let target = rule.as_str().and_then(|name| name.strip_prefix('#')).and_then(|name| root.pointer(name));
                look(root, target.unwrap_or_else(|| panic!("{at}: no {rule}")), value, at, found);
            }
            "anyOf" => {
                let fits = |choice: &&Value| {
                    let mut problems = Vec::new();
                    look(root, choice, value, at, &mut problems);
                    problems.is_empty()
                };
                if !rule.as_array().unwrap().iter().any(|choice| fits(&choice)) {
                    found.push(format!("{at} is none of its choices: {value}"));
                }
            }
            "type" => {
                let names: Vec<&str> = rule.as_array().map_or_else(
                    || rule.as_str().into_iter().collect(),
                    |names| names.iter().filter_map(Value::as_str).collect(),
                );
                if !names.iter().any(|name| is_of(name, value)) {
                    found.push(format!("{at} is {value}, expected {}", names.join(" or ")));
                }
            }
            "const" if rule != value => found.push(format!("{at} is {value}, expected {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                found.push(format!("{at} is {value}, not in {rule}"))
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                found.push(format!("{at} is too small"))
            }
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => {
                found.push(format!("{at} is too large"))
            }
            "const" | "enum" | "minimum" | "maximum" => {}
            "pattern" => {
                // The one pattern that the schemas have: a point in time.
                assert_eq!(rule, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$");
                let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
                if value.as_str().is_some_and(|text| shape(text) != "0000-00-00T00:00:00.000Z") {
                    found.push(format!("{at} is no point in time: {value}"));
                }
            }
            "required" => {
                let keys = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing = keys.filter(|key| value.is_object() && value.get(key).is_none());
                found.extend(missing.map(|key| format!("{at} lacks {key}")));
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    look(root, rule, item, &format!("{at}[{place}]"), found);
                }
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        look(root, rule, value, &format!("{at}.{key}"), found);
                    }
                }
            }
            "additionalProperties" => {
                let named = words.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten();
                for (key, value) in others.filter(|(key, _)| !named.is_some_and(|named| named.contains_key(*key))) {
                    match rule {
                        Value::Bool(false) => found.push(format!("{at}.{key} is not in the schema")),
                        rule => look(root, rule, value, &format!("{at}.{key}"), found),
                    }
                }
            }
            unknown => panic!("{at}: the validator does not know the word {unknown:?}"),
        }
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        unknown => panic!("no type {unknown:?}"),
    }
}
