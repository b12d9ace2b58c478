//! strongSwan's configuration syntax and the raw output of `swanctl`, both nested sections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use toml::{Table, Value};

/// Writes a table as strongSwan sections.
pub(crate) fn render(table: &Table) -> String {
    let mut text = String::new();
    write_table(&mut text, table, 0);
    text
}

fn write_table(text: &mut String, table: &Table, depth: usize) {
    let indent = "  ".repeat(depth);
    for (key, value) in table {
        // Writing to a String cannot fail.
        let _ = match value {
            Value::Table(inner) => {
                let _ = writeln!(text, "{indent}{key} {{");
                write_table(text, inner, depth + 1);
                writeln!(text, "{indent}}}")
            }
            Value::Boolean(yes) => writeln!(text, "{indent}{key} = {}", if *yes { "yes" } else { "no" }),
            Value::String(string) => writeln!(text, "{indent}{key} = {string}"),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Array(_) => {
                writeln!(text, "{indent}{key} = {value}")
            }
        };
    }
}

/// One value of `swanctl --raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Text(String),
    List(Vec<String>),
    Section(BTreeMap<String, Node>),
}

impl Node {
    pub(crate) fn section(&self) -> Option<&BTreeMap<String, Node>> {
        match self {
            Node::Section(entries) => Some(entries),
            Node::Text(_) | Node::List(_) => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.section()?.get(key)? {
            Node::Text(text) => Some(text),
            Node::List(_) | Node::Section(_) => None,
        }
    }
}

/// Parses the sections after `event` in each line like `list-sa event {name {key=value}}`.
pub(crate) fn parse_events(output: &str, event: &str) -> Vec<BTreeMap<String, Node>> {
    let prefix = format!("{event} event ");
    output
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .filter_map(|rest| parse_value(&mut rest.chars().peekable()).section().cloned())
        .collect()
}

/// Parses `{...}`, `[...]` or a bare word.
fn parse_value(input: &mut Peekable<Chars<'_>>) -> Node {
    match input.peek() {
        Some('{') => {
            input.next();
            Node::Section(parse_entries(input))
        }
        Some('[') => {
            input.next();
            let list: String = input.by_ref().take_while(|c| *c != ']').collect();
            Node::List(list.split_whitespace().map(str::to_owned).collect())
        }
        Some(_) | None => Node::Text(take_word(input)),
    }
}

fn parse_entries(input: &mut Peekable<Chars<'_>>) -> BTreeMap<String, Node> {
    let mut entries = BTreeMap::new();
    loop {
        while input.next_if(|c| c.is_whitespace()).is_some() {}
        match input.peek() {
            None => return entries,
            Some('}') => {
                input.next();
                return entries;
            }
            Some(_) => {}
        }
        let key = take_word_until(input, &['=', '{', '[']);
        input.next_if_eq(&'=');
        let value = parse_value(input);
        entries.insert(key.trim().to_owned(), value);
    }
}

fn take_word(input: &mut Peekable<Chars<'_>>) -> String {
    take_word_until(input, &[' ', '}', ']'])
}

fn take_word_until(input: &mut Peekable<Chars<'_>>, ends: &[char]) -> String {
    let mut word = String::new();
    while let Some(c) = input.next_if(|c| !ends.contains(c)) {
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_sections_lists_and_words_are_told_apart() {
        let line = "list-sa event {ikei {uniqueid=1 state=ESTABLISHED child-sas {net-1 {name=net \
                    local-ts=[10.0.0.0/8 10.1.0.0/16]}}}}\nlist-sas reply {}\n";
        let events = parse_events(line, "list-sa");
        assert_eq!(events.len(), 1);
        let ikei = events[0].get("ikei").unwrap();
        assert_eq!(ikei.text("state"), Some("ESTABLISHED"));
        let children = ikei.section().unwrap().get("child-sas").unwrap().section().unwrap();
        let selectors = children.get("net-1").unwrap().section().unwrap().get("local-ts").unwrap();
        assert_eq!(*selectors, Node::List(vec!["10.0.0.0/8".to_owned(), "10.1.0.0/16".to_owned()]));
    }

    #[test]
    fn tables_become_sections_with_strongswans_booleans() {
        let table: Table = "a = 1\nb = { c = true, d = \"x, y\" }".parse().unwrap();
        assert_eq!(render(&table), "a = 1\nb {\n  c = yes\n  d = x, y\n}\n");
    }
}
