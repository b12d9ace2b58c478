//! SAs of both kinds, and the same as scapy names them.

use std::net::IpAddr;

use anyhow::{Context, Result, anyhow, bail};
use ikebana_core::{EspSpi, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    AhParams, EspParams, InboundAh, InboundSa, Mode, OutboundAh, OutboundSa, PacketBuf, UdpPorts,
};
use ikebana_proposals::{ChildSuite, EncryptionId, IntegrityId, KeyExchangeId, Proposal, ProtocolId};
use ikebana_testkit::SeededRng;

use super::oracle::{Association, to_hex};
use super::packet;
use crate::scenario::Family;

/// Ciphers without integrity of their own.
const CIPHERS: [&str; 8] =
    ["null", "3des", "aes128", "aes192", "aes256", "aes128ctr", "aes192ctr", "aes256ctr"];
/// scapy does not know AES-XCBC.
const INTEGRITY: [&str; 6] = ["md5", "sha1", "sha256", "sha384", "sha512", "aescmac"];
/// scapy's AES-GCM has no shorter ICVs.
const COMBINED: [&str; 16] = [
    "aes128gcm16",
    "aes192gcm16",
    "aes256gcm16",
    "aes128gmac",
    "aes192gmac",
    "aes256gmac",
    "aes128ccm8",
    "aes128ccm12",
    "aes128ccm16",
    "aes192ccm8",
    "aes192ccm12",
    "aes192ccm16",
    "aes256ccm8",
    "aes256ccm12",
    "aes256ccm16",
    "chacha20poly1305",
];

/// Algorithms that both ends know.
pub(super) struct Suite {
    pub(super) name: String,
    suite: ChildSuite,
}

/// Every suite of ESP and AH that both ends know.
pub(super) fn suites() -> Result<Vec<Suite>> {
    let provider = CryptoProvider::rust_crypto();
    let mut suites = Vec::new();
    let mut add = |name: String, proposal: Proposal| {
        let suite = ChildSuite {
            protocol: proposal.protocol,
            encryption: proposal.encryption.first().copied(),
            integrity: proposal.integrity.first().copied(),
            key_exchange: None,
            additional: [KeyExchangeId::NONE; 7],
            esn: false,
        };
        if provider.supports(suite.encryption, suite.integrity) {
            suites.push(Suite { name, suite });
        }
    };
    for integrity in INTEGRITY {
        add(format!("ah {integrity}"), Proposal::ah(integrity)?);
        for cipher in CIPHERS {
            let keywords = format!("{cipher}-{integrity}");
            add(format!("esp {keywords}"), Proposal::esp(&keywords)?);
        }
    }
    for keyword in COMBINED {
        add(format!("esp {keyword}"), Proposal::esp(keyword)?);
    }
    Ok(suites)
}

/// How an SA carries packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) is_ah: bool,
    pub(super) transport: bool,
    pub(super) outer: Family,
    pub(super) inner: Family,
    pub(super) esn: bool,
    pub(super) udp: bool,
}

impl Shape {
    /// All that a suite can be used in.
    pub(super) fn all(suite: &Suite) -> Vec<Self> {
        let is_ah = suite.suite.protocol == ProtocolId::AH;
        let mut shapes = Vec::new();
        for outer in [Family::V4, Family::V6] {
            for inner in [Family::V4, Family::V6] {
                for (transport, esn) in [(false, false), (false, true), (true, false), (true, true)] {
                    for udp in [false, true] {
                        if (!transport || inner == outer) && !(udp && is_ah) {
                            shapes.push(Self { is_ah, transport, outer, inner, esn, udp });
                        }
                    }
                }
            }
        }
        shapes
    }
}

enum Ends {
    Esp(Box<(OutboundSa, InboundSa)>),
    Ah(Box<(OutboundAh, InboundAh)>),
}

/// Our two ends of an SA, and scapy's.
pub(super) struct Pair {
    pub(super) association: Association,
    pub(super) shape: Shape,
    ends: Ends,
    /// The last number that scapy used.
    last: u64,
}

