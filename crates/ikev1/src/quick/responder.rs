//! A quick mode of the peer's.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, TrafficSelector, TrafficSelectors};
use ikebana_ike::{ChildConfig, ChildFailure, ChildHandle, DropReason, ExchangeType, Mode, SelectorMismatch};
use ikebana_proposals::ikev1::sa::SaPayload;
use ikebana_proposals::ikev1::{Phase2Terms, Phase2Wanted, TransformMismatch, select_phase2};

use super::payloads::Body;
use super::{Setting, lowest, protocol};
use crate::children::Agreed;
use crate::context::Context;
use crate::isakmp::{Hashed, Isakmp, Iv, Opened};
use crate::keys::ChildSeed;
use crate::lifetimes;
use crate::selectors::{self, Pair};
use crate::wire::{NotifyType, Payload};

/// Our answer is out, and the inbound SA installed.
pub(crate) struct Responder {
    /// The pair in the making.
    pub(crate) child: ChildHandle,
    initiator_nonce: Vec<u8>,
    responder_nonce: Vec<u8>,
    iv: Iv,
}

/// What we agree to, before anything is installed.
pub(crate) struct Accepted {
    pub(crate) agreed: Agreed,
    /// Message 2, to send once the inbound SA is installed.
    pub(crate) answer: Vec<u8>,
    pub(crate) nonces: Nonces,
}

/// What message 3 is checked with.
pub(crate) struct Nonces {
    pub(super) initiator: Vec<u8>,
    pub(super) responder: Vec<u8>,
    pub(super) iv: Iv,
}

/// Why we do not, for the peer and for the application.
pub(crate) struct Refusal {
    pub(crate) notify: NotifyType,
    pub(crate) failure: ChildFailure,
    pub(crate) config: Option<Arc<ChildConfig>>,
}

impl Refusal {
    fn new(notify: NotifyType, failure: ChildFailure) -> Self {
        Self { notify, failure, config: None }
    }
}

/// What the peer may have: every configured pair of selectors, with its configuration.
pub(crate) struct Allowed<'a> {
    pub(crate) pairs: &'a [(Arc<ChildConfig>, Pair)],
    pub(crate) setting: Setting,
    /// When the exchange began, in the order of the association's.
    pub(crate) began: u64,
}

struct Choice<'a> {
    config: &'a Arc<ChildConfig>,
    terms: Phase2Terms,
    answer: SaPayload,
}

impl Accepted {
    /// Decides on message 1, whose HASH is right.
    pub(crate) fn decide(
        cx: &mut Context<'_>,
        isakmp: &Isakmp,
        allowed: &Allowed<'_>,
        opened: &Opened,
    ) -> Result<Self, Refusal> {
        let malformed =
            |problem| Refusal::new(NotifyType::PAYLOAD_MALFORMED, ChildFailure::Protocol(problem));
        let body = Body::read(&opened.payloads).map_err(malformed)?;
        let (local, remote) = offered_selectors(&body, &allowed.setting)?;
        let inbound = cx.esp_spi();
        let offered = (local, remote);
        let made = Question { isakmp, allowed, opened, body, offered }.decide(cx, inbound);
        if made.is_err() {
            cx.release_esp_spi(inbound);
        }
        made
    }
}

/// Message 1, and what it is measured by.
struct Question<'a> {
    isakmp: &'a Isakmp,
    allowed: &'a Allowed<'a>,
    opened: &'a Opened,
    body: Body<'a>,
    offered: (TrafficSelector, TrafficSelector),
}

