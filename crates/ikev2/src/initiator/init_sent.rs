//! Waiting for the answer to our first message.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::datagram::{IKE_PORT, NAT_T_PORT};
use ikebana_core::{Datagram, IkeSpi, Path, Secret};
use ikebana_crypto::{KeyExchangeError, PendingKeyExchange};
use ikebana_ike::{
    ApiError, DropReason, Encapsulation, ExchangeType, FailReason, Flags, IkeHeader, IkeSaHandle,
    NatSituation, PeerConfig,
};
use ikebana_proposals::{Chosen, IkeSuite, KeyExchangeId, Proposal, SaPayload, confirm_ike};

use super::{Attempt, KeyWanted};
use crate::auth::Transcript;
use crate::connection::State;
use crate::context::Context;
use crate::init::{clear_header, detect_nat, nat_payloads, usable};
use crate::keys::{Contributions, IkeKeys};
use crate::payloads::{Payloads, notify, wanted_group};
use crate::sa::{IkeSa, Route};
use crate::window::Window;
use crate::wire::{self, KeyExchangePayload, NotifyType, Payload, rules};

/// How often a peer may have us start over: for a cookie, for another group, for a key of no use.
const MOST_RESTARTS: u32 = 6;

/// Our first message is out.
pub(crate) struct InitSent {
    pub(crate) attempt: Attempt,
    nonce: Vec<u8>,
    pending: Box<dyn PendingKeyExchange>,
    group: KeyExchangeId,
    proposals: Vec<Proposal>,
    offer: SaPayload,
    cookie: Option<Vec<u8>>,
    message: Vec<u8>,
    pub(crate) window: Window,
    restarts: u32,
    tried: Vec<KeyExchangeId>,
    complaint: Option<FailReason>,
}

/// What an answer to the first message comes to. Nothing in it is authenticated.
pub(crate) enum InitAnswer {
    /// Do it again with this cookie.
    Cookie(Vec<u8>),
    /// Do it again with this group.
    Group(KeyExchangeId),
    /// The peer will not. Somebody says so, at least.
    Complaint(FailReason),
    /// Go on.
    Accept(Box<Accepted>),
}

pub(crate) struct Accepted {
    chosen: Chosen<IkeSuite>,
    nonce: Vec<u8>,
    public: Vec<u8>,
    nat: NatSituation,
    remote_spi: IkeSpi,
    message: Vec<u8>,
}

impl InitSent {
    /// Sends the first message.
    pub(crate) fn start(
        cx: &mut Context<'_>,
        handle: IkeSaHandle,
        peer: Arc<PeerConfig>,
        path: Path,
        initial_contact: bool,
    ) -> Result<Self, ApiError> {
        let proposals = usable(cx.provider, &peer.proposals);
        let group = proposals
            .iter()
            .flat_map(|proposal| &proposal.key_exchange)
            .find(|group| cx.provider.key_exchange(**group).is_some());
        let group = *group.ok_or(ApiError::Config("no IKE proposal that can be carried out here"))?;
        let algorithm =
            cx.provider.key_exchange(group).ok_or(ApiError::Config("key exchange not available"))?;
        if peer.children.is_empty() {
            return Err(ApiError::Config("a peer needs at least one child"));
        }
        let local_spi = cx.ike_spi(handle);
        // A port other than IKE's own is one that ESP shares (RFC 7296 2.23).
        let route = Route { path, encapsulated: path.remote.port() != IKE_PORT };
        let mut new = Self {
            attempt: Attempt { handle, peer, route, local_spi, initial_contact },
            nonce: cx.nonce(),
            pending: algorithm.initiate(cx.rng),
            group,
            offer: SaPayload::offer(&proposals, &[]),
            proposals,
            cookie: None,
            message: Vec::new(),
            window: Window::new(0, 0, cx.config.limits.window),
            restarts: 0,
            tried: Vec::from([group]),
            complaint: None,
        };
        new.send(cx);
        Ok(new)
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        let spi = self.attempt.local_spi;
        let route = self.attempt.route;
        let mut payloads = Vec::new();
        // RFC 7296 2.6: the cookie comes first, everything else stays as it was.
        payloads.extend(self.cookie.clone().map(|cookie| notify(NotifyType::COOKIE, cookie)));
        payloads.push(Payload::Sa(self.offer.clone()));
        let data = self.pending.public().to_vec();
        payloads.push(Payload::KeyExchange(KeyExchangePayload { group: self.group, data }));
        payloads.push(Payload::Nonce(self.nonce.clone()));
        let encapsulation = self.attempt.peer.encapsulation;
        payloads.extend(nat_payloads(cx, spi, IkeSpi::ZERO, route.path, encapsulation));
        let header = clear_header(spi, IkeSpi::ZERO, ExchangeType::IKE_SA_INIT, Flags::v2(true, false), 0);
        self.window = Window::new(0, 0, cx.config.limits.window);
        // An offer too long to encode cannot come out of a checked configuration; if it does, silence and the
        // timeout tell.
        self.message = wire::encode_clear(&header, &payloads).unwrap_or_default();
        cx.transmit(route.path, route.encapsulated, &self.message);
        let plan = self.attempt.peer.retransmission;
        self.window.request(cx.now, ExchangeType::IKE_SA_INIT, self.message.clone(), &plan, cx.rng);
    }

