//! Key files in Wireshark's format, which strongSwan's save-keys plugin writes too.

use std::net::IpAddr;

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::{CipherKeys, CryptoProvider, PacketCipher};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};
use thiserror::Error;

/// Keys to decrypt with.
#[derive(Default)]
pub struct Keys {
    pub(super) ikev1: Vec<Ikev1Keys>,
    pub(super) ikev2: Vec<Ikev2Keys>,
    pub(super) esp: Vec<EspKeys>,
}

/// The key of an IKEv1 SA: `cookie,key`.
pub(super) struct Ikev1Keys {
    pub(super) initiator: IkeSpi,
    pub(super) key: Secret,
}

/// The keys of an IKEv2 SA: `SPIi,SPIr,SK_ei,SK_er,"encryption",SK_ai,SK_ar,"integrity"`.
pub(super) struct Ikev2Keys {
    pub(super) initiator: IkeSpi,
    pub(super) responder: IkeSpi,
    /// Of the initiator's direction.
    pub(super) from_initiator: Box<dyn PacketCipher>,
    /// Of the responder's direction.
    pub(super) from_responder: Box<dyn PacketCipher>,
}

/// The keys of an ESP SA:
/// `"IPv4","source","destination","SPI","encryption","key","integrity","key"`, and in newer files the length
/// of the sequence number and its upper half.
pub(super) struct EspKeys {
    /// `None` for any.
    pub(super) source: Option<IpAddr>,
    /// `None` for any.
    pub(super) destination: Option<IpAddr>,
    /// `None` for any.
    pub(super) spi: Option<u32>,
    pub(super) cipher: Box<dyn PacketCipher>,
    /// The upper half of extended sequence numbers.
    pub(super) esn_high: Option<u32>,
}

/// What is wrong with a key file.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct KeyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it. Keys are not repeated.
    pub problem: String,
}

impl Keys {
    /// Adds the IKE SAs of a file: lines of two fields are IKEv1's, lines of eight IKEv2's.
    ///
    /// # Errors
    /// The first line that is neither.
    pub fn add_ike(&mut self, text: &str) -> Result<(), KeyError> {
        for_each_line(text, |fields| match fields {
            [cookie, key] => {
                self.ikev1.push(Ikev1Keys { initiator: spi(cookie)?, key: Secret::new(hex(key)?) });
                Ok(())
            }
            [initiator, responder, sk_ei, sk_er, encryption, sk_ai, sk_ar, integrity] => {
                let [from_initiator, from_responder] = [(sk_ei, sk_ai), (sk_er, sk_ar)]
                    .map(|(sk_e, sk_a)| cipher(encryption, sk_e, integrity, sk_a));
                self.ikev2.push(Ikev2Keys {
                    initiator: spi(initiator)?,
                    responder: spi(responder)?,
                    from_initiator: from_initiator?,
                    from_responder: from_responder?,
                });
                Ok(())
            }
            _ => Err(format!("{} fields, not 2 (IKEv1) or 8 (IKEv2)", fields.len())),
        })
    }

    /// Adds the ESP SAs of a file.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn add_esp(&mut self, text: &str) -> Result<(), KeyError> {
        for_each_line(text, |fields| {
            let [
                _,
                source,
                destination,
                spi,
                encryption,
                encryption_key,
                integrity,
                integrity_key,
                rest @ ..,
            ] = fields
            else {
                return Err(format!("{} fields, not 8", fields.len()));
            };
            let esn_high = match rest {
                [length, high] if length == "64-bit" => {
                    Some(high.parse().map_err(|_| "upper sequence number is no number".to_owned())?)
                }
                _ => None,
            };
            self.esp.push(EspKeys {
                source: address(source)?,
                destination: address(destination)?,
                spi: number(spi)?,
                cipher: cipher(encryption, encryption_key, integrity, integrity_key)?,
                esn_high,
            });
            Ok(())
        })
    }
}

fn for_each_line(text: &str, mut line: impl FnMut(&[String]) -> Result<(), String>) -> Result<(), KeyError> {
    for (at, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        line(&split(content)).map_err(|problem| KeyError { line: at, problem })?;
    }
    Ok(())
}

/// Splits a line at its commas; fields may be in quotes, with commas in them.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

fn hex(field: &str) -> Result<Vec<u8>, String> {
    let digits = field.strip_prefix("0x").or_else(|| field.strip_prefix("0X")).unwrap_or(field);
    base16ct::mixed::decode_vec(digits).map_err(|_| "a key or SPI is not hex".to_owned())
}

