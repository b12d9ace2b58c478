//! Octets as text that is safe to print.

use std::fmt::Write as _;

/// How many octets are written out before the rest is only counted.
const SHOWN: usize = 32;

/// Octets in hex, the end of long ones left out.
pub(super) fn hex(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::new();
    for octet in octets.iter().take(SHOWN) {
        let _ = write!(text, "{octet:02x}");
    }
    if octets.len() > SHOWN {
        let _ = write!(text, "... ({} octets)", octets.len());
    }
    text
}

/// Octets in hex, all of them.
pub(super) fn hex_whole(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A stranger's text in quotes: whatever is not plain ASCII is escaped, and long text is cut.
pub(super) fn quoted(octets: &[u8]) -> String {
    const MOST: usize = 200;
    let mut text = String::from("\"");
    for octet in octets.iter().take(MOST) {
        match octet {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*octet));
            }
            0x20..=0x7e => text.push(char::from(*octet)),
            other => {
                let _ = write!(text, "\\x{other:02x}");
            }
        }
    }
    text.push('"');
    if octets.len() > MOST {
        let _ = write!(text, "... ({} octets)", octets.len());
    }
    text
}

/// Text where it is text, hex where it is not.
pub(super) fn text_or_hex(octets: &[u8]) -> String {
    let is_text = !octets.is_empty() && octets.iter().all(|octet| matches!(octet, 0x20..=0x7e));
    if is_text { quoted(octets) } else { hex(octets) }
}

/// A number with its unit.
pub(super) fn octets(count: usize) -> String {
    match count {
        1 => "1 octet".to_owned(),
        _ => format!("{count} octets"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_quotes_and_escapes_do_not_get_through() {
        assert_eq!(quoted(b"a\"b\\c\n\x1b[31m\xff"), r#""a\"b\\c\x0a\x1b[31m\xff""#);
        assert_eq!(text_or_hex(b"plain"), "\"plain\"");
        assert_eq!(text_or_hex(b"not\0plain"), "6e6f7400706c61696e");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert!(quoted(&[b'a'; 65_000]).len() < 300);
        assert!(hex(&[0; 65_000]).len() < 100);
    }
}
