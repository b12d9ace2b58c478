//! IKEv2 messages, decrypted where keys are known.

mod notify;
mod payload;

use std::collections::{BTreeMap, VecDeque};

use ikebana_core::IkeSpi;
use ikebana_crypto::PacketCipher;
use ikebana_ike::{Flags, IkeHeader};
use ikebana_ikev2::wire::limits::MAX_MESSAGE_OCTETS;
use ikebana_ikev2::wire::{
    Envelope, OpenError, OpenedFragment, ParseError, Payload, PayloadType, envelope, open, open_fragment,
    parse_chain, parse_clear, rules,
};

use super::entry::{Entry, Item, MessageHead};
use super::keys::Ikev2Keys;
use super::text;

/// Messages whose fragments are kept at a time.
const MAX_PARTIAL: usize = 64;

pub(super) struct Decoder {
    keys: Vec<Ikev2Keys>,
    /// Fragmented messages of which some fragments are here, oldest first.
    partial: VecDeque<(MessageKey, Partial)>,
}

/// What a message's fragments have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MessageKey {
    initiator: IkeSpi,
    responder: IkeSpi,
    message_id: u32,
    flags: u8,
    total: u16,
}

#[derive(Default)]
struct Partial {
    first: Option<PayloadType>,
    parts: BTreeMap<u16, Vec<u8>>,
}

impl Decoder {
    pub(super) fn new(keys: Vec<Ikev2Keys>) -> Self {
        Self { keys, partial: VecDeque::new() }
    }

    /// Describes a message that starts with the IKE header.
    pub(super) fn message(&mut self, mut entry: Entry, octets: &[u8]) -> Entry {
        let Ok(header) = IkeHeader::peek(octets) else {
            return entry.title(format!("too short for IKE: {}", text::hex(octets)));
        };
        let is_response = header.flags.has(Flags::RESPONSE);
        entry.message = Some(MessageHead {
            exchange: header.exchange.to_string(),
            response: Some(is_response),
            message_id: header.message_id,
            initiator_spi: header.initiator_spi.to_string(),
            responder_spi: header.responder_spi.to_string(),
        });
        let direction = if is_response { "response" } else { "request" };
        entry.title = format!("IKEv2 {} {direction} {}", header.exchange, header.message_id);
        match envelope(octets) {
            Ok((_, Envelope::Clear)) => clear(&mut entry, octets),
            Ok((_, Envelope::Encrypted)) => self.encrypted(&mut entry, &header, octets),
            Ok((_, Envelope::Fragment { number, total })) => {
                entry.title = format!("{} fragment {number} of {total}", entry.title);
                self.fragment(&mut entry, &header, octets);
            }
            Err(error) => entry.note(format!("malformed: {error}")),
        }
        entry
    }

    /// Opens a message with the keys of its direction. One pair of SPIs may have several: key exchanges in
    /// IKE_INTERMEDIATE replace them (RFC 9370 2.2.2). `None` if there are none.
    fn open<T>(
        &self,
        header: &IkeHeader,
        open: impl Fn(&dyn PacketCipher) -> Result<T, OpenError>,
    ) -> Option<Result<T, OpenError>> {
        let from_initiator = header.flags.has(Flags::INITIATOR);
        let mut outcome = None;
        for keys in &self.keys {
            if (keys.initiator, keys.responder) != (header.initiator_spi, header.responder_spi) {
                continue;
            }
            let cipher = if from_initiator { &keys.from_initiator } else { &keys.from_responder };
            let opened = open(&**cipher);
            let is_authentic = opened.as_ref().err().is_none_or(OpenError::is_authentic);
            outcome = Some(opened);
            if is_authentic {
                break;
            }
        }
        outcome
    }

