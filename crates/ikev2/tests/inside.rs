//! Peers that are who they say they are, and break the rules all the same, on purpose or by mistake.
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

use ikebana_ike::{Direction, DropReason, ExchangeType, RemoveReason};
use ikebana_ikev2::wire::{NotifyType, Payload, PayloadType};
use pair::forge::{ask, carry, forge, notifies, spis, status, tell};
use pair::play::{A, B};
use pair::{Duel, Seen, Setup};

const AUTH: ExchangeType = ExchangeType::IKE_AUTH;
const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// A has started the IKE SA and sends request number 2 next; B is what it is sent to.
fn established() -> Duel {
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.allow_gap();
    duel
}

/// What A would send to replace its pair. A waits for an answer to it from now on.
fn rekey_request(duel: &mut Duel) -> Vec<Payload> {
    duel.rekey_child(A);
    let request = duel.hold(B);
    duel.read(&request)
}

fn closed(duel: &Duel, host: usize) -> usize {
    duel.hosts[host].count(|seen| matches!(seen, Seen::Closed(..)))
}

#[test]
fn an_unknown_critical_payload_in_front_of_the_encrypted_one_refuses_the_request() {
    let mut duel = established();
    for (id, critical) in [(2, true), (3, false)] {
        let header = duel.spy().header(true, false, INFORMATIONAL, id);
        let octets = duel.spy().seal_behind(&header, (200, critical, &[1, 2, 3]), &[]);
        let mut forged = octets.clone();
        *forged.last_mut().unwrap() ^= 1;
        let [forged, request] = [forged, octets].map(|octets| carry(&duel, octets));
        assert_eq!(tell(&mut duel, &forged), None, "nobody vouches for it");
        let answer = tell(&mut duel, &request).unwrap();
        let wanted: &[(NotifyType, Vec<u8>)] = &[(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![200])];
        assert_eq!(notifies(&answer), if critical { wanted } else { &[] });
    }
    assert_eq!(duel.hosts[B].endpoint.stats().drops.get(DropReason::BadIntegrity), 2);
    assert_eq!((duel.hosts[B].ike_sas().len(), duel.hosts[B].child_pairs()), (1, 1));
}

#[test]
fn a_delete_in_front_of_the_encrypted_payload_deletes_nothing() {
    let mut duel = established();
    let header = duel.spy().header(true, false, INFORMATIONAL, 2);
    let octets = duel.spy().seal_behind(&header, (42, false, &[1, 0, 0, 0]), &[]);
    let request = carry(&duel, octets);
    assert_eq!(tell(&mut duel, &request), Some(vec![]));
    assert_eq!((duel.hosts[B].ike_sas().len(), duel.hosts[B].child_pairs()), (1, 1));
}

#[test]
fn a_peer_that_answers_invalid_syntax_has_ended_the_ike_sa() {
    // RFC 7296 2.21.3: no delete follows, from neither side.
    for rekey in [true, false] {
        let mut duel = established();
        if rekey {
            duel.rekey_child(A);
        } else {
            duel.delete_child(A);
        }
        let request = duel.hold(B);
        let answer = duel.forged_answer(&request, &[status(NotifyType::INVALID_SYNTAX, vec![])]);
        duel.release(&answer);
        assert!(duel.hosts[A].said().contains("INVALID_SYNTAX"), "{}", duel.story());
        assert_eq!((closed(&duel, A), duel.waiting(B)), (1, 0));
        assert!(duel.hosts[A].endpoint.is_idle());
    }
}

#[test]
fn a_public_value_of_no_use_in_a_rekey_ends_the_ike_sa_with_invalid_syntax() {
    for replaced in [vec![0; 32], vec![1; 31]] {
        let mut duel = established();
        let mut payloads = rekey_request(&mut duel);
        for payload in &mut payloads {
            if let Payload::KeyExchange(key) = payload {
                key.data.clone_from(&replaced);
            }
        }
        let answer = ask(&mut duel, 2, CREATE, &payloads).unwrap();
        assert_eq!(notifies(&answer), [(NotifyType::INVALID_SYNTAX, vec![])]);
        assert!(duel.hosts[B].inbound().is_empty() && duel.hosts[B].outbound().is_empty());
        duel.settle();
        assert!(duel.hosts[B].said().contains("public value for"), "{}", duel.story());
        duel.assert_down();
    }
}

#[test]
fn an_spi_that_no_sa_can_have_is_refused_and_named() {
    for spi in [0_u32, 1, 255] {
        let mut duel = established();
        let mut payloads = rekey_request(&mut duel);
        for payload in &mut payloads {
            if let Payload::Sa(sa) = payload {
                sa.proposals[0].spi = spi.to_be_bytes().to_vec();
            }
        }
        let answer = ask(&mut duel, 2, CREATE, &payloads).unwrap();
        assert_eq!(notifies(&answer), [(NotifyType::NO_PROPOSAL_CHOSEN, vec![])]);
        assert!(duel.hosts[B].said().contains("its SPI is not valid"), "{}", duel.story());
        assert_eq!((duel.hosts[B].ike_sas().len(), duel.hosts[B].child_pairs()), (1, 1));
    }
}

