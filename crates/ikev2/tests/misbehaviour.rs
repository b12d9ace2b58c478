//! Peers that know the keys and break the rules, and peers that break them before there are keys.
//!
//! The messages are made by `Spy`, who knows what both sides know.
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

use ikebana_core::EspSpi;
use ikebana_ike::{DropReason, ExchangeType, IkeHeader, Limits};
use ikebana_ikev2::wire::{AuthMethod, DeletePayload, NotifyPayload, NotifyType, Payload, PayloadType};
use ikebana_proposals::ProtocolId;
use pair::forge::{ask, forge, notifies, spis, status};
use pair::play::{A, B};
use pair::{Duel, Held, Seen, Setup};

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// A has started the IKE SA and sends request number 2 next; B is what it is sent to.
fn established() -> Duel {
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.allow_gap();
    duel
}

/// What A would send to replace its pair, with the notification changed.
fn rekey_request(duel: &mut Duel, change: impl Fn(&mut NotifyPayload)) -> Vec<Payload> {
    duel.rekey_child(A);
    let request = duel.hold(B);
    let mut payloads = duel.read(&request);
    for payload in &mut payloads {
        if let Payload::Notify(notify) = payload
            && notify.kind == NotifyType::REKEY_SA
        {
            change(notify);
        }
    }
    payloads
}

// Inside an IKE SA.

#[test]
fn an_unknown_critical_payload_refuses_the_request_and_keeps_the_ike_sa() {
    let mut duel = established();
    for (id, critical) in [(2, true), (3, false)] {
        let unknown = Payload::Unknown { kind: PayloadType(200), critical, body: vec![1, 2, 3] };
        let answer = ask(&mut duel, id, INFORMATIONAL, &[unknown]).unwrap();
        let wanted: &[(NotifyType, Vec<u8>)] = &[(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![200])];
        assert_eq!(notifies(&answer), if critical { wanted } else { &[] });
    }
    assert_eq!(duel.hosts[B].ike_sas().len(), 1);
    assert_eq!(duel.hosts[B].child_pairs(), 1);
}

#[test]
fn unknown_status_notifications_are_ignored_and_known_ones_out_of_place_do_nothing() {
    let mut duel = established();
    let kinds = [NotifyType(16_500), NotifyType(40_999), NotifyType::INITIAL_CONTACT, NotifyType::COOKIE];
    for (id, kind) in (2..).zip(kinds) {
        assert_eq!(ask(&mut duel, id, INFORMATIONAL, &[status(kind, vec![9; 300])]), Some(vec![]));
    }
    for (id, size) in (6..).zip([vec![], vec![0, 0, 0, 0], vec![0xff; 4], vec![1; 40]]) {
        let window = status(NotifyType::SET_WINDOW_SIZE, size);
        assert_eq!(ask(&mut duel, id, INFORMATIONAL, &[window]), Some(vec![]));
    }
    assert_eq!((duel.hosts[B].ike_sas().len(), duel.hosts[B].child_pairs()), (1, 1));
}

#[test]
fn an_authentic_message_that_breaks_the_rules_ends_the_ike_sa_with_invalid_syntax() {
    let mut duel = established();
    let answer = ask(&mut duel, 2, CREATE, &[Payload::Nonce(vec![1; 32])]).unwrap();
    assert_eq!(notifies(&answer), [(NotifyType::INVALID_SYNTAX, vec![])]);
    duel.settle();
    assert!(duel.hosts[B].said().contains("protocol error"), "{}", duel.story());
    assert!(duel.hosts[B].ike_sas().is_empty() || duel.waiting(A) == 0);
    duel.assert_down();
}

#[test]
fn unknown_exchange_types_are_counted_and_not_answered() {
    let mut duel = established();
    let types = [0, 1, 2, 4, 5, 32, 33, 35, 38, 39, 43, 44, 200, 243, 255];
    for exchange in types {
        assert_eq!(ask(&mut duel, 2, ExchangeType(exchange), &[]), None, "{exchange}");
    }
    let drops = &duel.hosts[B].endpoint.stats().drops;
    assert_eq!(drops.get(DropReason::UnexpectedExchange), types.len() as u64);
    assert_eq!(ask(&mut duel, 2, INFORMATIONAL, &[]), Some(vec![]), "the message id is not spent");
}

