//! What concerns several associations with one peer: whose a new ISAKMP SA is, which associations it replaces,
//! and what a peer says over one of them about another.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_ike::{CloseReason, Event, FailReason, IkeSaHandle, RemoveReason, Uniqueness};

use super::Endpoint;
use crate::connection::State;
use crate::context::Note;
use crate::established::{End, Established};
use crate::phase1::Phase1Done;

impl Endpoint {
    /// Phase 1 is done: the new ISAKMP SA becomes an association, or part of one that there is.
    pub(super) fn promote(&mut self, handle: IkeSaHandle) {
        let Some(entry) = self.connections.get_mut(&handle) else { return };
        if !matches!(entry.connection.state, State::Authenticated(_)) {
            return;
        }
        let State::Authenticated(done) = core::mem::replace(&mut entry.connection.state, State::Gone) else {
            return;
        };
        match self.renewed_by(&done) {
            Some(existing) => self.join(handle, existing, done),
            None => {
                let replaced = self.replaced_by(&done);
                self.with_one(handle, |connection, cx| connection.begin(cx, *done));
                self.replace(&replaced);
            }
        }
    }

    /// The association that the peer has renewed phase 1 of, if that is what it has done.
    fn renewed_by(&self, done: &Phase1Done) -> Option<IkeSaHandle> {
        // What we start ourselves has a place of its own from the start.
        if done.isakmp.initiator || done.initial_contact || done.peer.uniqueness == Uniqueness::Keep {
            return None;
        }
        let new = done.route;
        let is_there = |other: &&Established| {
            let old = other.route;
            is_same_peer(other, done)
                && other.takes(done)
                && old.path.remote.ip() == new.path.remote.ip()
                // Behind one NAT there may be several that share an identity.
                && (!new.encapsulated || old.path.remote.port() == new.path.remote.port())
        };
        self.established().filter(is_there).map(|other| other.handle).last()
    }

    fn join(&mut self, handle: IkeSaHandle, existing: IkeSaHandle, done: Box<Phase1Done>) {
        self.registry.by_spi.insert(done.isakmp.local_cookie(), existing);
        let (peer, path) = (Some(done.peer.name.clone()), done.route.path);
        let reason = FailReason::Joined(existing);
        self.context().event(Event::Failed { ike: handle, peer, path, reason });
        self.settle(handle);
        self.with_one(existing, |connection, cx| {
            if let State::Established(established) = &mut connection.state {
                let end = established.join(cx, *done);
                connection.end(cx, end);
            }
        });
    }

    /// The associations that have to go when this one comes.
    fn replaced_by(&self, done: &Phase1Done) -> Vec<IkeSaHandle> {
        // Where XAUTH comes next, an identity is shared by many users, and which of them it is will be seen.
        let replaces = done.replaces_older() && !done.xauth;
        let old = self.established().filter(|other| replaces && is_same_peer(other, done));
        old.map(|other| other.handle).collect()
    }

    fn replace(&mut self, handles: &[IkeSaHandle]) {
        for handle in handles {
            // The peer is told, because it may still have the old one: what makes it say INITIAL-CONTACT is that
            // it had none when it started, and both sides may have started at the same time.
            let end = End::Tell(CloseReason::Replaced, RemoveReason::IkeSaGone);
            self.with_one(*handle, |connection, cx| connection.end(cx, Some(end)));
        }
    }

    /// Does what associations have left to do because it concerns others.
    pub(super) fn heed_notes(&mut self) {
        while let Some(note) = self.registry.notes.pop_front() {
            let (Note::DeletedChildren { by, .. }
            | Note::DeletedIsakmp { by, .. }
            | Note::InitialContact { by }) = note;
            let others = self.others(by);
            if matches!(note, Note::InitialContact { .. }) {
                if self.uniqueness(by) != Some(Uniqueness::Keep) {
                    self.replace(&others);
                }
                continue;
            }
            for other in others {
                self.with_one(other, |connection, cx| {
                    let State::Established(established) = &mut connection.state else { return };
                    match &note {
                        Note::DeletedChildren { protocol, spis, .. } => {
                            for spi in spis {
                                established.child_deleted_by_peer(cx, *protocol, *spi);
                            }
                        }
                        Note::DeletedIsakmp { cookies, .. } => {
                            established.leg_deleted_by_peer(cx, *cookies);
                        }
                        Note::InitialContact { .. } => {}
                    }
                    let end = established.pump(cx);
                    connection.end(cx, end);
                });
            }
        }
    }

    fn uniqueness(&self, handle: IkeSaHandle) -> Option<Uniqueness> {
        Some(self.connections.get(&handle)?.connection.established()?.peer.uniqueness)
    }

    /// The other associations with the same peer.
    fn others(&self, handle: IkeSaHandle) -> Vec<IkeSaHandle> {
        let Some(this) = self.connections.get(&handle).and_then(|entry| entry.connection.established())
        else {
            return Vec::new();
        };
        let is_other = |other: &&Established| other.handle != handle && other.is_same_peer(this);
        self.established().filter(is_other).map(|other| other.handle).collect()
    }
}

fn is_same_peer(other: &Established, done: &Phase1Done) -> bool {
    other.peer.name == done.peer.name && other.local_id == done.local_id && other.remote_id == done.remote_id
}
