//! CREATE_CHILD_SA for child SAs: what comes back to our requests.

use alloc::string::String;
use core::time::Duration;

use ikebana_core::IkeSpi;
use ikebana_core::random::jitter;
use ikebana_ike::{ChildFailure, ChildHandle, RemoveReason};
use ikebana_proposals::KeyExchangeId;

use super::create::CreateExchange;
use super::{Established, REPLACED_TIMEOUT, Task};
use crate::child::{Agreed, Child, ChildState};
use crate::collision::{Nonces, Winner, decide};
use crate::context::Context;
use crate::payloads::{Payloads, wanted_group};
use crate::wire::{NotifyPayload, NotifyType};

/// How long we leave a peer alone that is busy (RFC 7296 2.25), at the least; chance adds as much again.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// How long a refused rekey waits for the next attempt.
const REFUSED_WAIT: Duration = Duration::from_secs(20);

impl Established {
    /// The peer has answered our request.
    pub(super) fn created(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        mut create: CreateExchange,
        payloads: &Payloads,
    ) {
        if let Some(error) = payloads.error() {
            self.create_refused(cx, create, error);
            return;
        }
        match self.agree(cx, spi, &mut create, payloads) {
            Ok(agreed) => self.install_created(cx, &create, agreed),
            Err(failure) => {
                // The peer believes that it has made an SA; it has to hear that it has not.
                let protocol = create.offer.protocol();
                self.queue.push(cx.now, Task::DeleteStray(protocol, create.spi()));
                cx.release_esp_spi(create.spi());
                self.not_created(cx, &create, failure);
            }
        }
    }

    fn agree(
        &self,
        cx: &Context<'_>,
        spi: IkeSpi,
        create: &mut CreateExchange,
        payloads: &Payloads,
    ) -> Result<Agreed, ChildFailure> {
        let missing = |what: &str| ChildFailure::Protocol(alloc::format!("{what} missing"));
        let terms = create.offer.check(payloads, &self.ends)?;
        create.peer_nonce = payloads.nonce().ok_or_else(|| missing("nonce"))?.to_vec();
        let shared = match (terms.chosen.suite.key_exchange, create.fresh.take()) {
            (None, _) => None,
            (Some(group), Some(fresh)) if fresh.group == group => {
                let theirs = payloads.key_exchange().ok_or_else(|| missing("KE payload"))?;
                if theirs.group != group {
                    return Err(ChildFailure::Protocol(alloc::format!(
                        "KE payload of {} for the chosen {group}",
                        theirs.group
                    )));
                }
                let shared = fresh.pending.complete(&theirs.data);
                Some(shared.map_err(|error| ChildFailure::Protocol(alloc::format!("{error}")))?)
            }
            (Some(group), _) => {
                return Err(ChildFailure::Protocol(alloc::format!(
                    "the peer chose {group}, which is not the key exchange we sent"
                )));
            }
        };
        let leg = self.leg(spi).ok_or(ChildFailure::IkeSaGone)?;
        let suite = terms.chosen.suite;
        let keys = leg.sa.keys.child(cx.provider, &suite, shared.as_ref(), &create.nonce, &create.peer_nonce);
        let (outbound_keys, inbound_keys) =
            keys.map_err(|_| ChildFailure::Protocol(String::from("keys cannot be derived")))?;
        Ok(Agreed {
            config: create.offer.config.clone(),
            suite,
            mode: terms.mode,
            inbound: create.spi(),
            outbound: terms.outbound,
            local: terms.local,
            remote: terms.remote,
            inbound_keys,
            outbound_keys,
            extras: terms.extras,
            replaces: create.rekeys,
        })
    }