#[test]
fn a_rekey_of_an_sa_that_is_not_there_is_refused_with_its_spi() {
    let mut duel = established();
    let (_, inbound) = spis(&duel);
    // Somebody else's, or one of the other direction.
    let (outbound, _) = spis(&duel);
    for wrong in [0x0bad_cafe_u32.to_be_bytes(), outbound.to_be_bytes()] {
        let payloads = rekey_request(&mut duel, |notify| notify.spi = wrong.to_vec());
        let answer = duel.forged(&forge(&duel, 2, CREATE, &[]), &payloads);
        duel.release(&answer);
        let refusal = duel.hold(A);
        let payloads = duel.read(&refusal);
        let [Payload::Notify(notify)] = payloads.as_slice() else { panic!("{payloads:?}") };
        assert_eq!(notify.kind, NotifyType::CHILD_SA_NOT_FOUND);
        assert_eq!((notify.protocol, notify.spi.as_slice()), (ProtocolId::ESP, wrong.as_slice()));
        duel = established();
    }
    assert_eq!(spis(&duel).1, inbound, "runs are alike");
}

#[test]
fn a_rekey_that_names_no_child_protocol_is_invalid_syntax_and_nothing_of_it_comes_back() {
    for (protocol, spi) in
        [(0_u8, vec![]), (1, vec![0; 8]), (1, vec![7; 4]), (3, vec![]), (3, vec![1; 8]), (201, vec![1; 4])]
    {
        let mut duel = established();
        let payloads = rekey_request(&mut duel, |notify| {
            notify.protocol = ProtocolId(protocol);
            notify.spi.clone_from(&spi);
        });
        let request = forge(&duel, 2, CREATE, &payloads);
        duel.release(&request);
        let refusal = duel.hold(A);
        let answer = duel.read(&refusal);
        let [Payload::Notify(notify)] = answer.as_slice() else { panic!("{answer:?}") };
        assert_eq!(notify.kind, NotifyType::INVALID_SYNTAX, "{protocol} {spi:?}");
        assert!(notify.spi.is_empty() && notify.data.is_empty());
        // RFC 7296 2.21.3: this ends the IKE SA on both sides.
        duel.settle();
        let said = format!("REKEY_SA with protocol {}", ProtocolId(protocol));
        assert!(duel.hosts[B].said().contains(&said), "{}", duel.story());
        duel.assert_down();
    }
}

#[test]
fn deletes_of_what_is_not_there_are_answered_with_nothing() {
    let mut duel = established();
    let (outbound, inbound) = spis(&duel);
    let delete = |protocol, spis| Payload::Delete(DeletePayload::children(protocol, spis).unwrap());
    let stranger = EspSpi::new(0x0bad_cafe).unwrap();
    // A stranger's, the other direction's, the right one under the wrong protocol.
    for (id, payload) in (2..).zip([
        delete(ProtocolId::ESP, vec![stranger]),
        delete(ProtocolId::ESP, vec![outbound]),
        delete(ProtocolId::AH, vec![inbound]),
    ]) {
        assert_eq!(ask(&mut duel, id, INFORMATIONAL, &[payload]), Some(vec![]));
        assert_eq!(duel.hosts[B].child_pairs(), 1);
    }
    // Twice in one message is once.
    let twice = delete(ProtocolId::ESP, vec![inbound, inbound]);
    let answer = ask(&mut duel, 5, INFORMATIONAL, &[twice.clone(), twice]).unwrap();
    assert_eq!(answer, [delete(ProtocolId::ESP, vec![outbound])]);
    assert_eq!(duel.hosts[B].child_pairs(), 0);
}

#[test]
fn a_message_id_that_comes_again_with_other_content_is_dropped() {
    let mut duel = established();
    assert_eq!(ask(&mut duel, 2, INFORMATIONAL, &[]), Some(vec![]));
    assert_eq!(ask(&mut duel, 2, INFORMATIONAL, &[Payload::Delete(DeletePayload::Ike)]), None);
    assert_eq!(duel.hosts[B].endpoint.stats().drops.get(DropReason::OutsideWindow), 1);
    assert_eq!(duel.hosts[B].ike_sas().len(), 1);
}

#[test]
fn message_ids_outside_the_window_are_dropped_and_a_larger_window_takes_more() {
    for window in [1, 4] {
        let limits = Limits { window, ..Limits::default() };
        let mut duel = Duel::established(&Setup { limits, ..Setup::default() }, A, false);
        for id in [0, 1, 2 + window, 1_000, u32::MAX] {
            assert_eq!(ask(&mut duel, id, INFORMATIONAL, &[]), None, "{id} of {window}");
        }
        for id in (2..2 + window).rev() {
            assert_eq!(ask(&mut duel, id, INFORMATIONAL, &[]), Some(vec![]), "{id} of {window}");
        }
        assert_eq!(ask(&mut duel, 2 + window, INFORMATIONAL, &[]), Some(vec![]));
    }
}

#[test]
fn an_early_authentication_failed_from_the_peer_ends_the_ike_sa() {
    // RFC 7296 2.21.2: the initiator could not authenticate us, and says so in an exchange of its own.
    let mut duel = established();
    let answer = ask(&mut duel, 2, INFORMATIONAL, &[status(NotifyType::AUTHENTICATION_FAILED, vec![])]);
    assert_eq!(answer, Some(vec![]));
    assert!(duel.hosts[B].said().contains("AUTHENTICATION_FAILED"), "{}", duel.story());
    assert!(duel.hosts[B].ike_sas().is_empty());
}

