//! Phase 1 between two endpoints: both modes, loss, mistakes in the configuration, NATs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "tests")]

mod two;

use std::time::Duration;

use ikebana_core::Instant;
use ikebana_ike::{DropReason, Encapsulation, Fragmentation, Ikev1Listener, Phase1Mode, Uniqueness};
use ikebana_proposals::Proposal;

use two::{A, B, Two, listener, path, setup};

const BOTH: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

#[test]
fn both_modes_come_to_the_same_on_both_sides() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.initiate();
        two.settle();
        two.assert_established();
        let [a, b] = [&two.sides[A].established[0], &two.sides[B].established[0]];
        assert!(a.initiator && !b.initiator);
        assert_eq!((&a.local_id, &a.remote_id), (&b.remote_id, &b.local_id));
        assert_eq!((a.initiator_spi, a.responder_spi), (b.initiator_spi, b.responder_spi));
        assert_eq!(a.suite, b.suite);
        assert!(!a.encapsulated && !b.encapsulated && !a.nat.any() && !b.nat.any());
        let messages = if mode == Phase1Mode::Main { 6 } else { 3 };
        let sent = two.sides.iter().map(|side| side.sent.len()).sum::<usize>();
        assert_eq!(sent, messages + 3, "and quick mode");
    }
}

#[test]
fn every_single_lost_message_is_made_up_for() {
    for mode in BOTH {
        for lost in 0..9 {
            let mut two = Two::new(setup(mode));
            two.initiate();
            let mut at = 0;
            while let Some((to, path, octets)) = two.wire.pop_front() {
                if at != lost {
                    let _ = two.hand(to, path, &octets);
                }
                at += 1;
            }
            two.run(Instant::from_secs(130));
            two.assert_established();
        }
    }
}

#[test]
fn a_message_that_comes_twice_changes_nothing_the_second_time() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.initiate();
        while let Some((to, path, octets)) = two.wire.pop_front() {
            let _ = two.hand(to, path, &octets);
            let _ = two.hand(to, path, &octets);
            assert!(two.sides[A].sent.len() + two.sides[B].sent.len() < 100, "no echo without end");
        }
        two.assert_established();
        assert_eq!(two.sides[A].terminal + two.sides[B].terminal, 0);
    }
}

#[test]
fn a_wrong_key_in_main_mode_is_named_as_the_probable_reason_on_both_sides() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    two.sides[B].keys.key = "another key";
    two.initiate();
    two.run(Instant::from_secs(300));
    assert!(two.sides[A].has("Timeout") && two.sides[A].has("pre-shared key"), "{:?}", two.sides[A].events);
    assert!(two.sides[B].has("ProbablyWrongPreSharedKey"), "{:?}", two.sides[B].events);
    assert!(two.sides[B].endpoint.stats().drops.get(DropReason::BadIntegrity) > 0);
    for side in &two.sides {
        assert_eq!(side.terminal, 1);
        assert!(side.endpoint.is_idle());
    }
}

#[test]
fn a_wrong_key_in_aggressive_mode_is_known_to_the_initiator_at_once() {
    let mut two = Two::new(setup(Phase1Mode::Aggressive));
    two.sides[B].keys.key = "another key";
    two.initiate();
    two.settle();
    assert!(two.sides[A].has("WrongPreSharedKey"), "{:?}", two.sides[A].events);
    two.run(Instant::from_secs(300));
    assert_eq!(two.sides[B].terminal, 1);
    assert!(two.sides.iter().all(|side| side.endpoint.is_idle()));
}

#[test]
fn proposals_without_anything_in_common_are_explained_on_both_sides() {
    for mode in BOTH {
        let mut peers = setup(mode);
        peers[B].proposals = vec![Proposal::ike("aes256-sha256-ecp256").unwrap()];
        let mut two = Two::new(peers);
        two.initiate();
        two.settle();
        assert!(two.sides[B].has("encryption: ours aes256, offered aes128"), "{:?}", two.sides[B].events);
        assert!(two.sides[A].has("hint: the peer refused every IKE proposal"), "{:?}", two.sides[A].events);
        two.run(Instant::from_secs(300));
        assert!(two.sides[A].has("failed: the peer refused every IKE proposal"));
        assert!(two.sides.iter().all(|side| side.endpoint.is_idle()));
    }
}

/// Whoever has one peer's key can prove nothing but that; with the address alone it could be any of them.
#[test]
fn the_key_of_one_identity_does_not_open_another_one() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    // By address B finds the key that A has, but moon.example's own key is another one.
    two.sides[B].keys.by_identity = vec![("moon.example", "moon's own key")];
    two.initiate();
    two.settle();
    assert!(two.sides[B].has("WrongPreSharedKey"), "{:?}", two.sides[B].events);
    assert!(two.sides[A].has("RefusedByPeer"), "{:?}", two.sides[A].events);
    assert!(two.sides.iter().all(|side| side.established.is_empty() && side.endpoint.is_idle()));
}