impl Question<'_> {
    /// What we agree to, with `inbound` as our SPI.
    fn decide(self, cx: &mut Context<'_>, inbound: EspSpi) -> Result<Accepted, Refusal> {
        let Self { isakmp, allowed, opened, ref body, offered } = self;
        let choice = choose(cx, allowed, body, offered)?;
        let config = choice.config.clone();
        let (local, remote) = allowed.setting.readdressed(config.mode, offered.0, offered.1);
        let refuse = |notify, failure| Refusal { notify, failure, config: Some(config.clone()) };
        let exchanged = match (choice.terms.suite.key_exchange, body.key_exchange) {
            (None, _) => None,
            (Some(group), Some(theirs)) => {
                let algorithm = cx.provider.key_exchange(group).ok_or_else(|| {
                    refuse(NotifyType::NO_PROPOSAL_CHOSEN, protocol("a key exchange we do not have"))
                })?;
                Some(algorithm.respond(cx.rng, theirs).map_err(|error| {
                    let failure = ChildFailure::Protocol(error.to_string());
                    refuse(NotifyType::INVALID_KEY_INFORMATION, failure)
                })?)
            }
            (Some(_), None) => {
                return Err(refuse(
                    NotifyType::INVALID_KEY_INFORMATION,
                    protocol("the chosen transform wants a key exchange, and there is no KE payload"),
                ));
            }
        };
        let nonce = cx.nonce();
        let shared = exchanged.as_ref().map(|(_, shared)| shared);
        let seed = ChildSeed {
            protocol: super::protocol_of(&choice.terms.suite),
            spi: inbound,
            initiator_nonce: body.nonce,
            responder_nonce: &nonce,
            shared,
        };
        let cannot = |_| refuse(NotifyType::NO_PROPOSAL_CHOSEN, protocol("keys cannot be derived"));
        let inbound_keys = isakmp.keymat(cx.provider, &choice.terms.suite, &seed).map_err(cannot)?;
        let seed = ChildSeed { spi: choice.terms.spi, ..seed };
        let outbound_keys = isakmp.keymat(cx.provider, &choice.terms.suite, &seed).map_err(cannot)?;

        let sa = choice.answer.with_spi(inbound);
        let mut answer = Vec::from([Payload::Sa(sa), Payload::Nonce(nonce.clone())]);
        answer.extend(exchanged.map(|(ours, _)| Payload::KeyExchange(ours)));
        if let Some([initiator, responder]) = body.ids {
            answer.push(Payload::Id(initiator.clone()));
            answer.push(Payload::Id(responder.clone()));
        }
        if config.mode == Mode::Transport && allowed.setting.udp {
            let Setting { local, remote, draft, .. } = allowed.setting;
            answer.extend(super::original_addresses([remote, local], draft));
        }
        if let Some(shorter) = lifetimes::shorter(&config.lifetime, choice.terms.life) {
            let spi = inbound.to_be_bytes().to_vec();
            answer.push(Payload::Notify(lifetimes::responder_lifetime(
                super::protocol_of(&choice.terms.suite),
                spi,
                shorter,
            )));
        }
        let message_id = opened.header.message_id;
        let header = isakmp.header(ExchangeType::QUICK_MODE, message_id);
        let mut iv = opened.next_iv;
        let hashed = Hashed::Second { initiator_nonce: body.nonce };
        let octets = isakmp.seal_with_hash(&mut iv, &header, hashed, &answer).map_err(cannot)?;
        let lifetime = lifetimes::effective(&config.lifetime, &[choice.terms.life]).jittered(cx.rng);
        let agreed = Agreed {
            suite: choice.terms.suite,
            mode: config.mode,
            inbound,
            outbound: choice.terms.spi,
            local,
            remote,
            inbound_keys,
            outbound_keys,
            replaces: None,
            over: isakmp.local_cookie(),
            lifetime,
            initiated: false,
            began: allowed.began,
            lowest_nonce: lowest(body.nonce, &nonce),
            config,
        };
        let nonces = Nonces { initiator: body.nonce.to_vec(), responder: nonce, iv };
        Ok(Accepted { agreed, answer: octets, nonces })
    }
}

impl Responder {
    /// The exchange goes on with the inbound SA of `child` installed, and message 2 sent.
    pub(crate) fn new(child: ChildHandle, from: Nonces) -> Self {
        let Nonces { initiator, responder, iv } = from;
        Self { child, initiator_nonce: initiator, responder_nonce: responder, iv }
    }

