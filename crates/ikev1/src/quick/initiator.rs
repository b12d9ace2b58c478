//! A quick mode of ours.

use alloc::string::ToString;
use alloc::vec::Vec;

use ikebana_core::EspSpi;
use ikebana_ike::{ChildFailure, ChildHandle, DropReason, ExchangeType, Mode};
use ikebana_proposals::KeyExchangeId;
use ikebana_proposals::ikev1::sa::SaPayload;
use ikebana_proposals::ikev1::{Phase2Life, Phase2Offer, confirm_phase2, offer_phase2, pfs_groups, phase2};

use super::payloads::Body;
use super::{FreshKey, Setting, Wanted, lowest, protocol};
use crate::children::Agreed;
use crate::context::Context;
use crate::isakmp::{Hashed, Isakmp, Iv, Opened};
use crate::keys::ChildSeed;
use crate::lifetimes;
use crate::selectors;
use crate::wire::{IdPayload, NotifyPayload, NotifyType, Payload};

/// The flag by which a side asks the other one to wait for its word (RFC 2408 3.1).
const COMMIT: u8 = 0x02;

/// SPIs of deletes that came too early are remembered up to this many.
const EARLY_DELETES: usize = 16;

/// Our first message is out.
pub(crate) struct Initiator {
    pub(crate) wanted: Wanted,
    /// Our inbound SPI.
    pub(crate) spi: EspSpi,
    /// The pair that the new one is to replace.
    pub(crate) rekeys: Option<ChildHandle>,
    /// When it began, in the order of the association's exchanges.
    pub(crate) began: u64,
    /// Whether the application has deleted the pair that is being replaced.
    pub(crate) unwanted: bool,
    setting: Setting,
    protocol: phase2::Protocol,
    offered: SaPayload,
    ids: [IdPayload; 2],
    nonce: Vec<u8>,
    group: Option<KeyExchangeId>,
    fresh: Option<FreshKey>,
    /// What the next message is decrypted with.
    iv: Iv,
    /// SPIs that the peer deleted while we did not know them. One of them may be what this exchange makes.
    deleted: Vec<EspSpi>,
}

/// What the peer's answer made of it.
pub(crate) struct Concluded {
    pub(crate) agreed: Agreed,
    /// Message 3, to send once the pair is installed.
    pub(crate) last: Vec<u8>,
    /// Whether the peer asked us to wait for its word before we use the pair (RFC 2408 3.1, the commit bit).
    pub(crate) commit: bool,
    /// Whether the peer has already deleted what it made.
    pub(crate) deleted: bool,
    /// What the messages after message 3 are decrypted with.
    pub(crate) iv: Iv,
}

/// Which exchange this is: what the association has decided before it begins.
pub(crate) struct Start {
    pub(crate) wanted: Wanted,
    pub(crate) rekeys: Option<ChildHandle>,
    pub(crate) began: u64,
    pub(crate) message_id: u32,
    pub(crate) setting: Setting,
}

impl Initiator {
    /// Makes an offer and the message that carries it.
    pub(crate) fn start(
        cx: &mut Context<'_>,
        isakmp: &Isakmp,
        start: Start,
    ) -> Result<(Self, Vec<u8>), ChildFailure> {
        let Start { wanted, rekeys, began, message_id, setting } = start;
        let ids = [selectors::to_id(&wanted.local), selectors::to_id(&wanted.remote)];
        let [Some(local_id), Some(remote_id)] = ids else {
            return Err(protocol("an IKEv1 message cannot say these traffic selectors"));
        };
        let config = &wanted.config;
        let proposals = super::usable(cx.provider, &config.proposals);
        let spi = cx.esp_spi();
        // RFC 2409 5.5: one KE payload, so all transforms have the same group.
        let group = pfs_groups(&proposals).first().copied().flatten();
        let mode = super::encapsulation(config.mode, &setting);
        let life = lifetimes::offered(&config.lifetime);
        let offered = offer_phase2(&proposals, &Phase2Offer { spi, mode, group, life });
        let Some(proposal) = offered.proposals.first() else {
            cx.release_esp_spi(spi);
            return Err(protocol("none of the configured proposals can be carried out here"));
        };
        let protocol_id = proposal.protocol;
        let fresh = group.and_then(|group| FreshKey::new(cx, group));
        let mut exchange = Self {
            wanted,
            spi,
            rekeys,
            began,
            unwanted: false,
            setting,
            protocol: protocol_id,
            offered,
            ids: [local_id, remote_id],
            nonce: cx.nonce(),
            group,
            fresh,
            iv: isakmp.exchange_iv(message_id),
            deleted: Vec::new(),
        };
        let payloads = exchange.payloads();
        let header = isakmp.header(ExchangeType::QUICK_MODE, message_id);
        let mut iv = exchange.iv;
        match isakmp.seal_with_hash(&mut iv, &header, Hashed::First, &payloads) {
            Ok(octets) => {
                exchange.iv = iv;
                Ok((exchange, octets))
            }
            Err(_) => {
                cx.release_esp_spi(spi);
                Err(protocol("our offer is too long for a message"))
            }
        }
    }

