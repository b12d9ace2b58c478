//! Random runs of the database against a model that scans plain ordered lists.

mod model_types;

use std::sync::Arc;
use std::time::Duration;

use ikebana_core::{EspSpi, Instant, Lifetime};
use ikebana_sa_database::*;
use ikebana_testkit::{SeededRng, soak};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use model_types::{Model, ModelDecision, flow, selectors};

#[derive(Clone, Debug)]
enum Operation {
    AddPolicy { priority: u32, selectors: Selectors, action: Action },
    RemovePolicy(Index),
    InstallInbound { tunnel: u64, spi: u32, selectors: Selectors, lifetime: Lifetime },
    InstallOutbound { tunnel: u64, selectors: Selectors, lifetime: Lifetime },
    RemoveInbound(Index),
    RemoveOutbound(Index),
    RemoveTunnel(u64),
    Retire(Index),
    Account { inbound: bool, which: Index, packets: u64, octets: u64 },
    Pass(Duration),
    Timeout,
    Look(Index),
    Poll,
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    let limit = |most: u64| proptest::option::of(1..most);
    // Octets come in hundreds, so that limits are often reached exactly.
    let octets = || proptest::option::of((1_u64..20).prop_map(|hundreds| hundreds * 100));
    (limit(60), limit(60), octets(), octets(), limit(8), limit(8)).prop_map(
        |(soft_time, hard_time, soft_bytes, hard_bytes, soft_packets, hard_packets)| Lifetime {
            soft_time: soft_time.map(Duration::from_secs),
            hard_time: hard_time.map(Duration::from_secs),
            soft_bytes,
            hard_bytes,
            soft_packets,
            hard_packets,
            jitter_percent: 0,
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let tunnel = || 0_u64..3;
    let action = prop_oneof![
        4 => (tunnel(), any::<bool>()).prop_map(|(tunnel, on_demand)| Action::Protect {
            tunnel: TunnelId(tunnel),
            on_demand,
        }),
        1 => Just(Action::Bypass),
        1 => Just(Action::Discard),
    ];
    prop_oneof![
        4 => (0_u32..4, selectors(), action)
            .prop_map(|(priority, selectors, action)| Operation::AddPolicy { priority, selectors, action }),
        1 => any::<Index>().prop_map(Operation::RemovePolicy),
        2 => (tunnel(), 256_u32..262, selectors(), lifetime()).prop_map(
            |(tunnel, spi, selectors, lifetime)| {
                Operation::InstallInbound { tunnel, spi, selectors, lifetime }
            }
        ),
        5 => (tunnel(), selectors(), lifetime()).prop_map(|(tunnel, selectors, lifetime)| {
            Operation::InstallOutbound { tunnel, selectors, lifetime }
        }),
        1 => any::<Index>().prop_map(Operation::RemoveInbound),
        1 => any::<Index>().prop_map(Operation::RemoveOutbound),
        1 => tunnel().prop_map(Operation::RemoveTunnel),
        1 => any::<Index>().prop_map(Operation::Retire),
        4 => (any::<bool>(), any::<Index>(), 1_u64..3, 0_u64..5).prop_map(
            |(inbound, which, packets, hundreds)| Operation::Account { inbound, which, packets, octets: hundreds * 100 }
        ),
        2 => (0_u64..20_000).prop_map(|millis| Operation::Pass(Duration::from_millis(millis))),
        1 => Just(Operation::Timeout),
        12 => any::<Index>().prop_map(Operation::Look),
        2 => Just(Operation::Poll),
    ]
}

fn describe(tunnel: u64, spi: u32, selectors: Selectors, lifetime: Lifetime) -> SaDescription {
    SaDescription {
        tunnel: TunnelId(tunnel),
        protocol: SaProtocol::Esp,
        spi: EspSpi::new(spi).expect("not a reserved SPI"),
        selectors: Arc::new(selectors),
        lifetime,
    }
}

/// What the model's decision is called by the database, which has ids where the model has numbers.
fn check_decision(decision: Decision, expected: &ModelDecision, outbound: &[(OutboundId, u64)]) {
    let actual = match decision {
        Decision::Protect(id) => {
            let (_, number) =
                outbound.iter().find(|(known, _)| *known == id).expect("an SA that was installed");
            ModelDecision::Protect(*number)
        }
        Decision::Bypass => ModelDecision::Bypass,
        Decision::Discard(reason) => ModelDecision::Discard(reason),
        Decision::Acquire { tunnel, .. } => ModelDecision::Acquire(tunnel),
    };
    assert_eq!(&actual, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::cases(1_000)))]

