//! Names of algorithms as users of strongSwan write them, and for what it has no name (implicit IVs) the name of the
//! same algorithm with `iiv` behind it.

use crate::properties::Encryption;
use crate::registries::{EncryptionId, IntegrityId, KeyExchangeId, PrfId, SequenceNumbersId};

/// What one keyword stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Encryption(Encryption),
    Prf(PrfId),
    Integrity(IntegrityId),
    KeyExchange(KeyExchangeId),
    /// The additional key exchange at this position, from 0.
    Additional(usize, KeyExchangeId),
    Sequence(SequenceNumbersId),
}

const fn e(id: EncryptionId, key_bits: u16) -> Meaning {
    Meaning::Encryption(Encryption::new(id, key_bits))
}

const fn i(id: IntegrityId) -> Meaning {
    Meaning::Integrity(id)
}

const fn p(id: PrfId) -> Meaning {
    Meaning::Prf(id)
}

const fn k(id: KeyExchangeId) -> Meaning {
    Meaning::KeyExchange(id)
}

/// Every keyword. Of several for one meaning, the first is the one that is printed.
static TABLE: &[(&str, Meaning)] = &[
    ("null", e(EncryptionId::NULL, 0)),
    ("des", e(EncryptionId::DES, 0)),
    ("3des", e(EncryptionId::TRIPLE_DES, 0)),
    ("blowfish128", e(EncryptionId::BLOWFISH, 128)),
    ("blowfish", e(EncryptionId::BLOWFISH, 128)),
    ("blowfish192", e(EncryptionId::BLOWFISH, 192)),
    ("blowfish256", e(EncryptionId::BLOWFISH, 256)),
    ("cast128", e(EncryptionId::CAST, 128)),
    ("aes128", e(EncryptionId::AES_CBC, 128)),
    ("aes", e(EncryptionId::AES_CBC, 128)),
    ("aes192", e(EncryptionId::AES_CBC, 192)),
    ("aes256", e(EncryptionId::AES_CBC, 256)),
    ("aes128ctr", e(EncryptionId::AES_CTR, 128)),
    ("aes192ctr", e(EncryptionId::AES_CTR, 192)),
    ("aes256ctr", e(EncryptionId::AES_CTR, 256)),
    ("aes128ccm8", e(EncryptionId::AES_CCM_8, 128)),
    ("aes128ccm64", e(EncryptionId::AES_CCM_8, 128)),
    ("aes128ccm12", e(EncryptionId::AES_CCM_12, 128)),
    ("aes128ccm96", e(EncryptionId::AES_CCM_12, 128)),
    ("aes128ccm16", e(EncryptionId::AES_CCM_16, 128)),
    ("aes128ccm128", e(EncryptionId::AES_CCM_16, 128)),
    ("aes128ccm", e(EncryptionId::AES_CCM_16, 128)),
    ("aes192ccm8", e(EncryptionId::AES_CCM_8, 192)),
    ("aes192ccm64", e(EncryptionId::AES_CCM_8, 192)),
    ("aes192ccm12", e(EncryptionId::AES_CCM_12, 192)),
    ("aes192ccm96", e(EncryptionId::AES_CCM_12, 192)),
    ("aes192ccm16", e(EncryptionId::AES_CCM_16, 192)),
    ("aes192ccm128", e(EncryptionId::AES_CCM_16, 192)),
    ("aes192ccm", e(EncryptionId::AES_CCM_16, 192)),
    ("aes256ccm8", e(EncryptionId::AES_CCM_8, 256)),
    ("aes256ccm64", e(EncryptionId::AES_CCM_8, 256)),
    ("aes256ccm12", e(EncryptionId::AES_CCM_12, 256)),
    ("aes256ccm96", e(EncryptionId::AES_CCM_12, 256)),
    ("aes256ccm16", e(EncryptionId::AES_CCM_16, 256)),
    ("aes256ccm128", e(EncryptionId::AES_CCM_16, 256)),
    ("aes256ccm", e(EncryptionId::AES_CCM_16, 256)),
    ("aes128gcm8", e(EncryptionId::AES_GCM_8, 128)),
    ("aes128gcm64", e(EncryptionId::AES_GCM_8, 128)),
    ("aes128gcm12", e(EncryptionId::AES_GCM_12, 128)),
    ("aes128gcm96", e(EncryptionId::AES_GCM_12, 128)),
    ("aes128gcm16", e(EncryptionId::AES_GCM_16, 128)),
    ("aes128gcm128", e(EncryptionId::AES_GCM_16, 128)),
    ("aes128gcm", e(EncryptionId::AES_GCM_16, 128)),
    ("aes192gcm8", e(EncryptionId::AES_GCM_8, 192)),
    ("aes192gcm64", e(EncryptionId::AES_GCM_8, 192)),
    ("aes192gcm12", e(EncryptionId::AES_GCM_12, 192)),
    ("aes192gcm96", e(EncryptionId::AES_GCM_12, 192)),
    ("aes192gcm16", e(EncryptionId::AES_GCM_16, 192)),
    ("aes192gcm128", e(EncryptionId::AES_GCM_16, 192)),
    ("aes192gcm", e(EncryptionId::AES_GCM_16, 192)),
    ("aes256gcm8", e(EncryptionId::AES_GCM_8, 256)),
    ("aes256gcm64", e(EncryptionId::AES_GCM_8, 256)),
    ("aes256gcm12", e(EncryptionId::AES_GCM_12, 256)),
    ("aes256gcm96", e(EncryptionId::AES_GCM_12, 256)),
    ("aes256gcm16", e(EncryptionId::AES_GCM_16, 256)),
    ("aes256gcm128", e(EncryptionId::AES_GCM_16, 256)),
    ("aes256gcm", e(EncryptionId::AES_GCM_16, 256)),
    ("aes128gmac", e(EncryptionId::NULL_AUTH_AES_GMAC, 128)),
    ("aes192gmac", e(EncryptionId::NULL_AUTH_AES_GMAC, 192)),
    ("aes256gmac", e(EncryptionId::NULL_AUTH_AES_GMAC, 256)),
    ("aes128ccm8iiv", e(EncryptionId::AES_CCM_8_IIV, 128)),
    ("aes192ccm8iiv", e(EncryptionId::AES_CCM_8_IIV, 192)),
    ("aes256ccm8iiv", e(EncryptionId::AES_CCM_8_IIV, 256)),
    ("aes128gcm16iiv", e(EncryptionId::AES_GCM_16_IIV, 128)),
    ("aes192gcm16iiv", e(EncryptionId::AES_GCM_16_IIV, 192)),
    ("aes256gcm16iiv", e(EncryptionId::AES_GCM_16_IIV, 256)),
    ("chacha20poly1305iiv", e(EncryptionId::CHACHA20_POLY1305_IIV, 0)),
    ("chacha20poly1305", e(EncryptionId::CHACHA20_POLY1305, 0)),
    ("camellia128", e(EncryptionId::CAMELLIA_CBC, 128)),
    ("camellia", e(EncryptionId::CAMELLIA_CBC, 128)),
    ("camellia192", e(EncryptionId::CAMELLIA_CBC, 192)),
    ("camellia256", e(EncryptionId::CAMELLIA_CBC, 256)),
    ("camellia128ctr", e(EncryptionId::CAMELLIA_CTR, 128)),
    ("camellia192ctr", e(EncryptionId::CAMELLIA_CTR, 192)),
    ("camellia256ctr", e(EncryptionId::CAMELLIA_CTR, 256)),
    ("camellia128ccm8", e(EncryptionId::CAMELLIA_CCM_8, 128)),
    ("camellia192ccm8", e(EncryptionId::CAMELLIA_CCM_8, 192)),
    ("camellia256ccm8", e(EncryptionId::CAMELLIA_CCM_8, 256)),
    ("camellia128ccm12", e(EncryptionId::CAMELLIA_CCM_12, 128)),
    ("camellia192ccm12", e(EncryptionId::CAMELLIA_CCM_12, 192)),
    ("camellia256ccm12", e(EncryptionId::CAMELLIA_CCM_12, 256)),
    ("camellia128ccm16", e(EncryptionId::CAMELLIA_CCM_16, 128)),
    ("camellia192ccm16", e(EncryptionId::CAMELLIA_CCM_16, 192)),
    ("camellia256ccm16", e(EncryptionId::CAMELLIA_CCM_16, 256)),
    ("md5", i(IntegrityId::HMAC_MD5_96)),
    ("md5_128", i(IntegrityId::HMAC_MD5_128)),
    ("sha1", i(IntegrityId::HMAC_SHA1_96)),
    ("sha", i(IntegrityId::HMAC_SHA1_96)),
    ("sha1_160", i(IntegrityId::HMAC_SHA1_160)),
    ("sha256", i(IntegrityId::HMAC_SHA2_256_128)),
    ("sha2_256", i(IntegrityId::HMAC_SHA2_256_128)),
    ("sha384", i(IntegrityId::HMAC_SHA2_384_192)),
    ("sha2_384", i(IntegrityId::HMAC_SHA2_384_192)),
    ("sha512", i(IntegrityId::HMAC_SHA2_512_256)),
    ("sha2_512", i(IntegrityId::HMAC_SHA2_512_256)),
    ("aesxcbc", i(IntegrityId::AES_XCBC_96)),
    ("aescmac", i(IntegrityId::AES_CMAC_96)),
    ("prfmd5", p(PrfId::HMAC_MD5)),
    ("prfsha1", p(PrfId::HMAC_SHA1)),
    ("prfsha256", p(PrfId::HMAC_SHA2_256)),
    ("prfsha2_256", p(PrfId::HMAC_SHA2_256)),
    ("prfsha384", p(PrfId::HMAC_SHA2_384)),
    ("prfsha2_384", p(PrfId::HMAC_SHA2_384)),
    ("prfsha512", p(PrfId::HMAC_SHA2_512)),
    ("prfsha2_512", p(PrfId::HMAC_SHA2_512)),
    ("prfaesxcbc", p(PrfId::AES128_XCBC)),
    ("prfaescmac", p(PrfId::AES128_CMAC)),
    ("none", k(KeyExchangeId::NONE)),
    ("modpnone", k(KeyExchangeId::NONE)),
    ("modp768", k(KeyExchangeId::MODP_768)),
    ("modp1024", k(KeyExchangeId::MODP_1024)),
    ("modp1536", k(KeyExchangeId::MODP_1536)),
    ("modp2048", k(KeyExchangeId::MODP_2048)),
    ("modp3072", k(KeyExchangeId::MODP_3072)),
    ("modp4096", k(KeyExchangeId::MODP_4096)),
    ("modp6144", k(KeyExchangeId::MODP_6144)),
    ("modp8192", k(KeyExchangeId::MODP_8192)),
    ("modp1024s160", k(KeyExchangeId::MODP_1024_S160)),
    ("modp2048s224", k(KeyExchangeId::MODP_2048_S224)),
    ("modp2048s256", k(KeyExchangeId::MODP_2048_S256)),
    ("ecp192", k(KeyExchangeId::ECP_192)),
    ("ecp224", k(KeyExchangeId::ECP_224)),
    ("ecp256", k(KeyExchangeId::ECP_256)),
    ("ecp384", k(KeyExchangeId::ECP_384)),
    ("ecp521", k(KeyExchangeId::ECP_521)),
    ("ecp224bp", k(KeyExchangeId::BRAINPOOL_P224R1)),
    ("ecp256bp", k(KeyExchangeId::BRAINPOOL_P256R1)),
    ("ecp384bp", k(KeyExchangeId::BRAINPOOL_P384R1)),
    ("ecp512bp", k(KeyExchangeId::BRAINPOOL_P512R1)),
    ("curve25519", k(KeyExchangeId::CURVE25519)),
    ("x25519", k(KeyExchangeId::CURVE25519)),
    ("curve448", k(KeyExchangeId::CURVE448)),
    ("x448", k(KeyExchangeId::CURVE448)),
    ("mlkem512", k(KeyExchangeId::ML_KEM_512)),
    ("mlkem768", k(KeyExchangeId::ML_KEM_768)),
    ("mlkem1024", k(KeyExchangeId::ML_KEM_1024)),
    ("noesn", Meaning::Sequence(SequenceNumbersId::NO_ESN)),
    ("esn", Meaning::Sequence(SequenceNumbersId::ESN)),
];

