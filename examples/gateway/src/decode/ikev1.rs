//! IKEv1 messages, decrypted where keys are known.
//!
//! Decrypting IKEv1 needs more than a key: the algorithms come from the SA payload, the first initialization
//! vector from both public values, and every later one from the message before. All of that is collected from
//! the capture, so it has to be complete from the first message on.

mod crypto;
mod payload;
mod proposal;

use std::collections::{BTreeMap, VecDeque};

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::sha1;
use ikebana_ike::{ExchangeType, IkeHeader};
use ikebana_ikev1::wire::{Body, FragmentPayload, Payload, PayloadType, parse, parse_chain};

use super::entry::{Entry, Item, MessageHead};
use super::keys::Ikev1Keys;
use super::text;
use crypto::Algorithms;

/// IKE SAs that are remembered at a time.
const MAX_SAS: usize = 1_024;
/// Message IDs of one IKE SA that are remembered at a time.
const MAX_CHAINS: usize = 1_024;
/// Messages of one IKE SA that are remembered, to tell retransmissions.
const MAX_SEEN: usize = 4_096;
/// Fragmented messages of one IKE SA of which some fragments are here.
const MAX_PARTIAL: usize = 16;
/// Octets of a message joined from fragments.
const MAX_JOINED: usize = 65_535;

pub(super) struct Decoder {
    keys: Vec<Ikev1Keys>,
    /// What is known of IKE SAs by their initiator's cookie, oldest first.
    sas: VecDeque<(IkeSpi, Sa)>,
}

/// What is known of an IKE SA.
#[derive(Default)]
struct Sa {
    algorithms: Option<Algorithms>,
    /// The public values, the initiator's first.
    public: Vec<Vec<u8>>,
    /// The next initialization vector of phase 1.
    phase1: Option<Vec<u8>>,
    /// The next initialization vector of each phase 2 exchange.
    phase2: BTreeMap<u32, Vec<u8>>,
    /// The encrypted messages so far by their hashes, with the frames they were in: a retransmission must not
    /// move the vectors.
    seen: BTreeMap<[u8; 20], u64>,
    partial: VecDeque<((String, u16), Partial)>,
}

#[derive(Default)]
struct Partial {
    last: Option<u8>,
    parts: BTreeMap<u8, Vec<u8>>,
}

impl Decoder {
    pub(super) fn new(keys: Vec<Ikev1Keys>) -> Self {
        Self { keys, sas: VecDeque::new() }
    }

    /// Describes a message that starts with the IKE header.
    pub(super) fn message(&mut self, mut entry: Entry, octets: &[u8]) -> Entry {
        let Ok(header) = IkeHeader::peek(octets) else {
            return entry.title(format!("too short for IKE: {}", text::hex(octets)));
        };
        entry.message = Some(MessageHead {
            exchange: header.exchange.to_string(),
            response: None,
            message_id: header.message_id,
            initiator_spi: header.initiator_spi.to_string(),
            responder_spi: header.responder_spi.to_string(),
        });
        entry.title = format!("IKEv1 {} {:08x}", exchange(header.exchange), header.message_id);
        let sa = sa(&mut self.sas, header.initiator_spi);
        let key = self.keys.iter().find(|keys| keys.initiator == header.initiator_spi).map(|keys| &keys.key);
        if let Some(whole) = show(&mut entry, sa, key, octets) {
            entry.note(format!("joined from fragments to {}", text::octets(whole.len())));
            // A fragment of fragments is shown as a fragment and not joined again.
            let _ = show(&mut entry, sa, key, &whole);
        }
        entry
    }
}

/// The SA of this cookie, made if it is new.
fn sa(sas: &mut VecDeque<(IkeSpi, Sa)>, cookie: IkeSpi) -> &mut Sa {
    let at = sas.iter().position(|(other, _)| *other == cookie).unwrap_or_else(|| {
        if sas.len() >= MAX_SAS {
            sas.pop_front();
        }
        sas.push_back((cookie, Sa::default()));
        sas.len().saturating_sub(1)
    });
    let (_, sa) = sas.get_mut(at).expect("the position was just found");
    sa
}