fn spi(field: &str) -> Result<IkeSpi, String> {
    let octets = hex(field)?;
    let octets = octets.try_into().map_err(|_| "an IKE SPI does not have 8 octets".to_owned())?;
    Ok(IkeSpi(octets))
}

fn address(field: &str) -> Result<Option<IpAddr>, String> {
    if field == "*" {
        return Ok(None);
    }
    field.parse().map(Some).map_err(|_| "an address is neither an IP address nor *".to_owned())
}

fn number(field: &str) -> Result<Option<u32>, String> {
    if field == "*" {
        return Ok(None);
    }
    let parsed = match field.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => field.parse(),
    };
    parsed.map(Some).map_err(|_| "the SPI is no number".to_owned())
}

fn cipher(
    encryption: &str,
    encryption_key: &str,
    integrity: &str,
    integrity_key: &str,
) -> Result<Box<dyn PacketCipher>, String> {
    let (encryption_key, integrity_key) =
        (Secret::new(hex(encryption_key)?), Secret::new(hex(integrity_key)?));
    let (integrity, icv_octets) = integrity_of(integrity)?;
    let encryption = encryption_of(encryption, encryption_key.len(), icv_octets)?;
    let keys = CipherKeys { encryption: encryption_key.expose(), integrity: integrity_key.expose() };
    let integrity = integrity.filter(|_| !encryption.is_aead());
    CryptoProvider::fastest().packet_cipher(encryption, integrity, &keys).map_err(|error| error.to_string())
}

/// Wireshark's names in capitals, without the RFC in brackets behind them.
fn plain(name: &str) -> String {
    name.split('[').next().unwrap_or_default().trim().to_ascii_uppercase()
}

