//! XAUTH and mode config, which come between phase 1 and anything else.
//!
//! What is said is the [`Dialogue`]'s business. Here are the transactions that it is said in: at most one of
//! ours and one of the peer's at a time, each with a message id and a chain of its own.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use ikebana_core::random::public_u32;
use ikebana_core::{AddressRange, IkeSpi, Instant, Secret};
use ikebana_ike::{
    AddressDemand, Answer, ApiError, Assignment, DropReason, Event, ExchangeType, Query, QueryId, XauthClaim,
    XauthRequest, XauthRole,
};

use super::leg::{Fate, Fingerprint, Leg};
use super::{End, Established};
use crate::context::Context;
use crate::isakmp::{Hashed, Isakmp, Iv, Opened};
use crate::transaction::{Act, Dialogue, Terms, wipe};
use crate::turn::{Overdue, Turn};
use crate::wire::{Attribute, ConfigPayload, ConfigType, Payload};

/// Answers that are kept for a peer that has missed them.
const REMEMBERED: usize = 8;

/// A transaction of ours, which waits for the peer.
struct Ours {
    id: u32,
    /// What the answer is decrypted with.
    iv: Iv,
    turn: Turn,
}

/// A transaction of the peer's, which waits for the application.
struct Theirs {
    id: u32,
    /// What our answer is encrypted with.
    iv: Iv,
    identifier: u16,
    fingerprint: Fingerprint,
}

/// What is to be settled before child SAs are made.
#[derive(Default)]
pub(super) struct Settling {
    dialogue: Option<Dialogue>,
    /// Our cookie of the ISAKMP SA that it runs over.
    cookie: IkeSpi,
    ours: Option<Ours>,
    theirs: Option<Theirs>,
    query: Option<QueryId>,
    /// Messages of the peer's, with what they were answered.
    answered: VecDeque<(Fingerprint, Vec<u8>)>,
    /// When the peer must have made the step that is its.
    deadline: Option<Instant>,
    /// Who the user is, once that is proven.
    user: Option<String>,
    /// Our cookie of the ISAKMP SA over which the peer has said that it has restarted: whatever the user had
    /// before has to go once it is known who that is.
    replaces: Option<IkeSpi>,
    assigned: Option<Assignment>,
    given: Option<Assignment>,
}

/// How a message of a transaction is to be taken.
pub(super) enum Taken {
    /// It was answered before, with this.
    Again(Vec<u8>),
    /// It is to be decrypted with this.
    New(Iv),
}

impl Settling {
    /// Whether child SAs may be made.
    pub(super) fn is_settled(&self) -> bool {
        self.dialogue.as_ref().is_none_or(Dialogue::is_settled)
    }

    /// What to do with a message of a transaction.
    pub(super) fn take(&self, leg: &Leg, id: u32, fingerprint: &Fingerprint) -> Result<Taken, DropReason> {
        if let Some((_, answer)) = self.answered.iter().find(|(of, _)| of == fingerprint) {
            return Ok(Taken::Again(answer.clone()));
        }
        // Who the user is, is proven over the newest ISAKMP SA, and nothing that an older one says changes it.
        if leg.isakmp.local_cookie() != self.cookie || matches!(leg.fate, Fate::Gone(_)) {
            return Err(DropReason::UnexpectedExchange);
        }
        if let Some(ours) = self.ours.as_ref().filter(|ours| ours.id == id) {
            return Ok(Taken::New(ours.iv));
        }
        if self.theirs.is_some() {
            return Err(DropReason::StillWorking);
        }
        if leg.knows(id) {
            return Err(DropReason::OutsideWindow);
        }
        Ok(Taken::New(leg.isakmp.exchange_iv(id)))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let turn = self.ours.as_ref().map(|ours| ours.turn.deadline());
        turn.into_iter().chain(self.deadline).min()
    }

    /// Forgets what is under way.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>) {
        if let Some(query) = self.query.take() {
            cx.withdraw(query);
        }
        self.dialogue = None;
        self.ours = None;
        self.theirs = None;
        self.deadline = None;
        self.answered.clear();
    }
}

impl Established {
    /// Who the user is, if one has proven it.
    pub(super) const fn user(&self) -> Option<&String> {
        self.settling.user.as_ref()
    }

    /// Once the user is known, what they had before has to go.
    pub(crate) const fn replace_when_settled(&mut self, cookie: IkeSpi) {
        self.settling.replaces = Some(cookie);
    }

    /// Whether exchanges may begin on an ISAKMP SA. What is settled over the newest one holds none of the older
    /// ones up, over which all was settled before.
    pub(super) fn may_use(&self, leg: &Leg) -> bool {
        self.settling.is_settled() || self.announced && leg.isakmp.local_cookie() != self.settling.cookie
    }

    /// Forgets what is to be settled over an ISAKMP SA that is gone.
    pub(super) fn forget_settling(&mut self, cx: &mut Context<'_>, cookie: IkeSpi) {
        if self.settling.cookie == cookie {
            self.settling.cancel(cx);
        }
    }