    /// Reads an answer without believing it.
    pub(crate) fn examine(
        &self,
        header: &IkeHeader,
        datagram: &Datagram<'_>,
    ) -> Result<InitAnswer, DropReason> {
        if header.exchange != ExchangeType::IKE_SA_INIT || header.message_id != 0 {
            return Err(DropReason::UnexpectedExchange);
        }
        if !header.flags.has(Flags::RESPONSE) || header.flags.has(Flags::INITIATOR) {
            return Err(DropReason::WrongRole);
        }
        if header.initiator_spi != self.attempt.local_spi {
            return Err(DropReason::UnknownSpi);
        }
        let message = wire::parse_clear(datagram.octets).map_err(|_| DropReason::Malformed)?;
        let payloads = Payloads::new(message.payloads);
        if let Some(notify) = payloads.notify(NotifyType::COOKIE) {
            // RFC 7296 2.6: 1 to 64 octets.
            let sensible = (1..=64).contains(&notify.data.len());
            return match (sensible, self.restarts < MOST_RESTARTS) {
                (false, _) => Err(DropReason::UnusableInitResponse),
                (true, true) => Ok(InitAnswer::Cookie(notify.data.clone())),
                (true, false) => Ok(InitAnswer::Complaint(FailReason::CookieLoop(self.restarts))),
            };
        }
        if let Some(error) = payloads.error() {
            if error.kind == NotifyType::INVALID_KE_PAYLOAD
                && let Some(wanted) = wanted_group(error)
            {
                let offered = self.groups();
                let usable = offered.contains(&wanted) && !self.tried.contains(&wanted);
                return if usable && self.restarts < MOST_RESTARTS {
                    Ok(InitAnswer::Group(wanted))
                } else {
                    Ok(InitAnswer::Complaint(FailReason::KeyExchangeRejected { wanted, offered }))
                };
            }
            return Ok(InitAnswer::Complaint(self.refusal(error.kind)));
        }
        Ok(self.accept(header, datagram, &payloads))
    }

    fn accept(&self, header: &IkeHeader, datagram: &Datagram<'_>, payloads: &Payloads) -> InitAnswer {
        let chosen = match self.usable_choice(header, payloads) {
            Ok(chosen) => chosen,
            Err(problem) => {
                let exchange = ExchangeType::IKE_SA_INIT;
                return InitAnswer::Complaint(FailReason::Protocol { exchange, problem });
            }
        };
        let (key, nonce) = (payloads.key_exchange(), payloads.nonce());
        let nat = detect_nat(payloads, self.attempt.local_spi, header.responder_spi, datagram.path);
        InitAnswer::Accept(Box::new(Accepted {
            chosen,
            nonce: nonce.unwrap_or_default().to_vec(),
            public: key.map(|key| key.data.clone()).unwrap_or_default(),
            nat: nat.unwrap_or_default(),
            remote_spi: header.responder_spi,
            message: datagram.octets.to_vec(),
        }))
    }

