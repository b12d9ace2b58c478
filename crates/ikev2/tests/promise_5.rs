//! The fifth promise: a datagram that does not authenticate changes counters and nothing else.
//!
//! At every stage of a session, before the message that comes next is delivered, everything an attacker could
//! make of it and of all messages before it is. Then the session has to go on as if nothing had happened.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::time::Duration;

use ikebana_core::Path;
use ikebana_ike::{ExchangeType, Flags, IkeHeader};
use ikebana_ikev2::wire::{DeletePayload, NotifyPayload, NotifyType, Payload, encode_clear};
use ikebana_testkit::mutations;
use pair::play::{A, B};
use pair::{Duel, Held, Setup};

/// What an attack made of a host.
#[derive(Debug, PartialEq, Eq)]
struct Reaction {
    events: usize,
    timer_moved: bool,
    replies: Vec<Vec<u8>>,
}

fn attack(duel: &mut Duel, to: usize, path: Path, octets: &[u8]) -> Reaction {
    let host = &mut duel.hosts[to];
    let (timer, events) = (host.endpoint.poll_timeout(), host.seen.len());
    host.take_in(duel.now, path, octets);
    let mut replies = vec![];
    host.drain(duel.now, |_, _, octets| replies.push(octets));
    Reaction { events: host.seen.len() - events, timer_moved: host.endpoint.poll_timeout() != timer, replies }
}

/// Whether a reply says no more than that there is no such IKE SA or version, and is no longer than what it
/// replies to.
fn is_stateless(reply: &[u8], octets: &[u8]) -> bool {
    let allowed = [NotifyType::INVALID_IKE_SPI, NotifyType::INVALID_MAJOR_VERSION];
    let parsed = ikebana_ikev2::wire::parse_clear(reply);
    reply.len() <= octets.len().max(36)
        && parsed.is_ok_and(|message| match message.payloads.as_slice() {
            [Payload::Notify(notify)] => allowed.contains(&notify.kind),
            _ => false,
        })
}

/// Nothing happens, but for a stateless reply, or the repetition of one of the messages `sent`.
fn assert_unmoved(duel: &mut Duel, to: usize, path: Path, octets: &[u8], sent: &[Held], what: &str) {
    let reaction = attack(duel, to, path, octets);
    assert_eq!(reaction.events, 0, "{what}: {}", duel.story());
    assert!(!reaction.timer_moved, "{what} moved a timer");
    for reply in &reaction.replies {
        let repeated = sent.iter().any(|message| message.octets == *reply);
        assert!(repeated || is_stateless(reply, octets), "{what} was answered");
    }
    assert!(reaction.replies.len() <= 1, "{what} was answered more than once");
}

/// Messages in clear that claim to be of the session, with errors and deletes in them.
fn clear_forgeries(duel: &Duel) -> Vec<Vec<u8>> {
    let spy = duel.spy();
    let claims = [
        Payload::Notify(NotifyPayload::new(NotifyType::AUTHENTICATION_FAILED, vec![])),
        Payload::Notify(NotifyPayload::new(NotifyType::INVALID_SYNTAX, vec![])),
        Payload::Notify(NotifyPayload::new(NotifyType::INVALID_IKE_SPI, vec![])),
        Payload::Notify(NotifyPayload::new(NotifyType::INVALID_MAJOR_VERSION, vec![])),
        Payload::Notify(NotifyPayload::new(NotifyType::INITIAL_CONTACT, vec![])),
        Payload::Notify(NotifyPayload::new(NotifyType::NO_PROPOSAL_CHOSEN, vec![])),
        Payload::Delete(DeletePayload::Ike),
    ];
    let exchanges = [
        ExchangeType::IKE_SA_INIT,
        ExchangeType::IKE_AUTH,
        ExchangeType::CREATE_CHILD_SA,
        ExchangeType::INFORMATIONAL,
        ExchangeType(0),
        ExchangeType(43),
        ExchangeType(243),
        ExchangeType(255),
    ];
    let mut forged = vec![];
    for exchange in exchanges {
        for flags in [0x08, 0x20, 0x28, 0x00, 0xff] {
            for message_id in [0, 1, 2, 3, 7, u32::MAX] {
                for claim in &claims {
                    let header = IkeHeader {
                        flags: Flags(flags),
                        message_id,
                        ..spy.header(true, false, exchange, message_id)
                    };
                    forged.push(encode_clear(&header, std::slice::from_ref(claim)).unwrap());
                }
            }
        }
    }
    forged
}

