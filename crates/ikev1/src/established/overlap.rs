//! Which pair replaces which, and when the old one goes.
//!
//! IKEv1 says neither that a pair replaces another one nor that a side is ready for it, so all this is up to the
//! two sides. A packet must never be lost over it. Both pairs stay, in both directions, until it is certain that
//! the peer uses the new one, or until long after it should. Then the side that made the new pair deletes the old
//! one, and if it forgets, the other side does.
//!
//! If both sides replace one pair at the same moment, both new pairs are good. The one with the lowest nonce goes,
//! which is the rule of IKEv2 (RFC 7296 2.8.1); but only if the other one is still there when it does, since not
//! every peer follows that rule.

use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::random::jitter;
use ikebana_core::{EspSpi, Instant};
use ikebana_ike::{ChildHandle, RemoveReason};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::Established;
use super::asked::HOLD;
use crate::children::{Child, ChildState};
use crate::context::{Context, Note};
use crate::quick::protocol_of;

/// How long after our last message of a quick mode the pair that it replaces is deleted, if nothing is heard.
/// Longer than a peer waits before it repeats the message before that: until it has our last one, it sends with
/// the old pair.
const OVERLAP: Duration = Duration::from_secs(30);

/// How long we wait for a peer to delete what it has replaced, before we do.
const GRACE: Duration = Duration::from_secs(60);

/// How long the old pair stays once the peer has been seen to use the new one.
const SWITCHED: Duration = Duration::from_secs(3);

/// How long a pair whose replacement came to nothing waits for the next attempt.
pub(super) const REFUSED_WAIT: Duration = Duration::from_secs(20);

/// How long a deleted inbound SA still takes packets that were on their way.
const LINGER: Duration = Duration::from_secs(3);

impl Established {
    /// A new pair is in use. What it replaces begins to go.
    pub(super) fn resolve(&mut self, cx: &Context<'_>, new: ChildHandle) {
        let Some(child) = self.children.get(&new) else { return };
        let (began, replaces) = (child.began, child.replaces);
        let mut replaced = Vec::new();
        let mut lost = None;
        for twin in self.children.values().filter(|twin| twin.is_twin_of(child)) {
            match twin.state {
                ChildState::Installed if replaces == Some(twin.handle) => replaced.push(twin.handle),
                // One that was there before and is not replaced is there for a reason of its own.
                ChildState::Installed if twin.ready < began => {}
                // Both were in the making at once.
                ChildState::Installed if twin.lowest_nonce < child.lowest_nonce => replaced.push(twin.handle),
                ChildState::Installed => lost = Some(twin.handle),
                ChildState::Pending | ChildState::Replaced { .. } | ChildState::Lingering(_) => {}
            }
        }
        for old in replaced {
            self.replace(cx.now, old, new);
        }
        if let Some(winner) = lost {
            self.replace(cx.now, new, winner);
        }
    }

    /// `by` takes over from `old`.
    fn replace(&mut self, now: Instant, old: ChildHandle, by: ChildHandle) {
        let Some(heir) = self.children.get(&by) else { return };
        let heir_initiated = heir.initiated;
        let is_rekey = heir.replaces == Some(old);
        self.queue.forget_child(old);
        let Some(child) = self.children.get_mut(&old) else { return };
        // Whoever made the new pair deletes the old one; of two pairs made at once, each side the one it made.
        let ours = if is_rekey { heir_initiated } else { child.initiated };
        child.state = ChildState::Replaced { by, until: now + if ours { OVERLAP } else { GRACE } };
    }

    /// The peer has missed our last message, so it still sends with what `new` replaces.
    pub(super) fn keep_what_was_replaced(&mut self, now: Instant, new: ChildHandle) {
        if let Some(hold) = self.children.get_mut(&new).and_then(|child| child.hold.as_mut()) {
            *hold = now + HOLD;
        }
        for child in self.children.values_mut() {
            if let ChildState::Replaced { by, until } = &mut child.state
                && *by == new
            {
                *until = (*until).max(now + OVERLAP);
            }
        }
    }

