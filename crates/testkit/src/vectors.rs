//! Files of test vectors: one JSON object with `source`, `note` and `cases`, octets in hex.
#![expect(clippy::panic, reason = "a test whose vectors cannot be read must fail loudly")]

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// The cases of one file.
///
/// ```
/// use ikebana_testkit::vectors::Vectors;
/// let file = Vectors::parse(r#"{"source": "RFC 1234", "cases": [{"key": "0a0b", "length": 2}]}"#);
/// assert_eq!(file.source(), "RFC 1234");
/// for case in file.cases() {
///     assert_eq!(case.octets("key").len() as u64, case.number("length"));
///     assert_eq!(case.optional_octets("iv"), None);
/// }
/// ```
#[derive(Debug)]
pub struct Vectors {
    root: Map<String, Value>,
    cases: Vec<Case>,
}

/// One case. Its accessors panic with the case's number when a field is not what they ask for.
#[derive(Debug)]
pub struct Case {
    index: usize,
    fields: Map<String, Value>,
}

impl Vectors {
    /// Reads a file.
    ///
    /// # Panics
    /// If it cannot be read or is no such file.
    #[must_use]
    pub fn load(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Reads a file's text, as from `include_str!`.
    ///
    /// # Panics
    /// If it is no such file, or has no cases: a test over nothing shows nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let root = match serde_json::from_str(text) {
            Ok(Value::Object(root)) => root,
            Ok(_) => panic!("vectors are no JSON object"),
            Err(error) => panic!("vectors are no JSON: {error}"),
        };
        let list = root.get("cases").and_then(Value::as_array).expect("vectors have an array `cases`");
        let cases: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(index, case)| Case {
                index,
                fields: case.as_object().cloned().unwrap_or_else(|| panic!("case {index} is no object")),
            })
            .collect();
        assert!(!cases.is_empty(), "vectors without a case");
        Self { root, cases }
    }

    /// Where the values are from.
    #[must_use]
    pub fn source(&self) -> &str {
        self.root.get("source").and_then(Value::as_str).unwrap_or_default()
    }

    /// A field beside `cases`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.root.get(name)
    }

    /// The cases in the file's order.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

impl Case {
    /// Where in the file the case is, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// A field of any kind, if it is there and not null.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field of octets in hex.
    ///
    /// # Panics
    /// If it is missing or no hex.
    #[must_use]
    pub fn octets(&self, name: &str) -> Vec<u8> {
        self.optional_octets(name).unwrap_or_else(|| self.missing(name))
    }

    /// A field of octets in hex, if it is there.
    ///
    /// # Panics
    /// If it is no hex.
    #[must_use]
    pub fn optional_octets(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.value(name)?.as_str().unwrap_or_else(|| self.wrong(name, "a string"));
        Some(hex::decode(text).unwrap_or_else(|_| self.wrong(name, "hex")))
    }

    /// A field of text.
    ///
    /// # Panics
    /// If it is missing or no string.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let value = self.value(name).unwrap_or_else(|| self.missing(name));
        value.as_str().unwrap_or_else(|| self.wrong(name, "a string"))
    }

    /// A field with a number.
    ///
    /// # Panics
    /// If it is missing or no whole number.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let value = self.value(name).unwrap_or_else(|| self.missing(name));
        value.as_u64().unwrap_or_else(|| self.wrong(name, "a number"))
    }

    /// A field that is true or false; false if it is missing.
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_bool().unwrap_or_else(|| self.wrong(name, "a boolean")))
    }

    fn missing<T>(&self, name: &str) -> T {
        panic!("case {} has no field `{name}`", self.index)
    }

    fn wrong<T>(&self, name: &str, expected: &str) -> T {
        panic!("case {}: field `{name}` is not {expected}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"source": "s", "cases": [{"k": "00ff", "n": 3, "t": "x", "f": true, "e": null}]}"#;

    #[test]
    fn fields_are_read_by_kind() {
        let vectors = Vectors::parse(FILE);
        let case = &vectors.cases()[0];
        assert_eq!(case.octets("k"), [0, 255]);
        assert_eq!((case.number("n"), case.text("t"), case.flag("f"), case.flag("g")), (3, "x", true, false));
        assert_eq!(case.optional_octets("e"), None);
    }

    #[test]
    #[should_panic(expected = "case 0 has no field `iv`")]
    fn a_missing_field_names_its_case() {
        let _ = Vectors::parse(FILE).cases()[0].octets("iv");
    }

    #[test]
    #[should_panic(expected = "vectors without a case")]
    fn a_file_without_cases_is_refused() {
        let _ = Vectors::parse(r#"{"cases": []}"#);
    }
}
