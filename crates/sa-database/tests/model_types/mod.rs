//! The model: lists, scanned from the front.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ikebana_core::{AddressRange, Flow, Instant, Lifetime, PortRange, TrafficSelector, TrafficSelectors};
use ikebana_sa_database::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ModelDecision {
    Protect(u64),
    Bypass,
    Discard(DiscardReason),
    Acquire(TunnelId),
}

/// Which SAs have reached which limit.
type Reached = Vec<(u64, Limit)>;

#[derive(Default)]
pub(crate) struct Model {
    policies: Vec<ModelPolicy>,
    sas: Vec<ModelSa>,
    asked: Vec<(TunnelId, Flow)>,
    soft: Reached,
    hard: Reached,
}

struct ModelPolicy {
    number: u64,
    priority: u32,
    selectors: Selectors,
    action: Action,
}

struct ModelSa {
    inbound: bool,
    number: u64,
    tunnel: TunnelId,
    spi: u32,
    selectors: Selectors,
    lifetime: Lifetime,
    installed: Instant,
    packets: u64,
    octets: u64,
    soft: bool,
    hard: bool,
    retired: bool,
}

impl Model {
    pub(crate) fn add_policy(&mut self, number: u64, priority: u32, selectors: Selectors, action: Action) {
        self.policies.push(ModelPolicy { number, priority, selectors, action });
        // A stable sort keeps the order of addition among equals.
        self.policies.sort_by_key(|policy| policy.priority);
    }

    pub(crate) fn remove_policy(&mut self, number: u64) -> bool {
        let before = self.policies.len();
        self.policies.retain(|policy| policy.number != number);
        self.policies.len() < before
    }