    /// A packet came in over this pair.
    pub(super) fn carried(&mut self, cx: &mut Context<'_>, handle: ChildHandle) {
        let Some(child) = self.children.get_mut(&handle) else { return };
        child.heard = Some(cx.now);
        if !child.initiated {
            return;
        }
        child.release_outbound(cx);
        // The peer has our last message, and has switched over.
        let Some(old) = child.replaces.and_then(|old| self.children.get_mut(&old)) else { return };
        if let ChildState::Replaced { by, until } = &mut old.state
            && *by == handle
        {
            *until = (*until).min(cx.now + SWITCHED);
        }
    }

    /// Its time is over: it goes, unless the other pair is gone or not what the peer uses.
    pub(super) fn end_overlap(&mut self, cx: &mut Context<'_>, old: ChildHandle) {
        let Some(child) = self.children.get(&old) else { return };
        let ChildState::Replaced { by, .. } = child.state else { return };
        let heir = self.children.get(&by);
        let is_good = heir.is_some_and(|heir| {
            matches!(heir.state, ChildState::Installed | ChildState::Replaced { .. })
                && !heir.is_outbound_held()
        });
        // It may be that the peer has lost the new one, or that it cannot decide. It gets another minute.
        let preferred = !child.postponed && heir.is_some_and(|heir| child.heard > heir.heard);
        let (protocol, inbound) = (protocol_of(&child.suite), child.inbound);
        if !is_good {
            self.restore(cx, old);
        } else if preferred {
            if let Some(child) = self.children.get_mut(&old) {
                child.postponed = true;
                child.state = ChildState::Replaced { by, until: cx.now + GRACE };
            }
        } else {
            self.tell_deleted(cx, protocol, Vec::from([inbound]));
            self.retire(cx, old);
        }
    }

    /// It is in use again: what took its place is gone.
    fn restore(&mut self, cx: &mut Context<'_>, old: ChildHandle) {
        if let Some(child) = self.children.get_mut(&old)
            && matches!(child.state, ChildState::Replaced { .. })
        {
            child.state = ChildState::Installed;
        }
        self.rekey_later(cx, old);
    }

    /// A pair whose replacement came to nothing is replaced some time later.
    pub(super) fn rekey_later(&mut self, cx: &mut Context<'_>, old: ChildHandle) {
        let later = cx.now + REFUSED_WAIT + jitter(cx.rng, REFUSED_WAIT);
        if let Some(child) = self.children.get_mut(&old).filter(|child| child.hard.is_some()) {
            child.soft = Some(child.soft.map_or(later, |soft| soft.max(later)));
        }
    }

    /// Both sides are done with a pair that was replaced. What is on its way still comes in.
    fn retire(&mut self, cx: &mut Context<'_>, old: ChildHandle) {
        self.queue.forget_child(old);
        let Some(child) = self.children.get_mut(&old) else { return };
        child.remove_outbound(cx, RemoveReason::Rekeyed);
        let heir = match child.state {
            ChildState::Replaced { by, .. } => Some(by),
            ChildState::Pending | ChildState::Installed | ChildState::Lingering(_) => None,
        };
        child.state = ChildState::Lingering(cx.now + LINGER);
        // What it had replaced itself now depends on what replaces it.
        for older in self.children.values_mut() {
            if let (ChildState::Replaced { by, .. }, Some(heir)) = (&mut older.state, heir)
                && *by == old
            {
                *by = heir;
            }
        }
    }

    /// The peer deleted the pair with this outbound SPI. Returns whether it is here.
    pub(crate) fn child_deleted_by_peer(
        &mut self,
        cx: &mut Context<'_>,
        protocol: Protocol,
        theirs: EspSpi,
    ) -> bool {
        let found = self
            .children
            .values()
            .find(|child| child.outbound == theirs && protocol_of(&child.suite) == protocol);
        let Some(child) = found else {
            for asked in self.legs.iter_mut().filter_map(super::Leg::asked_mut) {
                asked.note_early_delete(theirs);
            }
            return false;
        };
        let handle = child.handle;
        match child.state {
            ChildState::Lingering(_) => {}
            ChildState::Replaced { by, .. } => {
                if let Some(heir) = self.children.get_mut(&by) {
                    heir.release_outbound(cx);
                }
                self.retire(cx, handle);
            }
            ChildState::Pending => self.child_gone(cx, handle, RemoveReason::Peer),
            ChildState::Installed => {
                // The peer does not wait for its third message to arrive before it deletes what it replaces.
                let heir = self.children.values().find(|heir| heir.replaces == Some(handle));
                match heir.filter(|heir| heir.state == ChildState::Pending).map(|heir| heir.handle) {
                    Some(heir) => {
                        self.confirm(cx, heir);
                        self.retire(cx, handle);
                    }
                    None => self.installed_deleted_by_peer(cx, handle),
                }
            }
        }
        true
    }