    /// Checks message 3. Nothing changes.
    pub(crate) fn verify(&self, isakmp: &Isakmp, octets: &[u8]) -> Result<Opened, DropReason> {
        let opened = isakmp.decrypt(self.iv, octets)?;
        let hashed =
            Hashed::Third { initiator_nonce: &self.initiator_nonce, responder_nonce: &self.responder_nonce };
        if isakmp.verify(&opened, hashed) { Ok(opened) } else { Err(DropReason::BadIntegrity) }
    }
}

/// The traffic that message 1 asks for, from our point of view: ours and the peer's.
pub(crate) fn wanted(opened: &Opened, setting: &Setting) -> Option<(TrafficSelector, TrafficSelector)> {
    offered_selectors(&Body::read(&opened.payloads).ok()?, setting).ok()
}

/// The traffic that the peer wants, from our point of view: ours and its.
fn offered_selectors(
    body: &Body<'_>,
    setting: &Setting,
) -> Result<(TrafficSelector, TrafficSelector), Refusal> {
    let pair = match body.ids {
        Some([initiator, responder]) => (selectors::from_id(responder), selectors::from_id(initiator)),
        // RFC 2409 5.5: without identities the SAs are for the addresses of the ISAKMP SA.
        None => (selectors::of_address(setting.local), selectors::of_address(setting.remote)),
    };
    match pair {
        (Some(local), Some(remote)) => Ok((local, remote)),
        _ => Err(Refusal::new(
            NotifyType::INVALID_ID_INFORMATION,
            protocol("identities that name no addresses"),
        )),
    }
}

/// The first configured pair that the offer lies in, and that has a transform in common with it. In IKEv1
/// nothing can be narrowed.
fn choose<'a>(
    cx: &Context<'_>,
    allowed: &Allowed<'a>,
    body: &Body<'_>,
    offered: (TrafficSelector, TrafficSelector),
) -> Result<Choice<'a>, Refusal> {
    let mut first: Option<(Arc<ChildConfig>, TransformMismatch)> = None;
    for (config, pair) in allowed.pairs {
        let (local, remote) = allowed.setting.readdressed(config.mode, offered.0, offered.1);
        if !pair.local.contains(&local) || !pair.remote.contains(&remote) {
            continue;
        }
        let mode = super::encapsulation(config.mode, &allowed.setting);
        let proposals = super::usable(cx.provider, &config.proposals);
        let wanted = Phase2Wanted { mode, key_exchange: body.key_exchange.is_some() };
        match select_phase2(&proposals, body.sa, config.prefer, wanted) {
            Ok((terms, answer)) => {
                return Ok(Choice { config, terms, answer });
            }
            Err(mismatch) => {
                first.get_or_insert((config.clone(), mismatch));
            }
        }
    }
    Err(match first {
        Some((config, mismatch)) => Refusal {
            notify: NotifyType::NO_PROPOSAL_CHOSEN,
            failure: ChildFailure::NoTransform(Box::new(mismatch)),
            config: Some(config),
        },
        None => Refusal::new(
            NotifyType::INVALID_ID_INFORMATION,
            ChildFailure::Selectors(Box::new(mismatch(allowed, offered))),
        ),
    })
}

fn mismatch(allowed: &Allowed<'_>, offered: (TrafficSelector, TrafficSelector)) -> SelectorMismatch {
    let configured = allowed
        .pairs
        .iter()
        .map(|(config, pair)| (config.name.clone(), pair.local.into(), pair.remote.into()))
        .collect();
    let overlap = |ours: TrafficSelector, theirs: TrafficSelector| {
        ours.intersect(&theirs).map(TrafficSelectors::from).unwrap_or_default()
    };
    let closest = allowed
        .pairs
        .iter()
        .map(|(_, pair)| (overlap(pair.local, offered.0), overlap(pair.remote, offered.1)))
        .find(|(local, remote)| !local.is_empty() || !remote.is_empty())
        .unwrap_or_default();
    SelectorMismatch {
        offered_local: offered.0.into(),
        offered_remote: offered.1.into(),
        configured,
        would_narrow_local: closest.0,
        would_narrow_remote: closest.1,
    }
}