#[test]
fn an_unexpected_identity_is_refused_by_either_side() {
    for mode in BOTH {
        let mut peers = setup(mode);
        peers[A].remote_id = "mars.example".parse().unwrap();
        let mut two = Two::new(peers);
        two.initiate();
        two.run(Instant::from_secs(300));
        assert!(two.sides[A].has("UnexpectedIdentity"), "{:?}", two.sides[A].events);
        assert!(two.sides.iter().all(|side| side.endpoint.is_idle()), "{mode:?} {:?}", two.sides[B].events);

        let mut peers = setup(mode);
        peers[A].local_id = "mars.example".parse().unwrap();
        let mut two = Two::new(peers);
        two.initiate();
        two.run(Instant::from_secs(300));
        assert!(two.sides[B].has("UnknownPeer"), "{:?}", two.sides[B].events);
        assert!(two.sides[A].terminal == 1 && two.sides[A].established.is_empty());
        assert!(two.sides.iter().all(|side| side.endpoint.is_idle()));
    }
}

#[test]
fn a_mode_that_the_peers_configuration_does_not_have_is_refused() {
    let mut peers = setup(Phase1Mode::Main);
    peers[A].ikev1.phase1 = Phase1Mode::Aggressive;
    let mut two = Two::new(peers);
    two.initiate();
    two.run(Instant::from_secs(300));
    assert!(two.sides[B].has("aggressive mode"), "{:?}", two.sides[B].events);
    assert!(two.sides.iter().all(|side| side.established.is_empty()));
}

#[test]
fn strangers_may_do_only_what_the_listener_says() {
    for (mode, ikev1) in [
        (Phase1Mode::Main, Ikev1Listener { aggressive: true, pre_shared_key: true, ..Default::default() }),
        (Phase1Mode::Aggressive, Ikev1Listener { main: true, pre_shared_key: true, ..Default::default() }),
    ] {
        let mut two = Two::new(setup(mode));
        let peer = two.sides[B].peer();
        two.sides[B].endpoint.set_listeners(vec![ikebana_ike::Listener { ikev1, ..listener(&peer) }]);
        two.initiate();
        two.settle();
        assert_eq!(two.sides[B].endpoint.stats().drops.get(DropReason::NotListening), 1);
        assert!(two.sides[B].sent.is_empty());
    }
}

#[test]
fn a_nat_is_found_and_both_ports_move() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.nat = Some("198.51.100.7".parse().unwrap());
        two.initiate();
        two.settle();
        two.assert_established();
        let [a, b] = [&two.sides[A].established[0], &two.sides[B].established[0]];
        assert!(a.nat.local && !a.nat.remote && a.encapsulated, "{mode:?}");
        assert!(b.nat.remote && !b.nat.local && b.encapsulated, "{mode:?}");
        assert_eq!((a.path.local.port(), a.path.remote.port()), (4500, 4500));
        assert_eq!((b.path.local.port(), b.path.remote.port()), (4500, 14_500));
    }
}

#[test]
fn encapsulation_can_be_forced_by_either_side_and_forbidden() {
    for mode in BOTH {
        for who in [A, B] {
            let mut peers = setup(mode);
            peers[who].encapsulation = Encapsulation::Force;
            let mut two = Two::new(peers);
            two.initiate();
            two.settle();
            two.assert_established();
            assert!(two.sides.iter().all(|side| side.established[0].encapsulated), "{mode:?} {who}");
        }
        let mut peers = setup(mode);
        peers[A].encapsulation = Encapsulation::Never;
        let mut two = Two::new(peers);
        two.nat = Some("198.51.100.7".parse().unwrap());
        two.initiate();
        two.run(Instant::from_secs(300));
        assert!(two.sides[A].has("NatForbidden"), "{:?}", two.sides[A].events);
        assert!(two.sides.iter().all(|side| side.endpoint.is_idle()));
    }
}

#[test]
fn messages_in_fragments_are_put_together() {
    for mode in BOTH {
        let mut peers = setup(mode);
        for peer in &mut peers {
            peer.ikev1.fragmentation = Fragmentation::Force;
        }
        let mut two = Two::new(peers);
        two.initiate();
        two.settle();
        two.assert_established();
        let fragments = two.sides[A].sent.iter().filter(|(path, octets)| {
            let start = if path.remote.port() == 500 { 0 } else { 4 };
            octets[start + 16] == 132
        });
        assert!(fragments.count() >= 2, "{mode:?}");
    }
}