    fn install_created(&mut self, cx: &mut Context<'_>, create: &CreateExchange, agreed: Agreed) {
        let peer_deleted_it = create.was_deleted_early(agreed.outbound);
        let winner = create.rival.as_ref().map(|rival| {
            // The nonces of our exchange: ours as its initiator, and the peer's.
            let ours = Nonces { initiator: &create.nonce, responder: &create.peer_nonce };
            decide(ours, rival.nonces())
        });
        let lost = winner == Some(Winner::Peers);
        let old = create.rekeys.and_then(|old| self.children.get(&old));
        // The application has deleted the pair meanwhile, and cannot know of this one.
        let unwanted = old.is_some_and(|old| old.fate == Some(RemoveReason::Local));
        let child = Child::install(cx, agreed, self.carrier(), lost || peer_deleted_it);
        let new = child.handle;
        self.children.insert(new, child);
        if lost {
            self.yield_to_rival(cx, create);
            self.mark_deleting(cx, new, RemoveReason::Redundant);
        } else if let Some(old) = create.rekeys {
            // RFC 7296 2.8: whoever replaced the SA deletes it.
            self.mark_deleting(cx, old, RemoveReason::Rekeyed);
            if let Some(rival) = &create.rival
                && let Some(redundant) = self.children.get_mut(&rival.child)
            {
                redundant.yield_to(new, cx.now + REPLACED_TIMEOUT);
            }
        }
        if peer_deleted_it {
            self.remove_child(cx, new, RemoveReason::Peer);
        }
        if unwanted {
            let heir = create.rival.as_ref().filter(|_| lost).map_or(new, |rival| rival.child);
            self.mark_deleting(cx, heir, RemoveReason::Local);
        }
    }

    fn create_refused(&mut self, cx: &mut Context<'_>, mut create: CreateExchange, error: &NotifyPayload) {
        match error.kind {
            NotifyType::INVALID_KE_PAYLOAD => {
                let groups = create.offer.groups();
                let wanted = wanted_group(error).filter(|group| {
                    *group != KeyExchangeId::NONE && groups.contains(group) && !create.tried.contains(group)
                });
                if wanted.is_some() {
                    self.send_create(cx, create, wanted);
                    return;
                }
            }
            NotifyType::SINGLE_PAIR_REQUIRED if create.offer.narrow_to_single_pair(&self.ends) => {
                let group = create.tried.last().copied();
                self.send_create(cx, create, group);
                return;
            }
            NotifyType::CHILD_SA_NOT_FOUND if create.rekeys.is_some() => {
                cx.release_esp_spi(create.spi());
                self.rekeyed_child_is_unknown(cx, &create);
                return;
            }
            _ => {}
        }
        cx.release_esp_spi(create.spi());
        let failure = create.offer.failure(error);
        self.not_created(cx, &create, failure);
    }

    /// RFC 7296 2.25.1: the peer does not know the SA we want to replace. We delete it, and make a new one
    /// unless the peer has done so itself.
    fn rekeyed_child_is_unknown(&mut self, cx: &mut Context<'_>, create: &CreateExchange) {
        let Some(old) = create.rekeys else { return };
        if let Some(rival) = &create.rival {
            self.retire(cx, old, rival.child);
        } else if self.children.get(&old).is_some_and(|old| old.state == ChildState::Installed) {
            // If it was the peer's request that made the pair, the peer may not have had our answer yet; the
            // delete says not to use it when that comes.
            self.mark_deleting(cx, old, RemoveReason::Peer);
            self.queue.push(cx.now, Task::Create(create.offer.config.clone(), None));
        }
    }

    /// Nothing came of it. A rekey is tried again while the old pair lasts.
    fn not_created(&mut self, cx: &mut Context<'_>, create: &CreateExchange, failure: ChildFailure) {
        let overtaken = self.yield_to_rival(cx, create);
        let busy = failure == ChildFailure::Temporary;
        let wait = if busy { BUSY_WAIT } else { REFUSED_WAIT };
        let again = cx.now + wait + jitter(cx.rng, wait);
        match create.rekeys {
            Some(_) if overtaken => return,
            Some(old) => match self.children.get_mut(&old) {
                Some(child) if child.state == ChildState::Installed => child.soft = Some(again),
                // It was deleted meanwhile, which is why the peer was busy.
                _ => return,
            },
            None if busy => {
                self.queue.push(again, Task::Create(create.offer.config.clone(), create.offer.flow));
            }
            None => {}
        }
        if !busy {
            self.child_failed(cx, Some(&create.offer.config), create.rekeys, failure);
        }
    }

    /// Removes a pair on our side; the peer knows, or will not answer.
    pub(super) fn remove_child(&mut self, cx: &mut Context<'_>, handle: ChildHandle, reason: RemoveReason) {
        self.queue.forget_child(handle);
        if let Some(child) = self.children.remove(&handle) {
            child.remove(cx, reason);
        }
    }
}