    /// Begins what has to be settled over the newest ISAKMP SA; `first` if it is the association's first one.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, xauth: bool, first: bool) -> Option<End> {
        self.settling.cancel(cx);
        let leg = self.legs.last()?;
        self.settling.cookie = leg.isakmp.local_cookie();
        let mut dialogue = Dialogue::new(Terms {
            xauth: self.peer.ikev1.xauth.filter(|_| xauth),
            request: self.peer.request.clone(),
            assigns: self.peer.assigns_addresses,
            mode: self.peer.ikev1.mode_config,
            user: self.settling.user.clone().filter(|_| !first),
            assigned: self.settling.assigned.clone(),
            given: self.settling.given.clone(),
        });
        let acts = dialogue.start();
        self.settling.dialogue = Some(dialogue);
        self.act(cx, acts)
    }

    /// All is settled: the association is established.
    fn settled(&mut self, cx: &mut Context<'_>) {
        self.settling.deadline = None;
        self.settling.user = self.settling.dialogue.as_ref().and_then(Dialogue::user).cloned();
        let cookie = self.settling.cookie;
        let proven = self.leg_mut(cookie).and_then(|leg| leg.probation.take());
        if self.announced {
            if let Some(brings) = proven {
                self.take_over(cx, cookie, brings);
            }
            self.replace_older(cx);
            return;
        }
        self.announce(cx, self.settling.user.clone());
        if let Some(assignment) = self.settling.assigned.clone() {
            cx.event(Event::Assigned { ike: self.handle, assignment });
        }
        self.replace_older(cx);
        if self.initiator {
            for config in self.peer.children.clone() {
                self.want(cx, &config, None);
            }
        }
    }

    /// The user is known: what they had before their restart goes.
    fn replace_older(&mut self, cx: &mut Context<'_>) {
        let Some(cookie) = self.settling.replaces.take() else { return };
        if let Some(made) = self.leg(cookie).map(|leg| leg.made) {
            self.forget_before(cx, made);
        }
    }

    /// A message of a transaction.
    pub(super) fn transacted(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        mut opened: Opened,
        fingerprint: Fingerprint,
    ) -> Option<End> {
        let id = opened.header.message_id;
        // Passwords may be in it.
        drop(Secret::new(core::mem::take(&mut opened.covered)));
        let mut payload = opened.payloads.into_iter().find_map(|payload| {
            let Payload::Config(payload) = payload else { return None };
            Some(payload)
        })?;
        let acts = if self.settling.ours.as_ref().is_some_and(|ours| ours.id == id) {
            if !matches!(payload.kind, ConfigType::REPLY | ConfigType::ACK) {
                wipe(payload.attributes);
                return None;
            }
            self.settling.ours = None;
            self.settling.dialogue.as_mut()?.replied(&mut payload)
        } else {
            if !matches!(payload.kind, ConfigType::REQUEST | ConfigType::SET) {
                wipe(payload.attributes);
                return None;
            }
            self.leg_mut(cookie)?.remember(id);
            self.settling.dialogue.as_ref()?;
            let (iv, identifier) = (opened.next_iv, payload.identifier);
            self.settling.theirs = Some(Theirs { id, iv, identifier, fingerprint });
            self.settling.dialogue.as_mut()?.asked(&mut payload)
        };
        self.act(cx, acts)
    }

    /// Takes in an answer of the application's.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        query: QueryId,
        answer: Answer,
    ) -> Result<Option<End>, ApiError> {
        if self.settling.query != Some(query) {
            return self.answer_renewal(cx, query, answer);
        }
        let dialogue = self.settling.dialogue.as_mut().ok_or(ApiError::NoSuchQuery)?;
        let acts = dialogue.answered(answer)?;
        self.settling.query = None;
        let end = self.act(cx, acts);
        Ok(end.or_else(|| self.pump(cx)))
    }

    /// Repeats our message, or gives up.
    pub(super) fn age_settling(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let (route, plan) = (self.route_of(self.settling.cookie), self.peer.retransmission);
        if let Some(ours) = &mut self.settling.ours {
            match ours.turn.overdue(cx, &plan) {
                Overdue::NotYet => {}
                Overdue::Repeat => route.send(cx, ours.turn.octets()),
                Overdue::GiveUp { sent } => {
                    return self.unsettled(cx, End::Unsettled { sent });
                }
            }
        }
        if self.settling.deadline.is_some_and(|deadline| deadline <= cx.now) {
            return self.unsettled(cx, End::Unsettled { sent: 0 });
        }
        None
    }

    /// Nothing could be settled. A server that has had a user over an older ISAKMP SA only gives up the new one:
    /// whoever began it may be somebody else who knows the key of the same group.
    fn unsettled(&mut self, cx: &mut Context<'_>, end: End) -> Option<End> {
        let cookie = self.settling.cookie;
        self.settling.cancel(cx);
        self.settling.replaces = None;
        if !self.announced || self.peer.ikev1.xauth != Some(XauthRole::Server) {
            return Some(end);
        }
        self.delete_leg(cx, cookie);
        None
    }

    /// Does what the dialogue wants.
    fn act(&mut self, cx: &mut Context<'_>, acts: Vec<Act>) -> Option<End> {
        let mut end = None;
        for act in acts {
            match act {
                Act::Open(kind, attributes) => self.open_transaction(cx, kind, attributes),
                Act::Answer(kind, attributes) => self.answer_transaction(cx, kind, attributes),
                Act::AskCredentials { message, wants_passcode } => {
                    let (ike, peer) = (self.handle, self.peer.clone());
                    let request = XauthRequest { ike, peer, message, wants_passcode };
                    self.settling.query = Some(cx.ask(self.handle, Query::XauthCredentials(request)));
                }
                Act::AskVerdict { user, password } => {
                    let (ike, peer, remote_id) = (self.handle, self.peer.clone(), self.remote_id.clone());
                    let claim = XauthClaim { ike, peer, remote_id, user, password };
                    self.settling.query = Some(cx.ask(self.handle, Query::XauthVerify(claim)));
                }
                Act::AskAddress(wanted) => {
                    let (ike, peer, remote_id) = (self.handle, self.peer.clone(), self.remote_id.clone());
                    let demand = AddressDemand { ike, peer, remote_id, wanted };
                    self.settling.query = Some(cx.ask(self.handle, Query::AssignAddress(demand)));
                }
                Act::Assigned(assignment) => {
                    if !assignment.addresses.is_empty() {
                        self.ends.local = singles(&assignment);
                    }
                    if self.announced {
                        let assignment = assignment.clone();
                        cx.event(Event::Assigned { ike: self.handle, assignment });
                    }
                    self.settling.assigned = Some(assignment);
                }
                Act::Given(assignment) => {
                    if !assignment.addresses.is_empty() {
                        self.ends.remote = singles(&assignment);
                    }
                    self.settling.given = Some(assignment);
                }
                Act::Settled => self.settled(cx),
                Act::Failed { user, detail } => end = Some(End::Xauth { user, detail }),
            }
        }
        if let Some(end) = end {
            return self.unsettled(cx, end);
        }
        if self.settling.query.is_none() {
            // What the peer has asked is answered by now, or will never be.
            self.settling.theirs = None;
        }
        let waits = self.settling.dialogue.as_ref().is_some_and(Dialogue::waits_for_peer);
        self.settling.deadline = waits.then(|| cx.now + self.peer.retransmission.patience());
        None
    }

    fn open_transaction(&mut self, cx: &mut Context<'_>, kind: ConfigType, attributes: Vec<Attribute>) {
        let identifier = u16::try_from(public_u32(cx.rng) >> 16).unwrap_or(0);
        let plan = self.peer.retransmission;
        let Some(leg) = self.leg_mut(self.settling.cookie) else { return };
        let id = leg.new_id(cx);
        let mut iv = leg.isakmp.exchange_iv(id);
        let payload = ConfigPayload { kind, identifier, attributes };
        let Some(octets) = seal(&leg.isakmp, id, &mut iv, payload) else { return };
        self.transmit(cx, self.route_of(self.settling.cookie), &octets);
        let turn = Turn::new(cx, &plan, octets);
        self.settling.ours = Some(Ours { id, iv, turn });
    }

    fn answer_transaction(&mut self, cx: &mut Context<'_>, kind: ConfigType, attributes: Vec<Attribute>) {
        let Some(theirs) = self.settling.theirs.take() else { return };
        let Theirs { id, mut iv, identifier, fingerprint } = theirs;
        let Some(leg) = self.leg_mut(self.settling.cookie) else { return };
        let payload = ConfigPayload { kind, identifier, attributes };
        let Some(octets) = seal(&leg.isakmp, id, &mut iv, payload) else { return };
        self.transmit(cx, self.route_of(self.settling.cookie), &octets);
        if self.settling.answered.len() >= REMEMBERED {
            self.settling.answered.pop_front();
        }
        self.settling.answered.push_back((fingerprint, octets));
    }
}

/// A message with `payload`, which is wiped.
fn seal(isakmp: &Isakmp, id: u32, iv: &mut Iv, payload: ConfigPayload) -> Option<Vec<u8>> {
    let header = isakmp.header(ExchangeType::TRANSACTION, id);
    let payload = [Payload::Config(payload)];
    let octets = isakmp.seal_with_hash(iv, &header, Hashed::First, &payload).ok();
    let [Payload::Config(ConfigPayload { attributes, .. })] = payload else { return octets };
    wipe(attributes);
    octets
}

/// The addresses of an assignment, as selectors have them.
fn singles(assignment: &Assignment) -> Vec<AddressRange> {
    assignment.addresses.iter().copied().map(AddressRange::single).collect()
}
