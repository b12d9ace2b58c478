//! Somebody who knows the keys: opens messages, and makes such as only the two hosts should be able to make.

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::{CipherKeys, CryptoProvider, Frame, PacketCipher, prf, prf_plus};
use ikebana_ike::{ExchangeType, Flags, IkeHeader};
use ikebana_ikev2::wire::{IvSource, Payload, encode_clear, open, parse_clear, seal};
use ikebana_proposals::{PrfId, Proposal};
use ikebana_testkit::SeededRng;

use super::toy::{open_provider, open_secret};

/// The keys of a first IKE SA with `aes128gcm16-prfsha256` and an open key exchange.
pub(crate) struct Spy {
    pub(crate) initiator_spi: IkeSpi,
    pub(crate) responder_spi: IkeSpi,
    /// What protects the initiator's messages, and the responder's.
    ciphers: [Box<dyn PacketCipher>; 2],
}

/// Key exchange value and nonce of an IKE_SA_INIT message.
fn contribution(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let message = parse_clear(message).unwrap();
    let mut found = (vec![], vec![]);
    for payload in message.payloads {
        if let Payload::KeyExchange(key) = payload {
            found.0 = key.data;
        } else if let Payload::Nonce(nonce) = payload {
            found.1 = nonce;
        }
    }
    found
}

impl Spy {
    /// Works out the keys from the two messages of IKE_SA_INIT.
    pub(crate) fn new(request: &[u8], response: &[u8]) -> Self {
        let provider: CryptoProvider = open_provider();
        let header = IkeHeader::peek(response).unwrap();
        let ((public_i, nonce_i), (public_r, nonce_r)) = (contribution(request), contribution(response));
        let shared = Secret::new(open_secret(&public_i, &public_r));
        let algorithm = provider.prf(PrfId::HMAC_SHA2_256).unwrap();
        let seed = prf(algorithm, &[nonce_i.as_slice(), &nonce_r].concat(), &[shared.expose()]);
        let spis = [header.initiator_spi.0, header.responder_spi.0].concat();
        // SK_d, no integrity keys, then two keys of 16 octets with 4 of salt each.
        let stream = prf_plus(algorithm, seed.expose(), &[&nonce_i, &nonce_r, &spis], 32 + 2 * 20).unwrap();
        let suite = Proposal::ike("aes128gcm16-prfsha256-curve25519").unwrap();
        let cipher = |at: usize| {
            let keys = CipherKeys { encryption: &stream.expose()[at..at + 20], integrity: &[] };
            provider.packet_cipher(suite.encryption[0], None, &keys).unwrap()
        };
        Self {
            initiator_spi: header.initiator_spi,
            responder_spi: header.responder_spi,
            ciphers: [cipher(32), cipher(52)],
        }
    }

    fn cipher(&self, flags: Flags) -> &dyn PacketCipher {
        &*self.ciphers[usize::from(!flags.has(Flags::INITIATOR))]
    }

    /// What is inside.
    pub(crate) fn open(&self, octets: &[u8]) -> Vec<Payload> {
        let header = IkeHeader::peek(octets).unwrap();
        if header.exchange == ExchangeType::IKE_SA_INIT {
            return parse_clear(octets).unwrap().payloads;
        }
        open(self.cipher(header.flags), octets).unwrap().payloads
    }

    /// A message with these payloads, protected as its sender would.
    pub(crate) fn seal(&self, header: &IkeHeader, payloads: &[Payload]) -> Vec<u8> {
        if header.exchange == ExchangeType::IKE_SA_INIT {
            return encode_clear(header, payloads).unwrap();
        }
        let (mut counter, mut rng) = (u64::from(header.message_id) + (1 << 40), SeededRng::new(7));
        let mut iv = IvSource { counter: &mut counter, rng: &mut rng };
        seal(self.cipher(header.flags), header, payloads, &mut iv).unwrap()
    }

    /// As [`Self::seal`], with a payload of this type in clear in front of the encrypted one.
    pub(crate) fn seal_behind(
        &self,
        header: &IkeHeader,
        front: (u8, bool, &[u8]),
        payloads: &[Payload],
    ) -> Vec<u8> {
        let clear = encode_clear(header, payloads).unwrap();
        let (first, text) = (clear[16], &clear[28..]);
        let (kind, critical, body) = front;
        let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
        let mut octets = clear[..28].to_vec();
        octets[16] = kind;
        octets.extend([46, if critical { 0x80 } else { 0 }]);
        octets.extend(length(4 + body.len()));
        octets.extend(body);
        octets.extend([first, 0]);
        // IV, text, no padding but its length, integrity check value.
        octets.extend(length(4 + 8 + text.len() + 1 + 16));
        let header_len = octets.len();
        octets.extend((u64::from(header.message_id) + (1 << 41)).to_be_bytes());
        octets.extend(text);
        octets.extend([0; 17]);
        let total = u32::try_from(octets.len()).unwrap().to_be_bytes();
        octets[24..28].copy_from_slice(&total);
        self.cipher(header.flags).seal(Frame { bytes: &mut octets, header_len, esn_high: None }).unwrap();
        octets
    }

    /// A header of a message from the side that started the IKE SA, or from the other one.
    pub(crate) fn header(
        &self,
        from_initiator: bool,
        response: bool,
        exchange: ExchangeType,
        id: u32,
    ) -> IkeHeader {
        IkeHeader {
            initiator_spi: self.initiator_spi,
            responder_spi: self.responder_spi,
            next_payload: 0,
            major: 2,
            minor: 0,
            exchange,
            flags: Flags::v2(from_initiator, response),
            message_id: id,
            length: 0,
        }
    }
}