/// Cuts `ke3_` off the front of a keyword; the position counts from 0.
fn additional_prefix(keyword: &str) -> Option<(usize, &str)> {
    let (prefix, rest) = keyword.split_once('_')?;
    let position = match prefix {
        "ke1" => 0,
        "ke2" => 1,
        "ke3" => 2,
        "ke4" => 3,
        "ke5" => 4,
        "ke6" => 5,
        "ke7" => 6,
        _ => return None,
    };
    Some((position, rest))
}

/// What `keyword` means; upper and lower case are the same.
pub(crate) fn parse(keyword: &str) -> Option<Meaning> {
    let plain = |word: &str| {
        TABLE.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, meaning)| meaning)
    };
    if let Some(meaning) = plain(keyword) {
        return Some(meaning);
    }
    let lower = keyword.to_ascii_lowercase();
    match additional_prefix(&lower).map(|(position, rest)| (position, plain(rest))) {
        Some((position, Some(Meaning::KeyExchange(id)))) => Some(Meaning::Additional(position, id)),
        _ => None,
    }
}

/// The known keyword that takes the fewest edits to reach from `keyword`, if that is few at all.
pub(crate) fn nearest(keyword: &str) -> Option<&'static str> {
    // Long garbage resembles nothing, and the comparison is quadratic.
    if keyword.len() > 32 {
        return None;
    }
    let lower = keyword.to_ascii_lowercase();
    let (best, edits) =
        TABLE.iter().map(|&(name, _)| (name, distance(&lower, name))).min_by_key(|&(_, edits)| edits)?;
    (edits <= lower.len().div_ceil(2)).then_some(best)
}