#[test]
fn a_pair_that_both_sides_replace_is_replaced_once_by_the_peer() {
    let mut duel = established();
    // B's own request is under way, and A has not seen it.
    duel.rekey_child(B);
    duel.lose(A);
    let payloads = rekey_request(&mut duel);
    assert!(notifies(&ask(&mut duel, 2, CREATE, &payloads).unwrap()).is_empty(), "a collision");
    for id in 3..20 {
        let again = ask(&mut duel, id, CREATE, &payloads).unwrap();
        assert_eq!(notifies(&again), [(NotifyType::TEMPORARY_FAILURE, vec![])]);
    }
    assert_eq!(duel.hosts[B].inbound().len(), 2);
}

#[test]
fn a_peer_that_replaces_a_pair_has_installed_it() {
    let mut duel = established();
    let payloads = rekey_request(&mut duel);
    ask(&mut duel, 2, CREATE, &payloads).unwrap();
    let outbound =
        |duel: &Duel| duel.hosts[B].count(|seen| matches!(seen, Seen::Installed(_, Direction::Outbound, _)));
    assert_eq!(outbound(&duel), 1, "the new one waits for the peer");
    // A replaces the new pair, too, before it has deleted the first.
    let spi_of = |payloads: &[Payload]| {
        payloads.iter().find_map(|payload| match payload {
            Payload::Sa(sa) => Some(sa.proposals[0].spi.clone()),
            _ => None,
        })
    };
    let new = spi_of(&payloads).unwrap();
    let mut second = payloads;
    for payload in &mut second {
        match payload {
            Payload::Notify(notify) if notify.kind == NotifyType::REKEY_SA => notify.spi.clone_from(&new),
            Payload::Sa(sa) => sa.proposals[0].spi = vec![0x77; 4],
            _ => {}
        }
    }
    assert!(notifies(&ask(&mut duel, 3, CREATE, &second).unwrap()).is_empty());
    let sends_with = duel.hosts[B].sends_with().unwrap();
    assert_eq!((outbound(&duel), sends_with.to_be_bytes().to_vec()), (2, new));
}

#[test]
fn a_peer_that_is_busy_for_minutes_is_left() {
    // RFC 7296 2.25.
    let mut duel = established();
    duel.delete_child(A);
    duel.settle();
    duel.create_child(A);
    let start = duel.now;
    while duel.hosts[A].ike_sas().len() == 1 {
        if duel.waiting(B) > 0 {
            let request = duel.hold(B);
            let busy = duel.forged_answer(&request, &[status(NotifyType::TEMPORARY_FAILURE, vec![])]);
            duel.release(&busy);
        } else {
            duel.wait(Duration::from_secs(1));
        }
        let spent = duel.now.saturating_since(start);
        assert!(spent < Duration::from_secs(400), "{}", duel.story());
        if request_is_delete(&duel) {
            break;
        }
    }
    assert!(duel.now.saturating_since(start) >= Duration::from_secs(300));
    // B, which has not seen any of this, does not understand the delete either.
    duel.wait(Duration::from_secs(60));
    assert!(duel.hosts[A].said().contains("TEMPORARY_FAILURE"), "{}", duel.story());
    assert!(duel.hosts[A].endpoint.is_idle());
}

/// Whether A has given up.
fn request_is_delete(duel: &Duel) -> bool {
    duel.on_the_wire().iter().any(|held| held.to == B && held.kind() == (INFORMATIONAL, false))
}

#[test]
fn a_peer_that_is_busy_now_and_then_is_not_left() {
    let mut duel = established();
    for _ in 0..10 {
        duel.rekey_child(A);
        let request = duel.hold(B);
        let busy = duel.forged_answer(&request, &[status(NotifyType::TEMPORARY_FAILURE, vec![])]);
        duel.release(&busy);
        // By the next attempt it is not busy any more, but for the fact that these are forged.
        duel.wait(Duration::from_secs(5));
        let request = duel.hold(B);
        let refused = duel.forged_answer(&request, &[status(NotifyType::NO_ADDITIONAL_SAS, vec![])]);
        duel.release(&refused);
        duel.wait(Duration::from_secs(15));
    }
    assert_eq!((duel.hosts[A].ike_sas().len(), closed(&duel, A)), (1, 0), "{}", duel.story());
}