    #[expect(clippy::too_many_arguments, reason = "one argument per column of the list")]
    pub(crate) fn install(
        &mut self,
        inbound: bool,
        number: u64,
        installed: Instant,
        tunnel: u64,
        spi: u32,
        selectors: Selectors,
        lifetime: Lifetime,
    ) -> bool {
        if inbound && self.sas.iter().any(|sa| sa.inbound && sa.spi == spi) {
            return false;
        }
        self.sas.push(ModelSa {
            inbound,
            number,
            tunnel: TunnelId(tunnel),
            spi,
            selectors,
            lifetime,
            installed,
            packets: 0,
            octets: 0,
            soft: false,
            hard: false,
            retired: false,
        });
        true
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<u64> {
        let at = self.sas.iter().position(|sa| sa.number == number)?;
        self.soft.retain(|(gone, _)| *gone != number);
        self.hard.retain(|(gone, _)| *gone != number);
        Some(self.sas.remove(at).number)
    }

    pub(crate) fn remove_tunnel(&mut self, tunnel: u64) -> Vec<u64> {
        let numbers: BTreeSet<u64> =
            self.sas.iter().filter(|sa| sa.tunnel == TunnelId(tunnel)).map(|sa| sa.number).collect();
        for number in &numbers {
            self.remove(*number);
        }
        numbers.into_iter().collect()
    }

    pub(crate) fn retire(&mut self, number: u64) {
        for sa in self.sas.iter_mut().filter(|sa| sa.number == number) {
            sa.retired = true;
        }
    }

    pub(crate) fn age(&mut self, now: Instant) {
        for sa in &mut self.sas {
            let past = |age: Option<_>| age.is_some_and(|age| sa.installed + age <= now);
            let (soft, hard) = (past(sa.lifetime.soft_time), past(sa.lifetime.hard_time));
            if hard && !sa.hard {
                sa.hard = true;
                self.hard.push((sa.number, Limit::Time));
            } else if soft && !sa.soft && !sa.hard {
                sa.soft = true;
                self.soft.push((sa.number, Limit::Time));
            }
        }
    }

    pub(crate) fn account(
        &mut self,
        number: u64,
        now: Instant,
        packets: u64,
        octets: u64,
    ) -> Result<(), NotUsable> {
        self.age(now);
        let sa = self.sas.iter_mut().find(|sa| sa.number == number).ok_or(NotUsable::Removed)?;
        if sa.hard {
            return Err(NotUsable::Expired);
        }
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        let (packets, octets) = (sa.packets + packets, sa.octets + octets);
        let kind = if over(sa.lifetime.hard_bytes, octets) {
            Some(Limit::Bytes)
        } else {
            over(sa.lifetime.hard_packets, packets).then_some(Limit::Packets)
        };
        if let Some(limit) = kind {
            sa.hard = true;
            self.hard.push((number, limit));
            return Err(NotUsable::Expired);
        }
        (sa.packets, sa.octets) = (packets, octets);
        let kind = if reached(sa.lifetime.soft_bytes, octets) {
            Some(Limit::Bytes)
        } else {
            reached(sa.lifetime.soft_packets, packets).then_some(Limit::Packets)
        };
        if let Some(limit) = kind.filter(|_| !sa.soft) {
            sa.soft = true;
            self.soft.push((number, limit));
        }
        Ok(())
    }

    pub(crate) fn outbound(&mut self, now: Instant, flow: &Flow) -> ModelDecision {
        self.age(now);
        let Some(policy) = self.policies.iter().find(|policy| policy.selectors.cover(flow)) else {
            return ModelDecision::Discard(DiscardReason::NoPolicy);
        };
        match policy.action {
            Action::Bypass => ModelDecision::Bypass,
            Action::Discard => ModelDecision::Discard(DiscardReason::Policy),
            Action::Protect { tunnel, on_demand } => {
                let newest = self.sas.iter().rev().find(|sa| {
                    !sa.inbound && sa.tunnel == tunnel && !sa.hard && !sa.retired && sa.selectors.cover(flow)
                });
                match newest {
                    Some(sa) => ModelDecision::Protect(sa.number),
                    None if on_demand => {
                        self.asked.push((tunnel, *flow));
                        ModelDecision::Acquire(tunnel)
                    }
                    None => ModelDecision::Discard(DiscardReason::NoSa),
                }
            }
        }
    }

    pub(crate) fn cleartext(&self, flow: &Flow) -> Result<(), DiscardReason> {
        match self.policies.iter().find(|policy| policy.selectors.cover(flow)).map(|policy| policy.action) {
            Some(Action::Bypass) => Ok(()),
            Some(Action::Discard) => Err(DiscardReason::Policy),
            Some(Action::Protect { .. }) => Err(DiscardReason::MustBeProtected),
            None => Err(DiscardReason::NoPolicy),
        }
    }

    pub(crate) fn inbound(&self, spi: u32) -> Option<u64> {
        self.sas.iter().find(|sa| sa.inbound && sa.spi == spi && !sa.hard).map(|sa| sa.number)
    }

    pub(crate) fn carries(&self, number: u64, flow: &Flow) -> bool {
        self.sas.iter().any(|sa| sa.number == number && sa.selectors.cover(flow))
    }

    pub(crate) fn has_asked(&self, tunnel: TunnelId, flow: &Flow) -> bool {
        self.asked.contains(&(tunnel, *flow))
    }

    pub(crate) fn take_events(&mut self) -> (Reached, Reached) {
        self.soft.sort_unstable();
        self.hard.sort_unstable();
        (std::mem::take(&mut self.soft), std::mem::take(&mut self.hard))
    }
}

/// Few addresses, so that most things overlap.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        3 => (0_u8..2, 0_u8..4).prop_map(|(net, host)| IpAddr::from([10, net, 0, host])),
        1 => (0_u16..4).prop_map(|host| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host])),
    ]
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let range = prop_oneof![
        2 => Just(AddressRange::ALL_V4),
        1 => Just(AddressRange::ALL_V6),
        3 => (address(), prop_oneof![Just(0_u8), Just(1), Just(16)]).prop_map(|(address, host_bits)| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            AddressRange::block(address, most - host_bits).expect("a prefix of the family")
        }),
        1 => (address(), address()).prop_map(|(one, other)| {
            AddressRange::new(one.min(other), one.max(other)).unwrap_or(AddressRange::single(one))
        }),
    ];
    let ports = prop_oneof![4 => Just(PortRange::ANY), 1 => (0_u16..3).prop_map(PortRange::single)];
    let protocol = prop_oneof![3 => Just(0_u8), 1 => Just(6)];
    (protocol, range, ports).prop_map(|(protocol, addresses, ports)| TrafficSelector {
        protocol,
        addresses,
        ports,
    })
}

pub(crate) fn selectors() -> impl Strategy<Value = Selectors> {
    (vec(selector(), 1..3), vec(selector(), 1..3)).prop_map(|(local, remote)| {
        Selectors::new(TrafficSelectors::new(local), TrafficSelectors::new(remote))
    })
}

pub(crate) fn flow() -> impl Strategy<Value = Flow> {
    let port = || prop_oneof![3 => (0_u16..3).prop_map(Some), 1 => Just(None)];
    (address(), address(), prop_oneof![Just(6_u8), Just(17)], port(), port()).prop_map(
        |(local, remote, protocol, local_port, remote_port)| Flow {
            local,
            remote,
            protocol,
            local_port,
            remote_port,
        },
    )
}
