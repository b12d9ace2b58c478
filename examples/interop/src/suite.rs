//! Proposals in the words of each peer's configuration language.

use anyhow::{Result, bail};

/// One proposal, taken apart. Scenarios write proposals as strongSwan users do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    cipher: String,
    integrity: Option<String>,
    prf: Option<String>,
    group: Option<String>,
    esn: bool,
}

/// strongSwan, libreswan, OpenIKED.
const CIPHERS: &[(&str, &str, &str)] = &[
    ("aes128", "aes128", "aes-128"),
    ("aes192", "aes192", "aes-192"),
    ("aes256", "aes256", "aes-256"),
    ("aes128gcm16", "aes_gcm128", "aes-128-gcm"),
    ("aes256gcm16", "aes_gcm256", "aes-256-gcm"),
    ("chacha20poly1305", "chacha20_poly1305", "chacha20-poly1305"),
];
const HASHES: &[(&str, &str, &str)] = &[
    ("sha1", "sha1", "hmac-sha1"),
    ("sha256", "sha2_256", "hmac-sha2-256"),
    ("sha384", "sha2_384", "hmac-sha2-384"),
    ("sha512", "sha2_512", "hmac-sha2-512"),
];
const GROUPS: &[(&str, &str, &str)] = &[
    ("modp2048", "modp2048", "modp2048"),
    ("modp3072", "modp3072", "modp3072"),
    ("modp4096", "modp4096", "modp4096"),
    ("ecp256", "dh19", "ecp256"),
    ("ecp384", "dh20", "ecp384"),
    ("ecp521", "dh21", "ecp521"),
    ("curve25519", "dh31", "curve25519"),
];

type Row = (&'static str, &'static str, &'static str);

fn find(table: &'static [Row], word: &str) -> Option<&'static Row> {
    table.iter().find(|row| row.0 == word)
}

impl Suite {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut words = text.trim().split('-');
        let cipher = words.next().unwrap_or_default().to_owned();
        if find(CIPHERS, &cipher).is_none() {
            bail!("no translation for the cipher in {text:?}");
        }
        let mut suite = Self { cipher, integrity: None, prf: None, group: None, esn: false };
        for word in words {
            if let Some(hash) = word.strip_prefix("prf") {
                if find(HASHES, hash).is_none() {
                    bail!("no translation for {word:?} in {text:?}");
                }
                suite.prf = Some(hash.to_owned());
            } else if find(HASHES, word).is_some() {
                suite.integrity = Some(word.to_owned());
            } else if find(GROUPS, word).is_some() {
                suite.group = Some(word.to_owned());
            } else if word == "esn" || word == "noesn" {
                suite.esn = word == "esn";
            } else {
                bail!("no translation for {word:?} in {text:?}");
            }
        }
        Ok(suite)
    }

    /// Parses a list separated by commas.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>> {
        text.split(',').map(Self::parse).collect()
    }

    pub(crate) fn esn(&self) -> bool {
        self.esn
    }

    /// `aes128-sha2_256-modp2048`: the hash is the PRF of an AEAD cipher.
    pub(crate) fn libreswan(&self) -> String {
        let hash = self.integrity.as_ref().or(self.prf.as_ref());
        let words = [
            find(CIPHERS, &self.cipher).map(|row| row.1),
            hash.and_then(|hash| find(HASHES, hash)).map(|row| row.1),
            self.group.as_ref().and_then(|group| find(GROUPS, group)).map(|row| row.1),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("-")
    }

    /// The clauses after `ikesa` or `childsa`.
    pub(crate) fn openiked(&self, is_ike: bool) -> String {
        let hash = |hash: &Option<String>| {
            hash.as_ref().and_then(|hash| find(HASHES, hash)).map(|row| row.2).unwrap_or_default()
        };
        let mut text = String::new();
        if self.integrity.is_some() {
            text.push_str(&format!("auth {} ", hash(&self.integrity)));
        }
        text.push_str(&format!("enc {}", find(CIPHERS, &self.cipher).map_or("", |row| row.2)));
        if is_ike {
            let prf = if self.prf.is_some() { &self.prf } else { &self.integrity };
            text.push_str(&format!(" prf {}", hash(prf)));
        }
        if let Some(row) = self.group.as_ref().and_then(|group| find(GROUPS, group)) {
            text.push_str(&format!(" group {}", row.2));
        }
        // Without a word it takes what the other end wants.
        if self.esn {
            text.push_str(" esn");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ike_proposal_reads_the_same_in_every_language() {
        let suite = Suite::parse("aes128-sha256-modp2048").unwrap();
        assert_eq!(suite.libreswan(), "aes128-sha2_256-modp2048");
        assert_eq!(suite.openiked(true), "auth hmac-sha2-256 enc aes-128 prf hmac-sha2-256 group modp2048");
    }

    #[test]
    fn the_prf_of_an_aead_proposal_is_named() {
        let suite = Suite::parse("aes256gcm16-prfsha384-ecp384").unwrap();
        assert_eq!(suite.libreswan(), "aes_gcm256-sha2_384-dh20");
        assert_eq!(suite.openiked(true), "enc aes-256-gcm prf hmac-sha2-384 group ecp384");
    }

    #[test]
    fn a_word_without_translation_is_refused() {
        assert!(Suite::parse("aes128-sha256-modp2048s256").is_err());
    }
}
