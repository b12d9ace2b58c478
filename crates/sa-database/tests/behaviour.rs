//! What the database promises, one behaviour per test.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::Arc;
use std::time::Duration;

use ikebana_core::{EspSpi, Flow, IdentityPattern, Instant, Lifetime};
use ikebana_sa_database::*;
use ikebana_testkit::SeededRng;

const TUNNEL: TunnelId = TunnelId(1);

type Database = SaDatabase<&'static str>;

fn database() -> Database {
    SaDatabase::new(&mut SeededRng::new(1), DatabaseConfig::default())
}

fn between(local: &str, remote: &str) -> Arc<Selectors> {
    Arc::new(Selectors::new(local.parse().unwrap(), remote.parse().unwrap()))
}

fn policy(local: &str, remote: &str, action: Action) -> Policy {
    Policy { name: "test".into(), priority: 100, selectors: between(local, remote), action }
}

fn on_demand() -> Action {
    Action::Protect { tunnel: TUNNEL, on_demand: true }
}

fn sa(spi: u32, local: &str, remote: &str) -> SaDescription {
    SaDescription {
        tunnel: TUNNEL,
        protocol: SaProtocol::Esp,
        spi: EspSpi::new(spi).unwrap(),
        selectors: between(local, remote),
        lifetime: Lifetime::UNLIMITED,
    }
}

fn limited(spi: u32, lifetime: Lifetime) -> SaDescription {
    SaDescription { lifetime, ..sa(spi, "10.1.0.0/16", "10.2.0.0/16") }
}

fn tcp(local: &str, remote: &str, port: u16) -> Flow {
    Flow {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        protocol: 6,
        local_port: Some(40_000),
        remote_port: Some(port),
    }
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

#[test]
fn a_more_urgent_policy_decides_and_equals_decide_in_order_of_addition() {
    let mut database = database();
    let wide = database.add_policy(policy("0.0.0.0/0", "0.0.0.0/0", Action::Discard));
    database.add_policy(policy("0.0.0.0/0", "0.0.0.0/0", Action::Bypass));
    let web = tcp("10.1.0.1", "10.2.0.1", 443);
    assert_eq!(database.outbound(seconds(0), &web), Decision::Discard(DiscardReason::Policy));
    let urgent = Policy { priority: 1, ..policy("0.0.0.0/0", "0.0.0.0/0[tcp/443]", Action::Bypass) };
    let urgent = database.add_policy(urgent);
    assert_eq!(database.outbound(seconds(0), &web), Decision::Bypass);
    assert_eq!(database.policies().first().map(|(id, _)| *id), Some(urgent));
    database.remove_policy(urgent);
    database.remove_policy(wide);
    assert_eq!(database.outbound(seconds(0), &web), Decision::Bypass);
    assert_eq!(database.remove_policy(wide), None);
}

#[test]
fn what_no_policy_matches_is_discarded_unless_the_owner_wants_otherwise() {
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    let mut strict = database();
    assert_eq!(strict.outbound(seconds(0), &flow), Decision::Discard(DiscardReason::NoPolicy));
    assert_eq!(strict.permits_cleartext(&flow), Err(DiscardReason::NoPolicy));
    let config = DatabaseConfig { unmatched: Unmatched::Bypass, ..DatabaseConfig::default() };
    let mut open: Database = SaDatabase::new(&mut SeededRng::new(1), config);
    assert_eq!(open.outbound(seconds(0), &flow), Decision::Bypass);
    assert_eq!(open.permits_cleartext(&flow), Ok(()));
}

#[test]
fn cleartext_that_must_be_protected_does_not_pass_even_while_an_sa_exists() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    assert_eq!(database.permits_cleartext(&flow), Err(DiscardReason::MustBeProtected));
    database.install_inbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "in").unwrap();
    assert_eq!(database.permits_cleartext(&flow), Err(DiscardReason::MustBeProtected));
}