/// Everything that can be made of `next`, of what came before it, and of nothing.
fn attack_with_all(duel: &mut Duel, next: &Held, earlier: &[Held]) {
    let mut sent = earlier.to_vec();
    sent.push(next.clone());
    sent.extend(duel.on_the_wire());
    let sent = &sent;
    let (to, from) = (next.to, 1 - next.to);
    let reversed = Path::new(next.path.remote, next.path.local);
    for (mutation, octets) in mutations(&next.octets) {
        assert_unmoved(duel, to, next.path, &octets, sent, &format!("{:?} {mutation}", next.kind()));
    }
    assert_unmoved(duel, from, reversed, &next.octets, sent, "its own message reflected");
    for message in earlier {
        for host in [A, B] {
            let path = if host == message.to {
                message.path
            } else {
                Path::new(message.path.remote, message.path.local)
            };
            // A first message that comes again starts something new, which RFC 7296 has cookies for.
            if message.kind().0 != ExchangeType::IKE_SA_INIT {
                let what = format!("{:?} replayed to {host}", message.kind());
                assert_unmoved(duel, host, path, &message.octets, sent, &what);
            }
        }
    }
    for octets in clear_forgeries(duel) {
        for host in [A, B] {
            let path = if host == to { next.path } else { reversed };
            assert_unmoved(duel, host, path, &octets, sent, "a message in clear");
        }
    }
}

/// Delivers what is on the wire, each message after every attack; the first exchange without.
fn deliver_under_attack(duel: &mut Duel, earlier: &mut Vec<Held>) {
    loop {
        let Some(to) = [A, B].into_iter().find(|to| duel.waiting(*to) > 0) else { return };
        let next = duel.hold(to);
        if next.kind().0 != ExchangeType::IKE_SA_INIT {
            attack_with_all(duel, &next, earlier);
        }
        duel.release(&next);
        earlier.push(next);
    }
}

#[test]
fn promise_5_a_datagram_that_does_not_authenticate_changes_counters_and_nothing_else() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    let mut earlier = vec![];
    duel.initiate(A);
    deliver_under_attack(&mut duel, &mut earlier);
    assert_eq!((duel.hosts[A].child_pairs(), duel.hosts[B].child_pairs()), (1, 1));
    duel.rekey_child(A);
    deliver_under_attack(&mut duel, &mut earlier);
    duel.rekey_child(B);
    deliver_under_attack(&mut duel, &mut earlier);
    let dropped: Vec<u64> = duel.hosts.iter().map(|host| host.endpoint.stats().drops.total()).collect();
    assert!(dropped.iter().all(|drops| *drops > 10_000), "every attack is counted: {dropped:?}");
    // An IKE SA after its rekey, and one that is being closed.
    duel.rekey_ike(B);
    deliver_under_attack(&mut duel, &mut earlier);
    duel.run(Duration::from_secs(10));
    assert_eq!(duel.hosts[A].ike_sas().len(), 1, "{}", duel.story());
    duel.close(A);
    deliver_under_attack(&mut duel, &mut earlier);
    duel.assert_down();
}

#[test]
fn promise_5_errors_in_clear_do_not_end_an_attempt() {
    let errors = [
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::INVALID_SYNTAX,
        NotifyType::AUTHENTICATION_FAILED,
        NotifyType::INVALID_KE_PAYLOAD,
        NotifyType(16_000),
    ];
    let mut duel = Duel::strangers(&Setup::default(), false);
    let ike = duel.initiate(A);
    let request = duel.hold(B);
    for kind in errors {
        // A group that was never offered, in case of INVALID_KE_PAYLOAD.
        let error = Payload::Notify(NotifyPayload::new(kind, vec![0, 2]));
        let header =
            IkeHeader { flags: Flags::v2(false, true), ..IkeHeader::peek(request.message()).unwrap() };
        let octets = encode_clear(&header, &[error]).unwrap();
        let before = duel.hosts[A].endpoint.poll_timeout();
        let path = Path::new(request.path.remote, request.path.local);
        let reaction = attack(&mut duel, A, path, &octets);
        assert!(reaction.replies.is_empty());
        assert_eq!(duel.hosts[A].endpoint.poll_timeout(), before);
    }
    // It is said once what somebody claims.
    assert_eq!(duel.hosts[A].count(|seen| matches!(seen, pair::Seen::Hint(_))), 1, "{}", duel.story());
    duel.release(&request);
    duel.settle();
    assert_eq!(duel.ike(A), ike);
    duel.assert_up();
    duel.finish();
}

#[test]
fn promise_5_no_address_moves_for_a_datagram_that_is_not_authentic() {
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.rekey_child(A);
    let request = duel.hold(B);
    let elsewhere = Path::new(request.path.local, "203.0.113.9:4500".parse().unwrap());
    for (_, octets) in mutations(&request.octets).take(2_000) {
        assert_unmoved(&mut duel, B, elsewhere, &octets, &[], "damaged, from elsewhere");
    }
    duel.release(&request);
    duel.settle();
    duel.assert_up();
    duel.finish();
}