#[test]
fn a_peer_that_replaces_the_ike_sa_over_and_over_is_held_to_a_few() {
    let mut duel = established();
    duel.rekey_ike(A);
    let request = duel.hold(B);
    duel.release(&request);
    let mut granted = 1;
    // Each one over the one before, and none of them ever deleted: A is told to, and is not let to.
    for _ in 0..30 {
        let Some(answer) = (duel.waiting(A) > 0).then(|| duel.hold(A)) else { break };
        duel.release(&answer);
        while duel.waiting(B) > 0 {
            duel.lose(B);
        }
        duel.rekey_ike(A);
        let Some(request) = (duel.waiting(B) > 0).then(|| duel.hold(B)) else { break };
        duel.release(&request);
        granted = duel.hosts[B].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
    }
    assert_eq!(granted, 7, "{}", duel.story());
    // What A deletes in the end makes room again.
    duel.run(Duration::from_secs(300));
    duel.rekey_ike(A);
    duel.run(Duration::from_secs(60));
    assert!(duel.hosts[B].count(|seen| matches!(seen, Seen::IkeRekeyed(..))) > granted);
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_refused_rekey_of_the_ike_sa_is_said_with_both_sides_values() {
    let mut duel = established();
    duel.rekey_ike(A);
    let request = duel.hold(B);
    let mut payloads = duel.read(&request);
    for payload in &mut payloads {
        if let Payload::Sa(sa) = payload {
            let other = ikebana_proposals::Proposal::ike("aes256gcm16-prfsha384-curve25519").unwrap();
            let spi = sa.proposals[0].spi.clone();
            *sa = ikebana_proposals::SaPayload::offer(&[other], &spi);
        }
    }
    let forged = forge(&duel, 2, CREATE, &payloads);
    duel.release(&forged);
    let story = duel.hosts[B].said();
    assert!(story.contains("IkeRekeyFailed") && story.contains("no IKE proposal in common"), "{story}");
    duel.settle();
    let story = duel.hosts[A].said();
    assert!(story.contains("refused every IKE proposal") && story.contains("aes128gcm16"), "{story}");
    assert_eq!((duel.hosts[A].ike_sas().len(), duel.hosts[B].ike_sas().len()), (1, 1));
}

#[test]
fn ike_auth_that_asks_for_no_child_sa_is_refused() {
    // RFC 6023: only where it has been offered.
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    let gone = [PayloadType::SA, PayloadType::TS_INITIATOR, PayloadType::TS_RESPONDER];
    let payloads: Vec<_> =
        duel.read(&request).into_iter().filter(|payload| !gone.contains(&payload.kind())).collect();
    let forged = duel.forged(&request, &payloads);
    let answer = tell(&mut duel, &forged).unwrap();
    assert_eq!(notifies(&answer), [(NotifyType::INVALID_SYNTAX, vec![])]);
    assert!(duel.hosts[B].said().contains("no child SA is asked for"), "{}", duel.story());
    assert_eq!(duel.hosts[B].count(|seen| matches!(seen, Seen::Established(_))), 0);
}

#[test]
fn an_error_that_ends_it_all_counts_beside_a_good_proof() {
    // RFC 7296 2.21.2.
    for kind in [NotifyType::INVALID_SYNTAX, NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD] {
        let mut duel = Duel::strangers(&Setup::default(), false);
        duel.initiate(A);
        duel.pass(B);
        duel.pass(A);
        assert_eq!(duel.pass(B), (AUTH, false));
        let answer = duel.hold(A);
        let mut payloads = duel.read(&answer);
        payloads.push(status(kind, vec![]));
        let forged = duel.forged(&answer, &payloads);
        duel.release(&forged);
        assert_eq!(duel.hosts[A].count(|seen| matches!(seen, Seen::Established(_))), 0);
        assert!(duel.hosts[A].said().contains(&kind.to_string()), "{}", duel.story());
        assert!(duel.hosts[A].endpoint.is_idle());
    }
}

#[test]
fn an_answer_without_a_proof_is_not_called_a_refusal() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    duel.pass(B);
    let answer = duel.hold(A);
    let payloads: Vec<_> =
        duel.read(&answer).into_iter().filter(|payload| !matches!(payload, Payload::Auth(_))).collect();
    let forged = duel.forged(&answer, &payloads);
    duel.release(&forged);
    assert!(duel.hosts[A].said().contains("used authentication method none"), "{}", duel.story());
}

#[test]
fn a_replaced_pair_ends_at_its_own_hard_limit() {
    let lifetime = ikebana_core::Lifetime {
        hard_time: Some(Duration::from_secs(100)),
        ..ikebana_core::Lifetime::UNLIMITED
    };
    let mut duel = Duel::established(&Setup { child_lifetime: lifetime, ..Setup::default() }, A, false);
    duel.allow_gap();
    let (_, old) = spis(&duel);
    let payloads = rekey_request(&mut duel);
    ask(&mut duel, 2, CREATE, &payloads).unwrap();
    // A never deletes the old pair, and sends nothing over the new one.
    duel.wait(Duration::from_secs(100));
    let gone = |seen: &Seen| matches!(seen, Seen::Removed(_, Direction::Outbound, spi, RemoveReason::Rekeyed) if *spi == old);
    assert_eq!(duel.hosts[B].count(gone), 1, "{}", duel.story());
}