#[test]
fn an_inner_packet_outside_the_selectors_of_its_sa_is_not_permitted() {
    let mut database = database();
    let narrow = sa(256, "10.1.0.0/16", "10.2.0.0/16[tcp/22]");
    let id = database.install_inbound(seconds(0), narrow, "in").unwrap();
    assert!(database.permits_inbound(id, &tcp("10.1.0.1", "10.2.0.1", 22)));
    assert!(!database.permits_inbound(id, &tcp("10.1.0.1", "10.2.0.1", 23)));
    assert!(!database.permits_inbound(id, &tcp("10.1.0.1", "10.3.0.1", 22)));
    assert!(!database.permits_inbound(id, &tcp("10.9.0.1", "10.2.0.1", 22)));
}

#[test]
fn a_rekey_switches_to_the_new_sa_at_once_and_back_if_that_goes() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    let old = database.install_outbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "old");
    assert_eq!(database.outbound(seconds(0), &flow), Decision::Protect(old));
    let new = database.install_outbound(seconds(1), sa(257, "10.1.0.0/16", "10.2.0.0/16"), "new");
    assert_eq!(database.outbound(seconds(1), &flow), Decision::Protect(new));
    assert_eq!(database.remove_outbound(new), Some("new"));
    assert_eq!(database.outbound(seconds(1), &flow), Decision::Protect(old));
    database.retire_outbound(old);
    assert!(matches!(database.outbound(seconds(1), &flow), Decision::Acquire { .. }));
    assert_eq!(database.outbound_mut(old), Some(&mut "old"), "a retired SA is still there");
}

#[test]
fn each_flow_takes_the_sa_that_was_narrowed_to_it() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let all = database.install_outbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "all");
    let web = database.install_outbound(seconds(0), sa(257, "10.1.0.0/16", "10.2.0.0/16[tcp/443]"), "web");
    assert_eq!(database.outbound(seconds(0), &tcp("10.1.0.1", "10.2.0.1", 443)), Decision::Protect(web));
    assert_eq!(database.outbound(seconds(0), &tcp("10.1.0.1", "10.2.0.1", 22)), Decision::Protect(all));
}

#[test]
fn an_acquire_is_reported_once_and_again_with_growing_pauses() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    let mut reported = Vec::new();
    for millis in (0..70_000).step_by(100) {
        let now = Instant::from_millis(millis);
        assert!(matches!(database.outbound(now, &flow), Decision::Acquire { .. }));
        while let Some(event) = database.poll_event() {
            assert!(matches!(event, Event::Acquire { flow: first, tunnel: TUNNEL, .. } if first == flow));
            reported.push(millis / 1_000);
        }
    }
    assert_eq!(reported, [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn an_acquire_that_nobody_has_seen_is_not_queued_twice() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    for second in 0..100 {
        database.outbound(seconds(second), &tcp("10.1.0.1", "10.2.0.1", 443));
    }
    assert!(matches!(database.poll_event(), Some(Event::Acquire { .. })));
    assert_eq!(database.poll_event(), None);
}

#[test]
fn an_acquire_is_moot_once_an_sa_covers_it_and_the_next_flow_asks_at_once() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let (first, second) = (tcp("10.1.0.1", "10.2.0.1", 443), tcp("10.1.0.1", "10.2.0.2", 443));
    assert!(matches!(database.outbound(seconds(0), &first), Decision::Acquire { first: true, .. }));
    assert!(matches!(database.outbound(seconds(0), &second), Decision::Acquire { first: false, .. }));
    database.install_outbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.1/32"), "narrow");
    assert_eq!(database.poll_event(), None);
    assert!(matches!(database.outbound(seconds(0), &second), Decision::Acquire { first: true, .. }));
    assert!(matches!(database.poll_event(), Some(Event::Acquire { flow, .. }) if flow == second));
}

#[test]
fn an_acquire_after_one_that_became_moot_unseen_is_reported_once() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let (first, second) = (tcp("10.1.0.1", "10.2.0.1", 443), tcp("10.1.0.1", "10.2.0.2", 443));
    database.outbound(seconds(0), &first);
    database.install_outbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.1/32"), "narrow");
    assert!(matches!(database.outbound(seconds(0), &second), Decision::Acquire { first: true, .. }));
    assert!(matches!(database.poll_event(), Some(Event::Acquire { flow, .. }) if flow == second));
    assert_eq!(database.poll_event(), None);
}