    #[test]
    fn every_decision_and_event_is_that_of_a_scan_of_ordered_lists(
        operations in vec(operation(), 1..150),
        // Few flows, looked up again and again: that is what a cache gets wrong.
        flows in vec(flow(), 1..8),
        flow_cache in prop_oneof![Just(0_usize), Just(1), Just(8), Just(64)],
    ) {
        let mut database: SaDatabase<u64> = SaDatabase::new(
            &mut SeededRng::new(9),
            DatabaseConfig { flow_cache, ..DatabaseConfig::default() },
        );
        let mut model = Model::default();
        let (mut policies, mut inbound, mut outbound) = (Vec::new(), Vec::new(), Vec::new());
        let mut now = Instant::ZERO;
        let mut number = 0;
        for operation in operations {
            number += 1;
            match operation {
                Operation::AddPolicy { priority, selectors, action } => {
                    let id = database.add_policy(Policy {
                        name: number.to_string(),
                        priority,
                        selectors: Arc::new(selectors.clone()),
                        action,
                    });
                    policies.push((id, number));
                    model.add_policy(number, priority, selectors, action);
                }
                Operation::RemovePolicy(which) if !policies.is_empty() => {
                    let (id, number) = *which.get(&policies);
                    prop_assert_eq!(database.remove_policy(id).is_some(), model.remove_policy(number));
                }
                Operation::InstallInbound { tunnel, spi, selectors, lifetime } => {
                    let description = describe(tunnel, spi, selectors.clone(), lifetime);
                    let result = database.install_inbound(now, description, number);
                    let free = model.install(true, number, now, tunnel, spi, selectors, lifetime);
                    prop_assert_eq!(result.is_ok(), free);
                    inbound.extend(result.ok().map(|id| (id, number)));
                }
                Operation::InstallOutbound { tunnel, selectors, lifetime } => {
                    let description = describe(tunnel, 4_096, selectors.clone(), lifetime);
                    outbound.push((database.install_outbound(now, description, number), number));
                    model.install(false, number, now, tunnel, 4_096, selectors, lifetime);
                }
                Operation::RemoveInbound(which) if !inbound.is_empty() => {
                    let (id, number) = *which.get(&inbound);
                    prop_assert_eq!(database.remove_inbound(id), model.remove(number));
                }
                Operation::RemoveOutbound(which) if !outbound.is_empty() => {
                    let (id, number) = *which.get(&outbound);
                    prop_assert_eq!(database.remove_outbound(id), model.remove(number));
                }
                Operation::RemoveTunnel(tunnel) => {
                    let removed = database.remove_tunnel(TunnelId(tunnel));
                    let mut numbers: Vec<_> = removed.inbound.into_iter().map(|(_, number)| number).collect();
                    numbers.extend(removed.outbound.into_iter().map(|(_, number)| number));
                    numbers.sort_unstable();
                    prop_assert_eq!(numbers, model.remove_tunnel(tunnel));
                }
                Operation::Retire(which) if !outbound.is_empty() => {
                    let (id, number) = *which.get(&outbound);
                    database.retire_outbound(id);
                    model.retire(number);
                }
                Operation::Account { inbound: true, which, packets, octets } if !inbound.is_empty() => {
                    let (id, number) = *which.get(&inbound);
                    let result = database.account(now, id, packets, octets);
                    prop_assert_eq!(result, model.account(number, now, packets, octets));
                }
                Operation::Account { inbound: false, which, packets, octets } if !outbound.is_empty() => {
                    let (id, number) = *which.get(&outbound);
                    let result = database.account(now, id, packets, octets);
                    prop_assert_eq!(result, model.account(number, now, packets, octets));
                }
                Operation::Pass(duration) => now = now + duration,
                Operation::Timeout => {
                    database.handle_timeout(now);
                    prop_assert!(database.poll_timeout().is_none_or(|deadline| deadline > now));
                    model.age(now);
                }
                Operation::Look(which) => {
                    let flow = *which.get(&flows);
                    check_decision(database.outbound(now, &flow), &model.outbound(now, &flow), &outbound);
                    prop_assert_eq!(database.permits_cleartext(&flow), model.cleartext(&flow));
                    for (id, number) in &inbound {
                        prop_assert_eq!(database.permits_inbound(*id, &flow), model.carries(*number, &flow));
                    }
                    for spi in 256..262 {
                        let found = database.inbound(SaProtocol::Esp, EspSpi::new(spi).unwrap());
                        let found = found.and_then(|id| database.inbound_mut(id)).copied();
                        prop_assert_eq!(found, model.inbound(spi));
                    }
                }
                Operation::Poll => {
                    let number_of = |sa| match sa {
                        SaId::Inbound(id) => inbound.iter().find(|(known, _)| *known == id).unwrap().1,
                        SaId::Outbound(id) => outbound.iter().find(|(known, _)| *known == id).unwrap().1,
                    };
                    let (mut soft, mut hard) = (Vec::new(), Vec::new());
                    while let Some(event) = database.poll_event() {
                        match event {
                            Event::SoftExpired { sa, limit, .. } => soft.push((number_of(sa), limit)),
                            Event::HardExpired { sa, limit, .. } => hard.push((number_of(sa), limit)),
                            Event::Acquire { tunnel, flow, .. } => {
                                prop_assert!(model.has_asked(tunnel, &flow));
                            }
                        }
                    }
                    soft.sort_unstable();
                    hard.sort_unstable();
                    prop_assert_eq!((soft, hard), model.take_events());
                }
                Operation::RemovePolicy(_)
                | Operation::RemoveInbound(_)
                | Operation::RemoveOutbound(_)
                | Operation::Retire(_)
                | Operation::Account { .. } => {}
            }
        }
    }
}
