//! Somebody who knows the keys: makes messages such as only the two hosts should be able to make.

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::{CbcCipher, prf, sha256};
use ikebana_ike::{ExchangeType, Flags, IkeHeader};
use ikebana_ikev1::wire::{Body, Payload, encode, encode_chain, parse};
use ikebana_proposals::{PrfId, Proposal};

use super::toy::{open_provider, open_secret};

const BLOCK: usize = 16;

/// The keys of a first ISAKMP SA by main mode with `aes128-sha256`, an open key exchange and a known key.
pub(crate) struct Spy {
    pub(crate) initiator_cookie: IkeSpi,
    pub(crate) responder_cookie: IkeSpi,
    authenticate: Secret,
    cipher: Box<dyn CbcCipher>,
    /// The last block of phase 1, from which every later exchange takes its first IV.
    last_block: Vec<u8>,
}

/// Key exchange value and nonce of message 3 or 4.
fn contribution(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let Body::Clear(payloads) = parse(message).ok()?.body else { return None };
    let mut found = (vec![], vec![]);
    for payload in payloads {
        if let Payload::KeyExchange(public) = payload {
            found.0 = public;
        } else if let Payload::Nonce(nonce) = payload {
            found.1 = nonce;
        }
    }
    Some(found)
}

impl Spy {
    /// Works out the keys from messages 3, 4 and 6 of main mode; `None` if they are not those.
    pub(crate) fn new(messages: &[Vec<u8>], key: &str) -> Option<Self> {
        let provider = open_provider();
        let (public_i, nonce_i) = contribution(messages.get(2)?)?;
        let (public_r, nonce_r) = contribution(messages.get(3)?)?;
        let header = IkeHeader::peek(&messages[3]).unwrap();
        let shared = open_secret(&public_i, &public_r);
        let function = provider.prf(PrfId::HMAC_SHA2_256).unwrap();
        let cookies = [header.initiator_spi.0, header.responder_spi.0].concat();
        let root = prf(function, key.as_bytes(), &[&nonce_i, &nonce_r]);
        let next =
            |before: &[u8], number: u8| prf(function, root.expose(), &[before, &shared, &cookies, &[number]]);
        let derive = next(&[], 0);
        let authenticate = next(derive.expose(), 1);
        let encrypt = next(authenticate.expose(), 2);
        let suite = Proposal::ike("aes128-sha256-ecp256").unwrap();
        let cipher = provider.cbc_cipher(suite.encryption[0], &encrypt.expose()[..BLOCK]).unwrap();
        let last = messages.get(5)?.as_slice();
        Some(Self {
            initiator_cookie: header.initiator_spi,
            responder_cookie: header.responder_spi,
            authenticate,
            cipher,
            last_block: last[last.len() - BLOCK..].to_vec(),
        })
    }

    /// The first message of an exchange after phase 1, with its HASH in front.
    pub(crate) fn seal(&self, exchange: ExchangeType, message_id: u32, payloads: &[Payload]) -> Vec<u8> {
        let function = open_provider().prf(PrfId::HMAC_SHA2_256).unwrap();
        let id = message_id.to_be_bytes();
        let covered = encode_chain(payloads).unwrap();
        // What is hashed begins with the header of the payload after the HASH.
        let hash = prf(function, self.authenticate.expose(), &[&id, &covered]);
        let mut all = vec![Payload::Hash(hash.expose().to_vec())];
        all.extend(payloads.iter().cloned());
        let mut text = encode_chain(&all).unwrap();
        text.resize(text.len().next_multiple_of(BLOCK), 0);
        let iv = sha256(&[&self.last_block, &id]);
        self.cipher.encrypt(&iv[..BLOCK], &mut text).unwrap();
        let header = IkeHeader {
            initiator_spi: self.initiator_cookie,
            responder_spi: self.responder_cookie,
            next_payload: 8,
            major: 1,
            minor: 0,
            exchange,
            flags: Flags(Flags::ENCRYPTED),
            message_id,
            length: 0,
        };
        encode(&header, &Body::Encrypted(text)).unwrap()
    }
}