/// Levenshtein's distance in octets.
fn distance(a: &str, b: &str) -> usize {
    let mut row: alloc::vec::Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(left + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn of(wanted: Meaning) -> Option<&'static str> {
    TABLE.iter().find(|(_, meaning)| *meaning == wanted).map(|&(name, _)| name)
}

pub(crate) fn of_encryption(encryption: Encryption) -> Option<&'static str> {
    of(Meaning::Encryption(encryption))
}

pub(crate) fn of_prf(id: PrfId) -> Option<&'static str> {
    of(Meaning::Prf(id))
}

pub(crate) fn of_integrity(id: IntegrityId) -> Option<&'static str> {
    of(Meaning::Integrity(id))
}

pub(crate) fn of_key_exchange(id: KeyExchangeId) -> Option<&'static str> {
    of(Meaning::KeyExchange(id))
}

pub(crate) fn of_sequence(id: SequenceNumbersId) -> Option<&'static str> {
    of(Meaning::Sequence(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_means_what_the_table_says_in_either_case() {
        for &(name, meaning) in TABLE {
            assert_eq!(parse(name), Some(meaning), "{name}");
            assert_eq!(parse(&name.to_ascii_uppercase()), Some(meaning), "{name}");
        }
    }

    #[test]
    fn no_keyword_is_listed_twice() {
        for (at, (name, _)) in TABLE.iter().enumerate() {
            assert!(TABLE.iter().skip(at + 1).all(|(other, _)| other != name), "{name}");
        }
    }

    #[test]
    fn every_encryption_keyword_has_a_possible_key_length() {
        for &(name, meaning) in TABLE {
            if let Meaning::Encryption(encryption) = meaning {
                assert!(encryption.key_len().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_misspelt_keyword_finds_its_neighbour() {
        assert_eq!(nearest("aes129"), Some("aes128"));
        assert_eq!(nearest("sha-256"), Some("sha256"));
        assert_eq!(nearest("modp2047"), Some("modp2048"));
        assert_eq!(nearest("curve22519"), Some("curve25519"));
        assert_eq!(nearest("zzzzzzzzzzzz"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn edit_distance_counts_insertions_removals_and_replacements() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("esn", "noesn"), 2);
    }

    #[test]
    fn only_key_exchanges_can_be_additional() {
        assert_eq!(parse("ke1_mlkem768"), Some(Meaning::Additional(0, KeyExchangeId::ML_KEM_768)));
        assert_eq!(parse("KE7_none"), Some(Meaning::Additional(6, KeyExchangeId::NONE)));
        assert_eq!(parse("ke8_mlkem768"), None);
        assert_eq!(parse("ke1_aes128"), None);
    }
}