    /// What the peer has chosen, or why that is of no use to us.
    fn usable_choice(&self, header: &IkeHeader, payloads: &Payloads) -> Result<Chosen<IkeSuite>, String> {
        rules::check(ExchangeType::IKE_SA_INIT, true, payloads.as_slice())
            .map_err(|error| error.to_string())?;
        let (Some(sa), Some(key)) = (payloads.sa(), payloads.key_exchange()) else {
            return Err(String::from("neither an error nor SA and KE payloads"));
        };
        if header.responder_spi.is_zero() {
            return Err(String::from("the responder's SPI is zero"));
        }
        let chosen = confirm_ike(&self.offer, sa)
            .map_err(|mismatch| alloc::format!("the peer chose what was not offered: {mismatch}"))?;
        // RFC 7296 3.3.1: the first IKE SA's SPIs are in the header, and nowhere else.
        if !chosen.spi.is_empty() {
            return Err(alloc::format!("SPI {:02x?} in the SA payload", chosen.spi));
        }
        let group = chosen.suite.key_exchange;
        if group != self.group || key.group != self.group {
            return Err(alloc::format!(
                "the peer chose {group} and sent a value for {}, we sent one for {}",
                key.group,
                self.group
            ));
        }
        Ok(chosen)
    }

    /// Acts on an answer. Failure is a state, too.
    pub(crate) fn advance(mut self: Box<Self>, cx: &mut Context<'_>, answer: InitAnswer) -> State {
        match answer {
            InitAnswer::Cookie(cookie) => {
                self.cookie = Some(cookie);
                self.restarts = self.restarts.saturating_add(1);
                self.send(cx);
                State::InitSent(self)
            }
            InitAnswer::Group(group) => self.restart(cx, group),
            InitAnswer::Complaint(reason) => {
                if self.complaint.is_none() {
                    self.attempt.hint(cx, reason.clone());
                }
                self.complaint = Some(reason);
                State::InitSent(self)
            }
            InitAnswer::Accept(accepted) => self.finish(cx, *accepted),
        }
    }

    fn restart(mut self: Box<Self>, cx: &mut Context<'_>, group: KeyExchangeId) -> State {
        let Some(algorithm) = cx.provider.key_exchange(group) else {
            let offered = self.groups();
            return self.attempt.fail(cx, FailReason::KeyExchangeRejected { wanted: group, offered });
        };
        self.restarts = self.restarts.saturating_add(1);
        self.pending = algorithm.initiate(cx.rng);
        self.group = group;
        self.tried.push(group);
        // The nonce stays, because a cookie that the peer may have given is for this nonce (RFC 7296 2.6.1).
        self.send(cx);
        State::InitSent(self)
    }

    /// The answer's public value is of no use, and with it our half of the exchange is spent. Nobody vouches
    /// for that answer, so that a better one gets its chance.
    fn unusable(mut self: Box<Self>, cx: &mut Context<'_>) -> State {
        if self.restarts >= MOST_RESTARTS {
            let problem = alloc::format!("invalid public value for {}", self.group);
            let exchange = ExchangeType::IKE_SA_INIT;
            return self.attempt.fail(cx, FailReason::Protocol { exchange, problem });
        }
        self.tried.retain(|group| *group != self.group);
        let group = self.group;
        self.restart(cx, group)
    }