#[test]
fn an_answer_that_makes_another_sa_than_was_asked_for_makes_none_and_is_taken_back() {
    let mut duel = established();
    duel.delete_child(A);
    duel.settle();
    duel.create_child(A);
    duel.pass(B);
    let answer = duel.hold(A);
    let mut payloads = duel.read(&answer);
    for payload in &mut payloads {
        if let Payload::TsResponder(selectors) = payload {
            selectors.selectors = "0.0.0.0/0".parse::<ikebana_core::TrafficSelector>().unwrap().into();
        }
    }
    let wider = duel.forged(&answer, &payloads);
    duel.release(&wider);
    duel.settle();
    assert!(duel.hosts[A].said().contains("more than the offered"), "{}", duel.story());
    duel.assert_children(0);
    duel.finish();
}

#[test]
fn temporary_failure_is_tried_again_and_reported_to_nobody() {
    let mut duel = established();
    duel.delete_child(A);
    duel.settle();
    duel.create_child(A);
    let request = duel.hold(B);
    let busy = duel.forged_answer(&request, &[status(NotifyType::TEMPORARY_FAILURE, vec![])]);
    duel.release(&busy);
    assert_eq!(duel.waiting(B), 0);
    duel.wait(Duration::from_secs(6));
    let again = duel.hold(B);
    assert_eq!(again.kind(), (CREATE, false));
    assert_eq!(duel.hosts[A].count(|seen| matches!(seen, Seen::ChildFailed(_))), 0);
}

#[test]
fn no_additional_sas_is_reported_and_the_ike_sa_stays() {
    let mut duel = established();
    duel.delete_child(A);
    duel.settle();
    duel.create_child(A);
    let request = duel.hold(B);
    let full = duel.forged_answer(&request, &[status(NotifyType::NO_ADDITIONAL_SAS, vec![])]);
    duel.release(&full);
    assert!(duel.hosts[A].said().contains("no additional SAs"), "{}", duel.story());
    assert_eq!(duel.hosts[A].ike_sas().len(), 1);
}

#[test]
fn a_peer_that_asks_for_one_group_after_another_is_not_followed_for_ever() {
    let mut duel = Duel::established(&pair::play::stubborn(), A, false);
    duel.allow_gap();
    duel.rekey_child(A);
    let mut groups = vec![];
    for wanted in [19_u16, 31, 19, 31, 19] {
        if duel.waiting(B) == 0 {
            break;
        }
        let request = duel.hold(B);
        groups.push(wanted);
        let refusal = status(NotifyType::INVALID_KE_PAYLOAD, wanted.to_be_bytes().to_vec());
        let answer = duel.forged_answer(&request, &[refusal]);
        duel.release(&answer);
    }
    assert!(groups.len() <= 2, "{groups:?}");
    assert!(duel.hosts[A].said().contains("wants key exchange"), "{}", duel.story());
}

// Before there is an IKE SA.

/// The first exchange is done, and A's IKE_AUTH request is held.
fn before_auth() -> (Duel, Held) {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    assert_eq!(request.kind(), (ExchangeType::IKE_AUTH, false));
    (duel, request)
}