#[test]
fn traffic_that_was_silent_for_longer_than_its_pause_asks_as_if_it_were_new() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    let mut asks = |second| {
        database.outbound(seconds(second), &flow);
        database.poll_event().is_some()
    };
    // Asked at 0, 1, 3 and 7; the pause is 8 seconds then, and twice that goes by in silence.
    assert!([0, 1, 3, 7].into_iter().all(&mut asks));
    assert!(asks(23));
    assert!(asks(24));
    assert!(!asks(25));
}

#[test]
fn a_policy_that_does_not_ask_discards_until_there_is_an_sa() {
    let mut database = database();
    let passive = Action::Protect { tunnel: TUNNEL, on_demand: false };
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", passive));
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    assert_eq!(database.outbound(seconds(0), &flow), Decision::Discard(DiscardReason::NoSa));
    assert_eq!(database.poll_event(), None);
    let id = database.install_outbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "out");
    assert_eq!(database.outbound(seconds(0), &flow), Decision::Protect(id));
}

#[test]
fn limits_by_packets_and_octets_are_soft_first_and_never_passed() {
    let mut database = database();
    let lifetime = Lifetime {
        soft_packets: Some(2),
        hard_packets: Some(3),
        hard_bytes: Some(1_000),
        ..Lifetime::UNLIMITED
    };
    let by_packets = database.install_outbound(seconds(0), limited(256, lifetime), "packets");
    let by_octets = database.install_outbound(seconds(0), limited(257, lifetime), "octets");
    for _ in 0..3 {
        assert_eq!(database.account(seconds(1), by_packets, 1, 100), Ok(()));
    }
    assert_eq!(database.account(seconds(1), by_packets, 1, 100), Err(NotUsable::Expired));
    assert_eq!(database.account(seconds(1), by_octets, 1, 1_001), Err(NotUsable::Expired));
    let event = |sa: OutboundId, limit, hard| match hard {
        false => Event::SoftExpired { sa: sa.into(), tunnel: TUNNEL, limit },
        true => Event::HardExpired { sa: sa.into(), tunnel: TUNNEL, limit },
    };
    let events: Vec<_> = std::iter::from_fn(|| database.poll_event()).collect();
    assert_eq!(
        events,
        [
            event(by_packets, Limit::Packets, false),
            event(by_packets, Limit::Packets, true),
            event(by_octets, Limit::Bytes, true)
        ]
    );
    let usage = database.info(by_packets).unwrap().usage;
    assert_eq!((usage.packets, usage.octets, usage.last_used), (3, 300, Some(seconds(1))));
}

#[test]
fn an_sa_past_its_hard_age_is_not_used_however_late_the_timer_is() {
    let mut database = database();
    database.add_policy(policy("10.1.0.0/16", "10.2.0.0/16", on_demand()));
    let lifetime = Lifetime::by_time(Duration::from_secs(100));
    let id = database.install_outbound(seconds(0), limited(256, lifetime), "out");
    let flow = tcp("10.1.0.1", "10.2.0.1", 443);
    assert_eq!(database.poll_timeout(), Some(seconds(100)));
    assert_eq!(database.outbound(seconds(109), &flow), Decision::Protect(id));
    assert_eq!(database.poll_timeout(), Some(seconds(110)));
    assert_eq!(database.account(seconds(110), id, 1, 1), Err(NotUsable::Expired));
    assert!(matches!(database.outbound(seconds(110), &flow), Decision::Acquire { .. }));
    assert_eq!(database.poll_timeout(), None);
    assert_eq!(database.info(id).unwrap().state, SaState::HardExpired);
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut database = database();
    let lifetime = Lifetime::by_time(Duration::from_secs(100));
    let id = database.install_outbound(seconds(50), limited(256, lifetime), "out");
    database.handle_timeout(seconds(149));
    database.handle_timeout(seconds(0));
    let late = database.install_outbound(seconds(0), limited(257, lifetime), "late");
    assert_eq!(database.info(id).unwrap().state, SaState::Usable);
    assert_eq!(database.info(late).unwrap().usage.installed, seconds(149));
}

