//! What a message is, and where it goes.

use ikebana_core::IkeSpi;
use ikebana_crypto::sha256;
use ikebana_ike::{DropReason, ExchangeType, Flags, IkeHeader};

use super::leg::{Fate, Fingerprint, Leg, Step};
use super::settling::Taken;
use super::{End, Established};
use crate::context::{Context, Route};
use crate::isakmp::{Hashed, Isakmp, Iv, Opened};
use crate::wire::{NotifyType, Payload};

/// A message that is the peer's, for sure.
pub(crate) struct Verified {
    /// Our cookie of the ISAKMP SA it came over.
    cookie: IkeSpi,
    content: Content,
}

enum Content {
    /// One that was answered before; the answer to send again.
    Again(alloc::vec::Vec<u8>),
    /// Message 2 of our quick mode again; the answer to send again.
    SecondAgain { id: u32 },
    /// Message 1 of a quick mode.
    First { opened: Opened, fingerprint: Fingerprint },
    /// Message 2 of our quick mode.
    Second { opened: Opened, fingerprint: Fingerprint },
    /// Message 3 of the peer's quick mode.
    Third { opened: Opened },
    /// The peer's word that a pair may be used.
    Connected { id: u32 },
    /// Deletes and notifications.
    Informational(Opened),
    /// XAUTH or mode config.
    Transaction { opened: Opened, fingerprint: Fingerprint },
}

impl Established {
    /// Checks a message without changing anything.
    pub(crate) fn verify(&self, header: &IkeHeader, octets: &[u8]) -> Result<Verified, DropReason> {
        let leg = self
            .legs
            .iter()
            .find(|leg| {
                leg.isakmp.initiator_cookie == header.initiator_spi
                    && leg.isakmp.responder_cookie == header.responder_spi
            })
            .ok_or(DropReason::UnknownSpi)?;
        let cookie = leg.isakmp.local_cookie();
        let fingerprint = sha256(&[octets]);
        let content = match header.exchange {
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => {
                // The peer has missed our last message of phase 1.
                let replay = leg.replay.as_ref().filter(|replay| replay.fingerprint == fingerprint);
                Content::Again(replay.ok_or(DropReason::UnexpectedExchange)?.answer.clone())
            }
            _ if !header.flags.has(Flags::ENCRYPTED) => {
                // RFC 2408 lets anybody complain in clear. That is no reason to believe it.
                return Err(match header.exchange {
                    ExchangeType::INFORMATIONAL_V1 => DropReason::UnauthenticatedError,
                    _ => DropReason::NotEncrypted,
                });
            }
            // Only phase 1 has exchanges without an id.
            _ if header.message_id == 0 => return Err(DropReason::Malformed),
            ExchangeType::QUICK_MODE => self.verify_quick(leg, header, octets, fingerprint)?,
            ExchangeType::INFORMATIONAL_V1 => verify_informational(leg, header, octets)?,
            ExchangeType::TRANSACTION => self.verify_transaction(leg, header, octets, fingerprint)?,
            _ => return Err(DropReason::UnexpectedExchange),
        };
        Ok(Verified { cookie, content })
    }

    fn verify_quick(
        &self,
        leg: &Leg,
        header: &IkeHeader,
        octets: &[u8],
        fingerprint: Fingerprint,
    ) -> Result<Content, DropReason> {
        let id = header.message_id;
        let isakmp = &leg.isakmp;
        let Some(exchange) = leg.exchange(id) else {
            if leg.knows(id) {
                return Err(DropReason::OutsideWindow);
            }
            if leg.fate != Fate::Live && !matches!(leg.fate, Fate::Superseded(_)) {
                return Err(DropReason::SaClosing);
            }
            // XAUTH and mode config come first; the peer will ask again.
            if leg.probation.is_some() || !self.may_use(leg) {
                return Err(DropReason::StillWorking);
            }
            let opened = open(isakmp, isakmp.exchange_iv(id), octets, Hashed::First)?;
            return Ok(Content::First { opened, fingerprint });
        };
        match &exchange.step {
            Step::Asked { exchange, .. } => {
                let opened = exchange.verify(isakmp, octets)?;
                Ok(Content::Second { opened, fingerprint })
            }
            Step::Answered { first, turn, .. } if *first == fingerprint => {
                Ok(Content::Again(turn.octets().to_vec()))
            }
            Step::Answered { exchange, .. } => {
                Ok(Content::Third { opened: exchange.verify(isakmp, octets)? })
            }
            Step::Asking { second, .. } if *second == fingerprint => Ok(Content::SecondAgain { id }),
            Step::Asking { commit: Some(iv), .. } => {
                let opened = open(isakmp, *iv, octets, Hashed::First)?;
                if says_connected(&opened) {
                    Ok(Content::Connected { id })
                } else {
                    Err(DropReason::UnexpectedExchange)
                }
            }
            Step::Asking { commit: None, .. } => Err(DropReason::OutsideWindow),
        }
    }