    /// Has it continue from another first message than its own.
    #[cfg(test)]
    pub(super) fn pretend(&mut self, offered: SaPayload, nonce: Vec<u8>, fresh: Option<FreshKey>, iv: Iv) {
        let spi = offered.proposals.first().and_then(|proposal| proposal.spi.as_slice().try_into().ok());
        self.spi = spi.map(u32::from_be_bytes).and_then(EspSpi::new).unwrap_or(self.spi);
        (self.offered, self.nonce, self.fresh, self.iv) = (offered, nonce, fresh, iv);
    }

    fn payloads(&self) -> Vec<Payload> {
        let [local, remote] = &self.ids;
        let mut payloads = Vec::from([Payload::Sa(self.offered.clone()), Payload::Nonce(self.nonce.clone())]);
        payloads
            .extend(self.fresh.as_ref().map(|fresh| Payload::KeyExchange(fresh.pending.public().to_vec())));
        payloads.push(Payload::Id(local.clone()));
        payloads.push(Payload::Id(remote.clone()));
        if self.wanted.config.mode == Mode::Transport && self.setting.udp {
            // RFC 3947 5.2: NAT-OAi, NAT-OAr.
            payloads.extend(super::original_addresses(
                [self.setting.local, self.setting.remote],
                self.setting.draft,
            ));
        }
        payloads
    }

    /// Checks message 2. Nothing changes.
    pub(crate) fn verify(&self, isakmp: &Isakmp, octets: &[u8]) -> Result<Opened, DropReason> {
        let opened = isakmp.decrypt(self.iv, octets)?;
        let hashed = Hashed::Second { initiator_nonce: &self.nonce };
        if isakmp.verify(&opened, hashed) { Ok(opened) } else { Err(DropReason::BadIntegrity) }
    }

    /// ESP or AH.
    pub(crate) const fn protocol(&self) -> phase2::Protocol {
        self.protocol
    }

    /// Whether an error notification can be about this exchange: it names our SPI, or none.
    pub(crate) fn may_be_meant_by(&self, error: &NotifyPayload) -> bool {
        // strongSwan sends four zeros where it had not read so far as to know the SPI.
        let names_none = error.spi.len() != 4 || error.spi == [0; 4];
        names_none || error.spi == self.spi.to_be_bytes()
    }

    /// Remembers that the peer deleted an SA we have not heard of.
    pub(crate) fn note_early_delete(&mut self, spi: EspSpi) {
        if self.deleted.len() < EARLY_DELETES {
            self.deleted.push(spi);
        }
    }