    /// The peer deleted a pair that we know of no replacement for. If there is another one for its traffic, that
    /// is what the peer replaced it by, and what we took to be replaced by that one is not.
    fn installed_deleted_by_peer(&mut self, cx: &mut Context<'_>, handle: ChildHandle) {
        let Some(child) = self.children.get(&handle) else { return };
        let is_heir = |other: &&Child| {
            other.is_twin_of(child) && other.state == ChildState::Installed && !other.is_outbound_held()
        };
        let Some((heir, by_peer)) =
            self.children.values().rev().find(is_heir).map(|heir| (heir.handle, !heir.initiated))
        else {
            self.child_gone(cx, handle, RemoveReason::Peer);
            return;
        };
        let mistaken = self
            .children
            .values()
            .find(|other| by_peer && matches!(other.state, ChildState::Replaced { by, .. } if by == heir));
        if let Some(mistaken) = mistaken.map(|mistaken| mistaken.handle) {
            self.restore(cx, mistaken);
        }
        self.retire(cx, handle);
    }

    /// A pair is gone at once; what it had replaced is in use again.
    pub(super) fn child_gone(&mut self, cx: &mut Context<'_>, handle: ChildHandle, reason: RemoveReason) {
        if let Some(Child { state: ChildState::Replaced { by, .. }, .. }) = self.children.get(&handle)
            && let Some(heir) = self.children.get_mut(&{ *by })
        {
            // There is nothing left that packets could go on with meanwhile.
            heir.release_outbound(cx);
        }
        self.remove_child(cx, handle, reason);
        let orphans: Vec<ChildHandle> = self
            .children
            .values()
            .filter(|child| matches!(child.state, ChildState::Replaced { by, .. } if by == handle))
            .map(|child| child.handle)
            .collect();
        for orphan in orphans {
            self.restore(cx, orphan);
        }
    }

    /// We delete a pair. If the application wants that, so goes whatever it has replaced or is to be replaced by.
    pub(super) fn delete_child(&mut self, cx: &mut Context<'_>, handle: ChildHandle, reason: RemoveReason) {
        let Some(child) = self.children.get(&handle) else { return };
        let local = reason == RemoveReason::Local;
        let protocol = protocol_of(&child.suite);
        let mut kin = Vec::from([(handle, child.inbound)]);
        // What one of them has replaced may have replaced another one itself.
        let mut looked_at = 0;
        while let Some(&(of, _)) = kin.get(looked_at).filter(|_| local) {
            looked_at = looked_at.saturating_add(1);
            let is_kin = |other: &&Child| {
                let replaced = matches!(other.state, ChildState::Replaced { by, .. } if by == of);
                replaced || other.state == ChildState::Pending && other.replaces == Some(of)
            };
            for other in self.children.values().filter(is_kin) {
                if kin.iter().all(|(known, _)| *known != other.handle) {
                    kin.push((other.handle, other.inbound));
                }
            }
        }
        for asked in self.legs.iter_mut().filter_map(super::Leg::asked_mut) {
            if asked.rekeys == Some(handle) && local {
                asked.unwanted = true;
            }
        }
        self.tell_deleted(cx, protocol, kin.iter().map(|(_, spi)| *spi).collect());
        for (handle, _) in kin {
            self.child_gone(cx, handle, reason);
        }
    }

    /// Tells the other associations with this peer of SAs that are not here.
    pub(super) fn note_strays(&self, cx: &mut Context<'_>, protocol: Protocol, spis: Vec<EspSpi>) {
        if !spis.is_empty() {
            cx.note(Note::DeletedChildren { by: self.handle, protocol, spis });
        }
    }
}