#[test]
fn an_spi_belongs_to_one_inbound_sa_per_protocol() {
    let mut database = database();
    let (esp, spi) = (sa(256, "10.1.0.0/16", "10.2.0.0/16"), EspSpi::new(256).unwrap());
    assert!(database.is_spi_free(SaProtocol::Esp, spi));
    let first = database.install_inbound(seconds(0), esp.clone(), "first").unwrap();
    assert_eq!(database.install_inbound(seconds(0), esp.clone(), "second"), Err(InstallError::SpiInUse(spi)));
    let ah = SaDescription { protocol: SaProtocol::Ah, ..esp };
    let other = database.install_inbound(seconds(0), ah, "ah").unwrap();
    assert_eq!(database.inbound(SaProtocol::Esp, spi), Some(first));
    assert_eq!(database.inbound(SaProtocol::Ah, spi), Some(other));
    assert_eq!(database.remove_inbound(first), Some("first"));
    assert_eq!(database.inbound(SaProtocol::Esp, spi), None);
}

#[test]
fn the_id_of_a_removed_sa_never_names_its_successor() {
    let mut database = database();
    let old = database.install_inbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "old").unwrap();
    database.remove_inbound(old);
    let new = database.install_inbound(seconds(0), sa(256, "10.1.0.0/16", "10.2.0.0/16"), "new").unwrap();
    assert_ne!(old, new);
    assert_eq!(database.inbound_mut(old), None);
    assert_eq!(database.remove_inbound(old), None);
    assert_eq!(database.account(seconds(0), old, 1, 1), Err(NotUsable::Removed));
    assert_eq!(database.inbound_ref(new), Some(&"new"));
}

#[test]
fn removing_a_tunnel_returns_its_sas_and_leaves_others_and_reports_no_events_of_the_dead() {
    let mut database = database();
    let lifetime = Lifetime { soft_packets: Some(1), ..Lifetime::UNLIMITED };
    let inbound = database.install_inbound(seconds(0), limited(256, lifetime), "in").unwrap();
    let outbound = database.install_outbound(seconds(0), limited(256, lifetime), "out");
    let other = SaDescription { tunnel: TunnelId(2), ..limited(257, lifetime) };
    let other = database.install_outbound(seconds(0), other, "other");
    database.account(seconds(0), inbound, 1, 1).unwrap();
    assert_eq!(database.outbound_of(TUNNEL).collect::<Vec<_>>(), [outbound]);
    let removed = database.remove_tunnel(TUNNEL);
    assert_eq!((removed.inbound, removed.outbound), (vec![(inbound, "in")], vec![(outbound, "out")]));
    assert_eq!((database.inbound_len(), database.outbound_len()), (0, 1));
    assert_eq!(database.outbound_of(TunnelId(2)).collect::<Vec<_>>(), [other]);
    assert_eq!(database.poll_event(), None);
}

#[test]
fn an_authorization_allows_selectors_only_if_it_has_both_sides_of_them() {
    let selectors =
        |local: &str, remote: &str| Selectors::new(local.parse().unwrap(), remote.parse().unwrap());
    let entry = PeerAuthorization {
        identity: IdentityPattern::Any,
        peer: "branch".into(),
        remote: "10.64.0.0/16".parse().unwrap(),
        local: "10.0.0.0/16".parse().unwrap(),
    };
    assert!(entry.allows(&selectors("10.0.1.0/24", "10.64.1.0/24")));
    assert!(!entry.allows(&selectors("10.1.0.0/24", "10.64.1.0/24")));
    assert!(!entry.allows(&selectors("10.0.1.0/24", "10.65.1.0/24")));
    assert_eq!(entry.limit(&selectors("10.1.0.0/24", "10.64.1.0/24")), None);
}