/// Shows a message; gives back the whole if it was the last missing fragment of one.
fn show(entry: &mut Entry, sa: &mut Sa, key: Option<&Secret>, octets: &[u8]) -> Option<Vec<u8>> {
    let message = match parse(octets) {
        Ok(message) => message,
        Err(error) => {
            entry.note(format!("malformed: {error}"));
            return None;
        }
    };
    match message.body {
        Body::Clear(payloads) => {
            sa.learn(&message.header, &payloads);
            entry.payloads.extend(payloads.iter().map(payload::describe));
            let fragment = payloads.iter().find_map(|payload| {
                if let Payload::Fragment(fragment) = payload { Some(fragment) } else { None }
            })?;
            sa.fragment(entry, fragment)
        }
        Body::Encrypted(ciphertext) => {
            let digest = sha1(&[octets]);
            if let Some(frame) = sa.seen.get(&digest) {
                entry.note(format!("the same as in frame {frame}, retransmitted"));
                return None;
            }
            match sa.decrypt(&message.header, &ciphertext, key) {
                Ok(payloads) => {
                    if sa.seen.len() < MAX_SEEN {
                        sa.seen.insert(digest, entry.frame);
                    }
                    entry.note("decrypted");
                    sa.learn(&message.header, &payloads);
                    entry.payloads.extend(payloads.iter().map(payload::describe));
                }
                Err(why) => {
                    let first = PayloadType(message.header.next_payload);
                    let what = format!("{} encrypted, {first} first", text::octets(ciphertext.len()));
                    entry.payloads.push(Item::new("data", what));
                    entry.notes.extend(why.map(str::to_owned));
                }
            }
            None
        }
    }
}

impl Sa {
    /// Remembers what decrypting later messages needs.
    fn learn(&mut self, header: &IkeHeader, payloads: &[Payload]) {
        let phase1 = matches!(header.exchange, ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE);
        if !phase1 {
            return;
        }
        for payload in payloads {
            if let Payload::Sa(chosen) = payload {
                // The responder's SA payload has the one transform that was chosen.
                if !header.responder_spi.is_zero() {
                    self.algorithms = Algorithms::chosen(chosen).or(self.algorithms);
                }
            } else if let Payload::KeyExchange(value) = payload
                && self.public.len() < 2
                && !self.public.contains(value)
            {
                self.public.push(value.clone());
            }
        }
    }

    /// Decrypts a message and moves the initialization vectors on. The error says why not, if there is more to
    /// say than that the key is not known.
    fn decrypt(
        &mut self,
        header: &IkeHeader,
        ciphertext: &[u8],
        key: Option<&Secret>,
    ) -> Result<Vec<Payload>, Option<&'static str>> {
        let key = key.ok_or(None)?;
        let algorithms = self.algorithms.ok_or(Some("not decrypted: no chosen SA payload in the capture"))?;
        let [initiator, responder] = self.public.as_slice() else {
            return Err(Some("not decrypted: the public values are not in the capture"));
        };
        let initial = || algorithms.vector(&[initiator, responder]);
        let phase1 = self.phase1.clone().unwrap_or_else(initial);
        let vector = match header.message_id {
            0 => phase1,
            id => match self.phase2.get(&id) {
                Some(vector) => vector.clone(),
                // RFC 2409 appendix B: the last block of phase 1 and the message ID.
                None => algorithms.vector(&[&phase1, &id.to_be_bytes()]),
            },
        };
        let (text, next) = algorithms
            .decrypt(key, &vector, ciphertext)
            .ok_or(Some("not decrypted: the key's length or the message's does not fit the cipher"))?;
        let (payloads, _padding) = parse_chain(PayloadType(header.next_payload), &text)
            .map_err(|_| Some("not decrypted: wrong key, or messages are missing"))?;
        if header.message_id == 0 {
            self.phase1 = Some(next);
        } else {
            if self.phase2.len() >= MAX_CHAINS {
                self.phase2.pop_first();
            }
            self.phase2.insert(header.message_id, next);
        }
        Ok(payloads)
    }

    /// Keeps a fragment, and gives back the whole message if it is complete now.
    fn fragment(&mut self, entry: &mut Entry, fragment: &FragmentPayload) -> Option<Vec<u8>> {
        let key = (entry.from.clone().unwrap_or_default(), fragment.id);
        let at = self.partial.iter().position(|(other, _)| *other == key);
        let (_, mut partial) = at.and_then(|at| self.partial.remove(at)).unwrap_or_default();
        partial.parts.insert(fragment.number, fragment.data.clone());
        if fragment.is_last {
            partial.last = Some(fragment.number);
        }
        let complete = partial.last.is_some_and(|last| partial.parts.keys().copied().eq(1..=last));
        if complete {
            return Some(partial.parts.into_values().flatten().collect());
        }
        if partial.parts.values().map(Vec::len).sum::<usize>() > MAX_JOINED {
            entry.note("the fragments are longer than a message can be");
            return None;
        }
        if self.partial.len() >= MAX_PARTIAL {
            self.partial.pop_front();
        }
        self.partial.push_back((key, partial));
        None
    }
}

/// The name that people use.
fn exchange(exchange: ExchangeType) -> String {
    match exchange {
        ExchangeType::IDENTITY_PROTECTION => "Main Mode".to_owned(),
        ExchangeType::AGGRESSIVE => "Aggressive Mode".to_owned(),
        ExchangeType::INFORMATIONAL_V1 => "Informational".to_owned(),
        other => other.to_string(),
    }
}