/// The algorithm that Wireshark means; the key's length says how many bits it has, the salt included.
fn encryption_of(name: &str, key_len: usize, icv_octets: Option<usize>) -> Result<Encryption, String> {
    let plain = plain(name);
    let icv = plain
        .split_once(" WITH ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .or(icv_octets)
        .unwrap_or(16);
    let bits = |salt| u16::try_from(key_len.saturating_sub(salt).saturating_mul(8)).unwrap_or(0);
    let (id, key_bits) = if plain.contains("GCM") {
        let id = match icv {
            8 => EncryptionId::AES_GCM_8,
            12 => EncryptionId::AES_GCM_12,
            _ => EncryptionId::AES_GCM_16,
        };
        (id, bits(4))
    } else if plain.contains("CCM") {
        let id = match icv {
            8 => EncryptionId::AES_CCM_8,
            12 => EncryptionId::AES_CCM_12,
            _ => EncryptionId::AES_CCM_16,
        };
        (id, bits(3))
    } else if plain.contains("CHACHA20") {
        (EncryptionId::CHACHA20_POLY1305, 0)
    } else if plain.starts_with("AES-CBC") {
        (EncryptionId::AES_CBC, bits(0))
    } else if plain.starts_with("AES-CTR") {
        (EncryptionId::AES_CTR, bits(4))
    } else if plain.starts_with("3DES") || plain.starts_with("TRIPLEDES") {
        (EncryptionId::TRIPLE_DES, 0)
    } else if plain.starts_with("NULL") {
        (EncryptionId::NULL, 0)
    } else {
        return Err(format!("encryption {name:?} is not known"));
    };
    Ok(Encryption { id, key_bits })
}

/// The algorithm that Wireshark means, or the length of the ICV where it only says that.
fn integrity_of(name: &str) -> Result<(Option<IntegrityId>, Option<usize>), String> {
    let words: String = plain(name).chars().filter(char::is_ascii_alphanumeric).collect();
    let id = match words.as_str() {
        "" | "NONE" | "NULL" => return Ok((None, None)),
        "HMACMD596" => IntegrityId::HMAC_MD5_96,
        "HMACSHA196" => IntegrityId::HMAC_SHA1_96,
        "HMACSHA2256128" | "HMACSHA256128" => IntegrityId::HMAC_SHA2_256_128,
        "HMACSHA2384192" | "HMACSHA384192" => IntegrityId::HMAC_SHA2_384_192,
        "HMACSHA2512256" | "HMACSHA512256" => IntegrityId::HMAC_SHA2_512_256,
        "AESXCBCMAC96" | "AESXCBC96" => IntegrityId::AES_XCBC_96,
        "AESCMAC96" => IntegrityId::AES_CMAC_96,
        _ => {
            let bits = words
                .strip_prefix("ANY")
                .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            let bits: usize = bits
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| format!("integrity {name:?} is not known"))?;
            return Ok((None, Some(bits / 8)));
        }
    };
    Ok((Some(id), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_versions_are_told_apart_by_their_fields() {
        let mut keys = Keys::default();
        let text = format!(
            "# a comment\n\n0102030405060708,{k16}\n\
             0102030405060708,1112131415161718,{k16},{k16},\"AES-CBC-128 [RFC3602]\",{k32},{k32},\"HMAC_SHA2_256_128 [RFC4868]\"\n",
            k16 = "ab".repeat(16),
            k32 = "cd".repeat(32),
        );
        keys.add_ike(&text).unwrap();
        assert_eq!((keys.ikev1.len(), keys.ikev2.len()), (1, 1));
        assert_eq!(keys.ikev2[0].responder, IkeSpi([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]));
    }

    #[test]
    fn esp_lines_may_have_wildcards_and_extended_sequence_numbers() {
        let mut keys = Keys::default();
        let key = "0x".to_owned() + &"ab".repeat(20);
        keys.add_esp(&format!(
            "\"IPv4\",\"*\",\"10.0.0.1\",\"0x00000100\",\"AES-GCM [RFC4106]\",\"{key}\",\
             \"ANY 128 bit authentication [no checking]\",\"0x\",\"64-bit\",\"7\"\n"
        ))
        .unwrap();
        let entry = &keys.esp[0];
        assert_eq!((entry.source, entry.destination), (None, Some([10, 0, 0, 1].into())));
        assert_eq!((entry.spi, entry.esn_high), (Some(256), Some(7)));
        assert_eq!(entry.cipher.shape().icv_len, 16);
    }

    #[test]
    fn the_names_that_wireshark_and_strongswan_write_are_understood() {
        for (name, key_len, id, key_bits) in [
            ("AES-CBC-256 [RFC3602]", 32, EncryptionId::AES_CBC, 256),
            ("AES-CBC [RFC3602]", 16, EncryptionId::AES_CBC, 128),
            ("AES-CTR-192 [RFC5930]", 28, EncryptionId::AES_CTR, 192),
            ("AES-GCM-128 with 8 octet ICV [RFC5282]", 20, EncryptionId::AES_GCM_8, 128),
            ("AES-GCM-256 with 12 octet ICV [RFC5282]", 36, EncryptionId::AES_GCM_12, 256),
            ("AES-GCM [RFC4106]", 36, EncryptionId::AES_GCM_16, 256),
            ("AES-CCM-128 with 16 octet ICV [RFC5282]", 19, EncryptionId::AES_CCM_16, 128),
            ("ChaCha20 with Poly1305 [RFC7634]", 36, EncryptionId::CHACHA20_POLY1305, 0),
            ("TripleDes-CBC [RFC2451]", 24, EncryptionId::TRIPLE_DES, 0),
            ("NULL", 0, EncryptionId::NULL, 0),
        ] {
            assert_eq!(encryption_of(name, key_len, None), Ok(Encryption { id, key_bits }), "{name}");
        }
        for (name, id) in [
            ("HMAC_SHA1_96 [RFC2404]", IntegrityId::HMAC_SHA1_96),
            ("HMAC-SHA-1-96 [RFC2404]", IntegrityId::HMAC_SHA1_96),
            ("HMAC_SHA2_384_192 [RFC4868]", IntegrityId::HMAC_SHA2_384_192),
            ("HMAC-SHA-512-256 [RFC4868]", IntegrityId::HMAC_SHA2_512_256),
        ] {
            assert_eq!(integrity_of(name), Ok((Some(id), None)), "{name}");
        }
    }

    #[test]
    fn bad_lines_are_named_and_their_keys_are_not_repeated() {
        for bad in [
            "0102030405060708",
            "01020304050607,00",
            "0102030405060708,secretsecret",
            "0102030405060708,1112131415161718,00,00,\"ROT13\",00,00,\"NONE\"",
            "0102030405060708,1112131415161718,00,00,\"AES-CBC-128\",00,00,\"HMAC_SHA1_96\"",
        ] {
            let error = Keys::default().add_ike(&format!("# first\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
            assert!(!error.to_string().contains("secretsecret"), "{error}");
        }
    }
}