impl Pair {
    pub(super) fn new(suite: &Suite, shape: Shape, rng: &mut SeededRng) -> Result<Self> {
        let provider = CryptoProvider::rust_crypto();
        let algorithms = ChildSuite { esn: shape.esn, ..suite.suite };
        let lengths = provider.key_lengths(algorithms.encryption, algorithms.integrity).context("no keys")?;
        let (encryption_key, integrity_key) = (rng.octets(lengths.encryption), rng.octets(lengths.integrity));
        let spi = u32::try_from(256 + rng.below(0xffff_0000))?;
        let (source, destination) = packet::ends(shape.outer);
        let association = Association {
            protocol: if shape.is_ah { "ah" } else { "esp" },
            spi,
            encryption: algorithms.encryption.map(|encryption| cipher_of(encryption.id)).transpose()?,
            encryption_key: to_hex(&encryption_key),
            integrity: algorithms.integrity.map(integrity_of).transpose()?,
            integrity_key: to_hex(&integrity_key),
            icv_len: algorithms
                .encryption
                .filter(|encryption| algorithms.integrity.is_none() && encryption.id != EncryptionId::NULL)
                .map(|encryption| encryption.id.icv_len()),
            tunnel: (!shape.transport).then_some((source, destination)),
            udp: shape.udp,
            esn: shape.esn,
        };
        let spi = EspSpi::new(spi).context("no SPI")?;
        let ends = (source, destination);
        let keys = (encryption_key, integrity_key);
        let mut ends = make(algorithms, shape, spi, &keys, ends, rng)?;
        // Numbers far up from the start: our receiver gets there by packets of our own.
        let last =
            if shape.esn { *rng.pick(&[0, 0xffff_fff0, 0x3_0000_0000]) } else { rng.below(0xffff_0000) };
        match &mut ends {
            Ends::Esp(ends) => ends.0.resume_after(last),
            Ends::Ah(ends) => ends.0.resume_after(last),
        }
        let mut pair = Self { association, shape, ends, last: 0 };
        pair.climb(algorithms, &keys, last, rng)?;
        Ok(pair)
    }

    /// Takes our receiver to a number, by packets of an SA of our own with the same keys.
    fn climb(
        &mut self,
        algorithms: ChildSuite,
        keys: &(Vec<u8>, Vec<u8>),
        last: u64,
        rng: &mut SeededRng,
    ) -> Result<()> {
        let spi = EspSpi::new(self.association.spi).context("no SPI")?;
        while self.last < last {
            let step = self.last.saturating_add(0xf000_0000).min(last);
            let mut other = make(algorithms, self.shape, spi, keys, packet::ends(self.shape.outer), rng)?;
            match &mut other {
                Ends::Esp(ends) => ends.0.resume_after(step - 1),
                Ends::Ah(ends) => ends.0.resume_after(step - 1),
            }
            let sample = packet::random(rng, self.shape.inner, false)?;
            let (sequence, wire) = seal(&mut other, &sample.octets)?;
            self.open(&wire).with_context(|| format!("climbing to {sequence}"))?;
            self.last = sequence;
        }
        Ok(())
    }

    /// Makes a packet of ours; returns its number with it.
    pub(super) fn seal(&mut self, packet: &[u8]) -> Result<(u64, Vec<u8>)> {
        seal(&mut self.ends, packet)
    }

    /// Opens a packet.
    pub(super) fn open(&mut self, wire: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = wire.to_vec();
        let mut packet = PacketBuf::full(&mut bytes);
        match &mut self.ends {
            Ends::Esp(ends) => ends.1.decapsulate_whole(&mut packet).map(|_| ()),
            Ends::Ah(ends) => ends.1.decapsulate_whole(&mut packet),
        }
        .map_err(|error| anyhow!("{error}"))?;
        Ok(packet.payload().to_vec())
    }

    /// A number for scapy that our receiver has not seen.
    pub(super) fn next_sequence(&mut self, rng: &mut SeededRng) -> Result<u64> {
        self.last += 1 + rng.below(20);
        Ok(self.last)
    }

    /// A packet with one bit changed that is protected: in what AH or ESP covers, not in outer headers.
    pub(super) fn change(&self, wire: &[u8], rng: &mut SeededRng) -> Result<Vec<u8>> {
        let mut changed = wire.to_vec();
        let protocol = if self.shape.is_ah { 51 } else { 50 };
        let start = start_of(wire, protocol).context("the packet has no AH or ESP")?;
        // Behind SPI and number; of AH behind all that says how long it is.
        let start = start + if self.shape.is_ah { 12 } else { 8 };
        let span = wire.len().checked_sub(start).filter(|span| *span > 0).context("nothing to change")?;
        let at = start + usize::try_from(rng.below(u64::try_from(span)?))?;
        let octet = changed.get_mut(at).context("out of the packet")?;
        *octet ^= 1 << rng.below(8);
        Ok(changed)
    }
}