    fn encrypted(&self, entry: &mut Entry, header: &IkeHeader, octets: &[u8]) {
        match self.open(header, |cipher| open(cipher, octets)) {
            Some(Ok(opened)) => {
                unprotected(entry, &opened.unprotected);
                entry.note("decrypted");
                show(entry, header, &opened.payloads);
            }
            Some(Err(error)) => entry.note(format!("not decrypted: {error}")),
            None => self.without_keys(entry, octets),
        }
    }

    /// Shows what is around the encrypted payload, and its size.
    fn without_keys(&self, entry: &mut Entry, octets: &[u8]) {
        clear(entry, octets);
        if !self.keys.is_empty() {
            entry.note("no keys for these SPIs");
        }
    }

    fn fragment(&mut self, entry: &mut Entry, header: &IkeHeader, octets: &[u8]) {
        match self.open(header, |cipher| open_fragment(cipher, octets)) {
            Some(Ok(fragment)) => {
                unprotected(entry, &fragment.unprotected);
                entry.payloads.push(Item::new("SKF", text::octets(fragment.text.len())));
                self.reassemble(entry, header, fragment);
            }
            Some(Err(error)) => entry.note(format!("not decrypted: {error}")),
            None => self.without_keys(entry, octets),
        }
    }

    /// Keeps a fragment, and shows the whole if it is complete now.
    fn reassemble(&mut self, entry: &mut Entry, header: &IkeHeader, fragment: OpenedFragment) {
        let key = MessageKey {
            initiator: header.initiator_spi,
            responder: header.responder_spi,
            message_id: header.message_id,
            flags: header.flags.0,
            total: fragment.total,
        };
        let at = self.partial.iter().position(|(other, _)| *other == key);
        let (_, mut partial) = at.and_then(|at| self.partial.remove(at)).unwrap_or((key, Partial::default()));
        if fragment.number == 1 {
            partial.first = Some(fragment.first);
        }
        partial.parts.insert(fragment.number, fragment.text);
        let held: usize = partial.parts.values().map(Vec::len).sum();
        if held > MAX_MESSAGE_OCTETS {
            return entry.note("the fragments are longer than a message can be");
        }
        if let (Some(first), true) = (partial.first, partial.parts.len() == usize::from(key.total)) {
            let whole = partial.parts.into_values().flatten().collect::<Vec<_>>();
            entry.note(format!("decrypted, joined from {} fragments", key.total));
            return match parse_chain(first, &whole) {
                Ok(payloads) => show(entry, header, &payloads),
                Err(error) => entry.note(format!("malformed content: {error}")),
            };
        }
        entry.note("decrypted");
        if self.partial.len() == MAX_PARTIAL {
            self.partial.pop_front();
        }
        self.partial.push_back((key, partial));
    }
}

/// Shows a message as it is, without decrypting anything.
fn clear(entry: &mut Entry, octets: &[u8]) {
    match parse_clear(octets) {
        Ok(message) => {
            let encrypted = message.payloads.last().is_some_and(|payload| {
                matches!(payload, Payload::Encrypted(_) | Payload::EncryptedFragment(_))
            });
            if encrypted {
                entry.payloads.extend(message.payloads.iter().map(payload::describe));
            } else {
                show(entry, &message.header, &message.payloads);
            }
        }
        Err(error @ ParseError::UnsupportedCritical(_)) => entry.note(error.to_string()),
        Err(error) => entry.note(format!("malformed: {error}")),
    }
}

/// Shows all payloads, and whether they are the right ones for the exchange.
fn show(entry: &mut Entry, header: &IkeHeader, payloads: &[Payload]) {
    entry.payloads.extend(payloads.iter().map(payload::describe));
    if let Err(violation) = rules::check(header.exchange, header.flags.has(Flags::RESPONSE), payloads) {
        entry.note(format!("not as RFC 7296 has it: {violation}"));
    }
}

fn unprotected(entry: &mut Entry, payloads: &[Payload]) {
    for payload in payloads {
        let mut item = payload::describe(payload);
        item.text.push_str(" (not encrypted)");
        entry.payloads.push(item);
    }
}