#[test]
fn nothing_but_ike_auth_is_taken_before_the_peer_is_authenticated() {
    let (mut duel, request) = before_auth();
    for exchange in [CREATE, INFORMATIONAL, ExchangeType(43), ExchangeType(44)] {
        for id in [0, 1, 2] {
            let payloads = duel.read(&request);
            assert_eq!(ask(&mut duel, id, exchange, &payloads), None);
            assert_eq!(ask(&mut duel, id, exchange, &[Payload::Delete(DeletePayload::Ike)]), None);
        }
    }
    assert!(duel.hosts[B].seen.is_empty(), "{}", duel.story());
    duel.release(&request);
    duel.settle();
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_second_ike_auth_with_other_content_changes_nothing() {
    let (mut duel, request) = before_auth();
    duel.release(&request);
    let payloads: Vec<_> =
        duel.read(&request).into_iter().filter(|payload| !matches!(payload, Payload::Auth(_))).collect();
    let second = duel.forged(&request, &payloads);
    duel.release(&second);
    assert_eq!(duel.waiting(A), 1, "only the first one is answered");
    duel.release(&request);
    assert_eq!(duel.waiting(A), 2, "and answered again");
    duel.settle();
    duel.assert_up();
    duel.finish();
}

#[test]
fn an_answer_to_ike_auth_that_was_not_asked_for_is_dropped() {
    let (mut duel, request) = before_auth();
    let header = IkeHeader {
        flags: ikebana_ike::Flags::v2(true, true),
        ..duel.spy().header(true, true, ExchangeType::IKE_AUTH, 1)
    };
    let octets = duel.spy().seal(&header, &[]);
    let answer = Held { octets, ..request.clone() };
    duel.release(&answer);
    assert_eq!(duel.waiting(A), 0);
    assert_eq!(duel.hosts[B].endpoint.stats().drops.get(DropReason::UnexpectedResponse), 1);
    duel.release(&request);
    duel.settle();
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_proof_that_is_not_exactly_right_is_refused() {
    let change: [fn(&mut ikebana_ikev2::wire::AuthPayload); 8] = [
        |auth| auth.data.clear(),
        |auth| auth.data.truncate(19),
        |auth| auth.data.truncate(31),
        |auth| auth.data.push(0),
        |auth| auth.data[31] ^= 1,
        |auth| auth.data.extend_from_within(..),
        |auth| auth.method = AuthMethod(12),
        |auth| auth.method = AuthMethod(1),
    ];
    for change in change {
        let (mut duel, request) = before_auth();
        let mut payloads = duel.read(&request);
        for payload in &mut payloads {
            if let Payload::Auth(auth) = payload {
                change(auth);
            }
        }
        let forged = duel.forged(&request, &payloads);
        duel.release(&forged);
        let answer = duel.hold(A);
        assert_eq!(notifies(&duel.read(&answer)), [(NotifyType::AUTHENTICATION_FAILED, vec![])]);
        assert_eq!(duel.hosts[B].count(|seen| matches!(seen, Seen::Established(_))), 0);
        // The initiator believes it, for it is protected.
        duel.release(&answer);
        assert!(duel.hosts[A].said().contains("AUTHENTICATION_FAILED"), "{}", duel.story());
        assert!(duel.hosts[A].ike_sas().is_empty());
    }
}

#[test]
fn a_responder_whose_proof_is_wrong_is_left_and_told_so() {
    let (mut duel, request) = before_auth();
    duel.release(&request);
    let answer = duel.hold(A);
    let mut payloads = duel.read(&answer);
    for payload in &mut payloads {
        if let Payload::Auth(auth) = payload {
            auth.data[0] ^= 0x80;
        }
    }
    let forged = duel.forged(&answer, &payloads);
    duel.release(&forged);
    assert!(duel.hosts[A].said().contains("does not have the pre-shared key"), "{}", duel.story());
    assert_eq!(duel.hosts[A].count(|seen| matches!(seen, Seen::Established(_) | Seen::Installed(..))), 0);
    duel.settle();
    assert!(duel.hosts[B].ike_sas().is_empty(), "{}", duel.story());
}

#[test]
fn ike_auth_without_each_of_its_payloads_is_refused() {
    let (duel, request) = before_auth();
    let count = duel.read(&request).len();
    for missing in 0..count {
        let (mut duel, request) = before_auth();
        let mut payloads = duel.read(&request);
        let gone = payloads.remove(missing);
        if matches!(gone, Payload::Notify(_) | Payload::IdResponder(_)) {
            continue;
        }
        let forged = duel.forged(&request, &payloads);
        duel.release(&forged);
        let answer = duel.hold(A);
        let refused = notifies(&duel.read(&answer));
        assert_eq!(refused.len(), 1, "{gone:?} {refused:?}");
        assert!(refused[0].0.is_error());
        assert_eq!(duel.hosts[B].count(|seen| matches!(seen, Seen::Established(_))), 0, "{gone:?}");
    }
}

#[test]
fn ike_auth_with_an_unknown_critical_payload_is_refused_by_name() {
    let (mut duel, request) = before_auth();
    let mut payloads = duel.read(&request);
    payloads.push(Payload::Unknown { kind: PayloadType(201), critical: true, body: vec![] });
    let forged = duel.forged(&request, &payloads);
    duel.release(&forged);
    let answer = duel.hold(A);
    let refused = notifies(&duel.read(&answer));
    assert_eq!(refused, [(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![201])]);
    duel.release(&answer);
    assert_eq!(duel.hosts[A].count(|seen| matches!(seen, Seen::Failed(..))), 1, "{}", duel.story());
}

#[test]
fn initial_contact_replaces_the_older_ike_sa_and_only_when_it_is_authentic() {
    let mut duel = established();
    // A has restarted and knows nothing.
    duel.restart(A, &Setup { seed: 99, ..Setup::default() });
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    let [_, nothing_ended] =
        [A, B].map(|host| duel.hosts[host].count(|seen| matches!(seen, Seen::Closed(..))));
    assert_eq!(nothing_ended, 0, "the first messages prove nothing");
    duel.release(&request);
    duel.run(Duration::from_secs(60));
    assert!(duel.hosts[B].said().contains("replaced by a newer IKE SA"), "{}", duel.story());
    duel.assert_up();
}