/// Where AH or ESP starts.
fn start_of(wire: &[u8], protocol: u8) -> Option<usize> {
    let (mut next, mut at) = match *wire.first()? >> 4 {
        4 => (*wire.get(9)?, usize::from(*wire.first()? & 0x0f) * 4),
        _ => (*wire.get(6)?, 40),
    };
    while matches!(next, 0 | 43 | 60) {
        next = *wire.get(at)?;
        at += usize::from(*wire.get(at + 1)?) * 8 + 8;
    }
    match next {
        17 => Some(at + 8),
        found => (found == protocol).then_some(at),
    }
}

fn make(
    suite: ChildSuite,
    shape: Shape,
    spi: EspSpi,
    keys: &(Vec<u8>, Vec<u8>),
    (source, destination): (IpAddr, IpAddr),
    rng: &mut SeededRng,
) -> Result<Ends> {
    let provider = CryptoProvider::rust_crypto();
    let mode = if shape.transport { Mode::Transport } else { Mode::Tunnel };
    let wrong = |error| anyhow!("{error}");
    if shape.is_ah {
        let made = || {
            let key = Secret::from_slice(&keys.1);
            AhParams { mode, ..AhParams::tunnel(spi, suite, key, source, destination) }
        };
        let outbound = OutboundAh::new(made(), &provider).map_err(wrong)?;
        let inbound = InboundAh::new(made(), &provider).map_err(wrong)?;
        return Ok(Ends::Ah(Box::new((outbound, inbound))));
    }
    let made = || {
        let keys = [Secret::from_slice(&keys.0), Secret::from_slice(&keys.1)];
        let encapsulation = shape.udp.then_some(UdpPorts { source: 4500, destination: 4500 });
        EspParams { mode, encapsulation, ..EspParams::tunnel(spi, suite, keys, source, destination) }
    };
    let outbound = OutboundSa::new(made(), &provider, rng).map_err(wrong)?;
    let inbound = InboundSa::new(made(), &provider).map_err(wrong)?;
    Ok(Ends::Esp(Box::new((outbound, inbound))))
}

fn seal(ends: &mut Ends, original: &[u8]) -> Result<(u64, Vec<u8>)> {
    const ROOM: usize = 192;
    let mut bytes = vec![0; original.len() + 2 * ROOM];
    let range = ROOM..ROOM + original.len();
    bytes.get_mut(range.clone()).context("no room")?.copy_from_slice(original);
    let mut packet = PacketBuf::new(&mut bytes, range).context("no room")?;
    let (sealed, sequence) = match ends {
        Ends::Esp(ends) => (ends.0.encapsulate_whole(&mut packet, 0x4711), ends.0.last_sequence()),
        Ends::Ah(ends) => (ends.0.encapsulate_whole(&mut packet, 0x4711).map(drop), ends.0.last_sequence()),
    };
    sealed.map_err(|error| anyhow!("{error}"))?;
    Ok((sequence, packet.payload().to_vec()))
}

fn cipher_of(id: EncryptionId) -> Result<&'static str> {
    Ok(match id {
        EncryptionId::NULL => "NULL",
        EncryptionId::TRIPLE_DES => "3DES",
        EncryptionId::AES_CBC => "AES-CBC",
        EncryptionId::AES_CTR => "AES-CTR",
        EncryptionId::AES_GCM_16 => "AES-GCM",
        EncryptionId::NULL_AUTH_AES_GMAC => "AES-NULL-GMAC",
        EncryptionId::AES_CCM_8 | EncryptionId::AES_CCM_12 | EncryptionId::AES_CCM_16 => "AES-CCM",
        EncryptionId::CHACHA20_POLY1305 => "CHACHA20-POLY1305",
        other => bail!("scapy has no name for {other}"),
    })
}

fn integrity_of(id: IntegrityId) -> Result<&'static str> {
    Ok(match id {
        IntegrityId::HMAC_MD5_96 => "HMAC-MD5-96",
        IntegrityId::HMAC_SHA1_96 => "HMAC-SHA1-96",
        IntegrityId::HMAC_SHA2_256_128 => "SHA2-256-128",
        IntegrityId::HMAC_SHA2_384_192 => "SHA2-384-192",
        IntegrityId::HMAC_SHA2_512_256 => "SHA2-512-256",
        IntegrityId::AES_CMAC_96 => "AES-CMAC-96",
        other => bail!("scapy has no name for {other}"),
    })
}
