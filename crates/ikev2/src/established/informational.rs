//! INFORMATIONAL: deletes, signs of life, notifications (RFC 7296 1.4).

use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi};
use ikebana_ike::{ChildHandle, CloseReason, RemoveReason};
use ikebana_proposals::ProtocolId;

use super::{End, Established, Exchange, Fate, LEG_LINGER, LINGER};
use crate::child::ChildState;
use crate::context::Context;
use crate::payloads::Payloads;
use crate::sa::{Request, Route};
use crate::wire::{DeletePayload, NotifyType, Payload};

impl Established {
    /// Answers the peer's request.
    pub(super) fn accept_informational(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        request: &Request,
        payloads: &Payloads,
    ) -> Option<End> {
        if payloads.deletes().any(|delete| matches!(delete, DeletePayload::Ike)) {
            // RFC 7296 1.4.1: the answer to the end of an IKE SA is empty, whatever else was deleted with it.
            self.respond(cx, spi, route, request, &[]);
            return self.leg_deleted_by_peer(cx, spi);
        }
        let mut answer = Vec::new();
        for delete in payloads.deletes() {
            let ours: Vec<EspSpi> = delete
                .spis()
                .iter()
                .filter_map(|theirs| self.child_deleted_by_peer(cx, delete.protocol(), *theirs))
                .collect();
            if !ours.is_empty() {
                answer.extend(DeletePayload::children(delete.protocol(), ours).map(Payload::Delete));
            }
        }
        self.respond(cx, spi, route, request, &answer);
        // RFC 7296 2.21.2: an initiator that could not authenticate us, or make sense of our IKE_AUTH, says so
        // after the fact.
        let fatal = payloads.notify(NotifyType::AUTHENTICATION_FAILED);
        let fatal = fatal.or_else(|| payloads.notify(NotifyType::INVALID_SYNTAX));
        fatal.map(|notify| {
            let reason =
                CloseReason::PeerError { code: notify.kind.0, notify: alloc::format!("{}", notify.kind) };
            End::Silent(reason, RemoveReason::IkeSaGone)
        })
    }

    /// The peer deleted the leg with our SPI `spi`.
    fn leg_deleted_by_peer(&mut self, cx: &mut Context<'_>, spi: IkeSpi) -> Option<End> {
        let heir = self.rival_of(spi);
        if spi == self.current && heir.is_none() {
            return Some(End::ByPeer(spi));
        }
        self.forget_rival(spi);
        // Whatever we had asked over this leg will not be answered any more.
        let exchange = self.leg_mut(spi).and_then(|leg| {
            leg.sa.window.complete();
            leg.exchange.take()
        });
        let gone = Fate::Gone(cx.now + LEG_LINGER);
        match heir {
            // Both sides were replacing it, and the peer has seen that its own exchange won.
            Some(heir) => self.switch(cx, spi, heir, gone),
            None => self.set_fate(spi, gone),
        }
        if let Some(exchange) = exchange {
            self.abandon(cx, exchange);
        }
        None
    }

    /// The peer deleted the pair whose outbound SPI is `theirs`; returns what we delete in return.
    fn child_deleted_by_peer(
        &mut self,
        cx: &mut Context<'_>,
        protocol: ProtocolId,
        theirs: EspSpi,
    ) -> Option<EspSpi> {
        let Some(handle) = self.child_of_peer(protocol, theirs) else {
            self.note_early_delete(theirs);
            return None;
        };
        let child = self.children.get(&handle)?;
        let (inbound, state) = (child.inbound, child.state);
        match state {
            // It has been deleted and answered before.
            ChildState::Lingering(_) => None,
            ChildState::Deleting => {
                let told = self.is_delete_under_way(handle);
                self.queue.forget_child(handle);
                self.bury(cx, handle, RemoveReason::Peer);
                // RFC 7296 1.4.1: both deletes cross; each side names its SA once.
                (!told).then_some(inbound)
            }
            ChildState::Installed | ChildState::Replaced { .. } => {
                match self.replacement_of(handle) {
                    Some(new) => self.retire(cx, handle, new),
                    None => {
                        self.forget_rival_child(handle);
                        self.remove_child(cx, handle, RemoveReason::Peer);
                        self.restore_what_it_replaced(handle);
                    }
                }
                Some(inbound)
            }
        }
    }

    /// The pair that the peer has made in place of `old`, if it has.
    pub(super) fn replacement_of(&self, old: ChildHandle) -> Option<ChildHandle> {
        if let ChildState::Replaced { by, .. } = self.children.get(&old)?.state {
            return self.children.contains_key(&by).then_some(by);
        }
        self.legs.iter().find_map(|leg| match &leg.exchange {
            Some(Exchange::Create(create)) if create.rekeys == Some(old) => {
                create.rival.as_ref().map(|rival| rival.child)
            }
            _ => None,
        })
    }

    /// The peer uses `new` now and has deleted `old`: so do we, except for what may still be on its way.
    pub(super) fn retire(&mut self, cx: &mut Context<'_>, old: ChildHandle, new: ChildHandle) {
        if let Some(child) = self.children.get_mut(&new) {
            child.release_outbound(cx);
        }
        self.queue.forget_child(old);
        if let Some(child) = self.children.get_mut(&old) {
            child.remove_outbound(cx, RemoveReason::Rekeyed);
            child.state = ChildState::Lingering(cx.now + LINGER);
        }
    }

    /// The peer took back a pair that it had made in place of another: the other one stays.
    fn restore_what_it_replaced(&mut self, new: ChildHandle) {
        for child in self.children.values_mut() {
            if matches!(child.state, ChildState::Replaced { by, .. } if by == new) {
                child.state = ChildState::Installed;
            }
        }
    }

    /// The peer deleted what it had made in a race with our own exchange.
    fn forget_rival_child(&mut self, child: ChildHandle) {
        for leg in &mut self.legs {
            if let Some(Exchange::Create(create)) = &mut leg.exchange
                && create.rival.as_ref().is_some_and(|rival| rival.child == child)
            {
                create.rival = None;
            }
        }
    }

    fn is_delete_under_way(&self, child: ChildHandle) -> bool {
        self.legs.iter().any(|leg| match &leg.exchange {
            Some(Exchange::DeleteChildren(children)) => children.contains(&child),
            _ => false,
        })
    }

    fn note_early_delete(&mut self, spi: EspSpi) {
        for leg in &mut self.legs {
            if let Some(Exchange::Create(create)) = &mut leg.exchange {
                create.note_early_delete(spi);
            }
        }
    }

    /// The peer has answered our delete, or never will.
    pub(super) fn children_deleted(&mut self, cx: &mut Context<'_>, children: &[ChildHandle]) {
        for handle in children {
            self.bury(cx, *handle, RemoveReason::Local);
        }
    }

    /// Both sides have deleted a pair. What was replaced still takes the packets that are on their way.
    fn bury(&mut self, cx: &mut Context<'_>, handle: ChildHandle, otherwise: RemoveReason) {
        let Some(child) = self.children.get_mut(&handle) else { return };
        match child.fate {
            Some(RemoveReason::Rekeyed) => child.state = ChildState::Lingering(cx.now + LINGER),
            fate => self.remove_child(cx, handle, fate.unwrap_or(otherwise)),
        }
    }
}