#[test]
fn a_peer_that_does_phase_1_again_renews_what_there_is() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.initiate();
        two.settle();
        two.now = Instant::from_secs(200);
        two.initiate();
        two.settle();
        assert!(two.sides[B].has("Joined"), "{:?}", two.sides[B].events);
        assert!(two.sides[B].has("rekeyed"));
        assert_eq!(two.sides[B].established.len(), 1);
    }
}

#[test]
fn a_peer_that_has_restarted_replaces_what_there_was() {
    for mode in BOTH {
        let peers = setup(mode);
        let mut two = Two::new(peers.clone());
        two.initiate();
        two.settle();
        // A starts anew and knows nothing of what was.
        two.sides[A] = two::Side::new(peers[A].clone(), 77, Default::default());
        two.now = Instant::from_secs(200);
        two.initiate();
        two.settle();
        assert_eq!(two.sides[B].established.len(), 2);
        assert!(two.sides[B].has("closed: replaced"), "{:?}", two.sides[B].events);
    }
}

#[test]
fn many_clients_may_share_an_identity_where_the_configuration_says_so() {
    let mut peers = setup(Phase1Mode::Main);
    peers[B].uniqueness = Uniqueness::Keep;
    let mut two = Two::new(peers.clone());
    two.initiate();
    two.settle();
    two.sides[A] = two::Side::new(peers[A].clone(), 77, Default::default());
    two.initiate();
    two.settle();
    assert_eq!(two.sides[B].established.len(), 2);
    assert_eq!(two.sides[B].terminal, 0, "{:?}", two.sides[B].events);
}

#[test]
fn a_configuration_that_ikev1_cannot_say_is_refused_at_once() {
    let mut peers = setup(Phase1Mode::Main);
    peers[A].proposals = vec![Proposal::ike("aes256gcm16-prfsha384-curve25519").unwrap()];
    let mut two = Two::new(peers);
    let peer = two.sides[A].peer();
    assert!(two.sides[A].endpoint.initiate(two.now, peer, path()).is_err());
    assert!(two.sides[A].endpoint.is_idle());
}

#[test]
fn closing_ends_an_attempt_in_every_stage() {
    for mode in BOTH {
        for steps in 0..6 {
            let mut two = Two::new(setup(mode));
            let ike = two.initiate();
            for _ in 0..steps {
                if let Some((to, path, octets)) = two.wire.pop_front() {
                    let _ = two.hand(to, path, &octets);
                }
            }
            two.sides[A].endpoint.close(two.now, ike).unwrap();
            two.drain(A);
            assert_eq!(two.sides[A].terminal, 1);
            two.run(Instant::from_secs(400));
            assert!(two.sides[A].endpoint.is_idle(), "{mode:?} {steps}");
            // Whoever has had our proof has an association, and no way to know that we do not want it any more.
            let b = &two.sides[B];
            assert!(b.endpoint.is_idle() || b.established.len() == 1, "{mode:?} {steps}");
        }
    }
}

#[test]
fn waiting_for_the_application_is_bounded_and_answers_that_come_late_are_refused() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    two.initiate();
    // B's application is asked, and says nothing.
    let (to, path, octets) = two.wire.pop_front().unwrap();
    let _ = two.hand(to, path, &octets);
    let (to, path, octets) = two.wire.pop_front().unwrap();
    let _ = two.hand(to, path, &octets);
    let (_, path, octets) = two.wire.pop_front().unwrap();
    let now = two.now;
    let datagram = ikebana_core::Datagram { path, encapsulated: false, octets: &octets };
    two.sides[B].endpoint.handle_datagram(now, datagram).unwrap();
    let query = std::iter::from_fn(|| two.sides[B].endpoint.poll_output()).find_map(|output| match output {
        ikebana_ike::Output::Event(ikebana_ike::Event::Query(id, _)) => Some(id),
        _ => None,
    });
    let datagram = ikebana_core::Datagram { path, encapsulated: false, octets: &octets };
    assert_eq!(two.sides[B].endpoint.handle_datagram(now, datagram), Err(DropReason::StillWorking));
    let wrong = ikebana_ike::Answer::Peer(None);
    assert!(two.sides[B].endpoint.answer(now, query.unwrap(), wrong).is_err());
    let later = now + Duration::from_secs(31);
    two.sides[B].endpoint.handle_timeout(later);
    let late = ikebana_ike::Answer::PreSharedKey(None);
    assert!(two.sides[B].endpoint.answer(later, query.unwrap(), late).is_err());
    assert!(two.sides[B].endpoint.is_idle());
}