    fn verify_transaction(
        &self,
        leg: &Leg,
        header: &IkeHeader,
        octets: &[u8],
        fingerprint: Fingerprint,
    ) -> Result<Content, DropReason> {
        match self.settling.take(leg, header.message_id, &fingerprint)? {
            Taken::Again(answer) => Ok(Content::Again(answer)),
            Taken::New(iv) => {
                let opened = open(&leg.isakmp, iv, octets, Hashed::First)?;
                Ok(Content::Transaction { opened, fingerprint })
            }
        }
    }

    /// Acts on a message that was verified, and came over `route`.
    pub(crate) fn process(&mut self, cx: &mut Context<'_>, route: Route, verified: Verified) -> Option<End> {
        let Verified { cookie, content } = verified;
        let is_new = !matches!(content, Content::Again(_) | Content::SecondAgain { .. });
        if let Some(leg) = self.leg_mut(cookie).filter(|_| is_new) {
            leg.heard = cx.now;
        }
        let end = match content {
            Content::Again(answer) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                self.transmit(cx, route, &answer);
                // It may be an attacker's copy, so it says nothing of the peer.
                return None;
            }
            Content::SecondAgain { id } => {
                self.repeat_third(cx, cookie, id, route);
                return None;
            }
            Content::First { opened, fingerprint } => {
                self.hear(cx, cookie, route);
                self.answer_quick(cx, cookie, opened, fingerprint);
                None
            }
            Content::Second { opened, fingerprint } => {
                self.hear(cx, cookie, route);
                self.quick_answered(cx, cookie, &opened, fingerprint);
                None
            }
            Content::Third { opened } => {
                self.hear(cx, cookie, route);
                self.quick_confirmed(cx, cookie, opened.header.message_id);
                None
            }
            Content::Connected { id } => {
                self.hear(cx, cookie, route);
                self.quick_connected(cx, cookie, id);
                None
            }
            Content::Informational(opened) => {
                self.hear(cx, cookie, route);
                if let Some(leg) = self.leg_mut(cookie) {
                    leg.remember(opened.header.message_id);
                }
                self.informed(cx, cookie, &opened)
            }
            Content::Transaction { opened, fingerprint } => {
                self.hear(cx, cookie, route);
                self.transacted(cx, cookie, opened, fingerprint)
            }
        };
        end.or_else(|| self.pump(cx))
    }
}

fn verify_informational(leg: &Leg, header: &IkeHeader, octets: &[u8]) -> Result<Content, DropReason> {
    let (isakmp, id) = (&leg.isakmp, header.message_id);
    let commits = leg
        .exchange(id)
        .is_some_and(|exchange| matches!(exchange.step, Step::Asking { commit: Some(_), .. }));
    if leg.knows(id) && !commits {
        return Err(DropReason::OutsideWindow);
    }
    let opened = open(isakmp, isakmp.exchange_iv(id), octets, Hashed::First)?;
    // RFC 2408 3.1: the word that ends the wait of the commit bit has the id of the exchange it is about.
    if commits {
        return if says_connected(&opened) {
            Ok(Content::Connected { id })
        } else {
            Err(DropReason::OutsideWindow)
        };
    }
    Ok(Content::Informational(opened))
}

/// Decrypts a message and checks its HASH.
fn open(isakmp: &Isakmp, iv: Iv, octets: &[u8], hashed: Hashed<'_>) -> Result<Opened, DropReason> {
    let opened = isakmp.decrypt(iv, octets)?;
    if isakmp.verify(&opened, hashed) { Ok(opened) } else { Err(DropReason::BadIntegrity) }
}

fn says_connected(opened: &Opened) -> bool {
    let says = |payload: &Payload| matches!(payload, Payload::Notify(n) if n.kind == NotifyType::CONNECTED);
    opened.payloads.iter().any(says)
}