    /// Draws the conclusions from message 2. On failure our SPI is still reserved.
    pub(crate) fn conclude(
        &mut self,
        cx: &mut Context<'_>,
        isakmp: &Isakmp,
        opened: &Opened,
    ) -> Result<Concluded, ChildFailure> {
        let body = Body::read(&opened.payloads).map_err(ChildFailure::Protocol)?;
        let terms = confirm_phase2(&self.offered, body.sa).map_err(|mismatch| {
            ChildFailure::Protocol(alloc::format!("the peer chose what was not offered: {mismatch}"))
        })?;
        self.check_ids(&body)?;
        let shared = match (self.fresh.take(), body.key_exchange) {
            (None, None) => None,
            (Some(fresh), Some(theirs)) => {
                let shared = fresh.pending.complete(theirs);
                Some(shared.map_err(|error| ChildFailure::Protocol(error.to_string()))?)
            }
            (None, Some(_)) => return Err(protocol("a KE payload that was not asked for")),
            (Some(_), None) => return Err(protocol("KE payload missing")),
        };
        let seed = ChildSeed {
            protocol: self.protocol,
            spi: self.spi,
            initiator_nonce: &self.nonce,
            responder_nonce: body.nonce,
            shared: shared.as_ref(),
        };
        let cannot = |_| protocol("keys cannot be derived");
        let inbound_keys = isakmp.keymat(cx.provider, &terms.suite, &seed).map_err(cannot)?;
        let seed = ChildSeed { spi: terms.spi, ..seed };
        let outbound_keys = isakmp.keymat(cx.provider, &terms.suite, &seed).map_err(cannot)?;
        let message_id = opened.header.message_id;
        let header = isakmp.header(ExchangeType::QUICK_MODE, message_id);
        let mut iv = opened.next_iv;
        let hashed = Hashed::Third { initiator_nonce: &self.nonce, responder_nonce: body.nonce };
        let last = isakmp.seal_with_hash(&mut iv, &header, hashed, &[]).map_err(cannot)?;
        let config = self.wanted.config.clone();
        let theirs = self.responder_lifetime(&body);
        let lifetime = lifetimes::effective(&config.lifetime, &[terms.life, theirs]).jittered(cx.rng);
        let mode = config.mode;
        let (local, remote) = self.setting.readdressed(mode, self.wanted.local, self.wanted.remote);
        let agreed = Agreed {
            suite: terms.suite,
            mode,
            inbound: self.spi,
            outbound: terms.spi,
            local,
            remote,
            inbound_keys,
            outbound_keys,
            replaces: self.rekeys,
            over: isakmp.local_cookie(),
            lifetime,
            initiated: true,
            began: self.began,
            lowest_nonce: lowest(&self.nonce, body.nonce),
            config,
        };
        let commit = opened.header.flags.has(COMMIT);
        Ok(Concluded { agreed, last, commit, deleted: self.deleted.contains(&terms.spi), iv })
    }

    /// RFC 2409 5.5: the responder repeats the identities. It cannot change them.
    fn check_ids(&self, body: &Body<'_>) -> Result<(), ChildFailure> {
        let mode = self.wanted.config.mode;
        let said = |id: &IdPayload| selectors::from_id(id);
        let (local, remote) = match body.ids {
            Some([local, remote]) => (said(local), said(remote)),
            // Without identities the SAs are for the outer addresses.
            None => (selectors::of_address(self.setting.local), selectors::of_address(self.setting.remote)),
        };
        if let (Some(local), Some(remote)) = (local, remote) {
            let offered = self.setting.readdressed(mode, self.wanted.local, self.wanted.remote);
            if self.setting.readdressed(mode, local, remote) == offered {
                return Ok(());
            }
            return Err(ChildFailure::Protocol(alloc::format!(
                "the peer answered with local {local} remote {remote}, not the offered local {} remote {}",
                self.wanted.local,
                self.wanted.remote
            )));
        }
        Err(protocol("the peer answered with identities that are no addresses"))
    }

    /// RFC 2407 4.6.3.1: a responder whose policy has a shorter lifetime says so.
    fn responder_lifetime(&self, body: &Body<'_>) -> Phase2Life {
        let notify = body.notify(NotifyType::RESPONDER_LIFETIME);
        notify.and_then(lifetimes::said_by).unwrap_or_default()
    }

    /// What an error notification in its own exchange means for this one.
    pub(crate) fn failure(&self, error: &NotifyPayload) -> ChildFailure {
        let name = || error.kind.to_string();
        match error.kind {
            NotifyType::NO_PROPOSAL_CHOSEN
            | NotifyType::ATTRIBUTES_NOT_SUPPORTED
            | NotifyType::BAD_PROPOSAL_SYNTAX => ChildFailure::ProposalRejected {
                offered: self.wanted.config.proposals.iter().map(ToString::to_string).collect(),
            },
            NotifyType::INVALID_ID_INFORMATION => ChildFailure::SelectorsRejected {
                notify: name(),
                local: self.wanted.local.into(),
                remote: self.wanted.remote.into(),
            },
            NotifyType::INVALID_KEY_INFORMATION => ChildFailure::KeyExchangeRejected {
                wanted: KeyExchangeId::NONE,
                offered: self.group.into_iter().collect(),
            },
            kind => ChildFailure::PeerError { code: kind.0, notify: name() },
        }
    }
}