    fn finish(mut self: Box<Self>, cx: &mut Context<'_>, accepted: Accepted) -> State {
        let pending = core::mem::replace(&mut self.pending, Box::new(Spent(self.group)));
        let Ok(shared) = pending.complete(&accepted.public) else { return self.unusable(cx) };
        let Self { mut attempt, nonce, mut window, message, .. } = *self;
        let nat = accepted.nat;
        let encapsulation = attempt.peer.encapsulation;
        if encapsulation == Encapsulation::Never && nat.any() {
            return attempt.fail(cx, FailReason::NatForbidden);
        }
        let esp_in_udp = encapsulation == Encapsulation::Force || nat.any();
        if esp_in_udp && !attempt.route.encapsulated {
            // RFC 7296 2.23: from IKE_AUTH on, both ports move.
            attempt.route.path.local.set_port(cx.config.nat_t_port);
            attempt.route.path.remote.set_port(NAT_T_PORT);
            attempt.route.encapsulated = true;
        }
        let suite = accepted.chosen.suite;
        let Some(keys) = derive(cx, &suite, &shared, &attempt, &nonce, &accepted) else {
            let problem = "keys cannot be derived".to_string();
            return attempt.fail(cx, FailReason::Protocol { exchange: ExchangeType::IKE_SA_INIT, problem });
        };
        window.complete();
        let sa = IkeSa {
            local_spi: attempt.local_spi,
            remote_spi: accepted.remote_spi,
            initiator: true,
            suite,
            keys,
            window,
        };
        let transcript = Transcript {
            local_message: message,
            remote_message: accepted.message,
            local_nonce: nonce,
            remote_nonce: accepted.nonce,
        };
        State::KeyWanted(Box::new(KeyWanted::new(cx, attempt, sa, transcript, nat, esp_in_udp)))
    }

    /// Repeats the message, or gives up.
    pub(crate) fn handle_timeout(mut self: Box<Self>, cx: &mut Context<'_>) -> State {
        let route = self.attempt.route;
        let plan = self.attempt.peer.retransmission;
        match self.window.overdue(cx.now, &plan, cx.rng) {
            crate::window::Overdue::NotYet => State::InitSent(self),
            crate::window::Overdue::Repeat(octets) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                cx.transmit(route.path, route.encapsulated, &octets);
                State::InitSent(self)
            }
            crate::window::Overdue::GiveUp { exchange, sent } => {
                let reason = self.complaint.take();
                let reason = reason.unwrap_or(FailReason::Timeout { exchange, sent, hint: None });
                self.attempt.fail(cx, reason)
            }
        }
    }

    fn groups(&self) -> Vec<KeyExchangeId> {
        let mut groups: Vec<KeyExchangeId> =
            self.proposals.iter().flat_map(|proposal| proposal.key_exchange.iter().copied()).collect();
        let mut seen = Vec::new();
        groups.retain(|group| {
            !seen.contains(group) && {
                seen.push(*group);
                true
            }
        });
        groups
    }

    fn refusal(&self, kind: NotifyType) -> FailReason {
        if kind == NotifyType::NO_PROPOSAL_CHOSEN {
            let offered = self.proposals.iter().map(ToString::to_string).collect();
            return FailReason::ProposalRejected { offered };
        }
        FailReason::PeerError { exchange: ExchangeType::IKE_SA_INIT, code: kind.0, notify: kind.to_string() }
    }
}

/// What is left of a key exchange that has been completed.
struct Spent(KeyExchangeId);

impl PendingKeyExchange for Spent {
    fn id(&self) -> KeyExchangeId {
        self.0
    }

    fn public(&self) -> &[u8] {
        &[]
    }

    fn complete(self: Box<Self>, _peer_public: &[u8]) -> Result<Secret, KeyExchangeError> {
        Err(KeyExchangeError::OutOfRange)
    }
}

fn derive(
    cx: &Context<'_>,
    suite: &IkeSuite,
    shared: &Secret,
    attempt: &Attempt,
    nonce: &[u8],
    accepted: &Accepted,
) -> Option<IkeKeys> {
    let from = Contributions {
        initiator_nonce: nonce,
        responder_nonce: &accepted.nonce,
        initiator_spi: attempt.local_spi,
        responder_spi: accepted.remote_spi,
    };
    IkeKeys::first(cx.provider, suite, shared, from).ok()
}
