//! Sequences of operations on the security databases: every decision, event and view is that of a plain scan of
//! ordered lists.
#![no_main]

#[path = "support/input.rs"]
mod input;
#[path = "support/spd_model.rs"]
mod spd_model;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ikebana_core::{
    AddressRange, EspSpi, Flow, Instant, Lifetime, PortRange, TrafficSelector, TrafficSelectors,
};
use ikebana_sa_database::{
    Action, DatabaseConfig, Decision, Event, InboundId, OutboundId, Policy, PolicyId, SaDatabase,
    SaDescription, SaId, SaProtocol, SaState, Selectors, TunnelId, Unmatched,
};
use ikebana_testkit::SeededRng;
use input::Input;
use libfuzzer_sys::fuzz_target;
use spd_model::{Model, ModelPolicy, ModelSa, Number, Verdict};

const PROTOCOLS: [SaProtocol; 2] = [SaProtocol::Esp, SaProtocol::Ah];

/// Few addresses, so that most things overlap.
fn address(input: &mut Input<'_>) -> IpAddr {
    let octet = input.octet();
    match octet & 7 {
        0..6 => [10, octet >> 3 & 1, 0, octet & 7].into(),
        host => [0xfd00, 0, 0, u16::from(octet >> 3 & 1), 0, 0, 0, u16::from(host)].into(),
    }
}

fn addresses(input: &mut Input<'_>) -> AddressRange {
    match input.below(5) {
        0 => AddressRange::ALL_V4,
        1 => AddressRange::ALL_V6,
        2 => AddressRange::single(address(input)),
        3 => {
            let base = address(input);
            let most = if base.is_ipv4() { 33 } else { 129 };
            let prefix = u8::try_from(input.below(most)).expect("below 129");
            AddressRange::block(base, prefix).expect("a prefix of the family")
        }
        _ => {
            let (one, other) = (address(input), address(input));
            AddressRange::new(one.min(other), one.max(other)).unwrap_or(AddressRange::single(one))
        }
    }
}

fn ports(input: &mut Input<'_>) -> PortRange {
    match input.below(6) {
        0..3 => PortRange::ANY,
        3 => PortRange::OPAQUE,
        4 => PortRange::single(u16::from(input.octet() & 3)),
        _ => {
            let (one, other) = (input.number() & 3, input.number());
            PortRange::new(one.min(other), one.max(other)).expect("in order")
        }
    }
}

fn side(input: &mut Input<'_>) -> TrafficSelectors {
    let count = input.below(4);
    let selector = |_| TrafficSelector {
        protocol: input.pick(&[0, 0, 6, 17, 1]),
        addresses: addresses(input),
        ports: ports(input),
    };
    (0..count).map(selector).collect()
}

fn selectors(input: &mut Input<'_>) -> Selectors {
    let local = side(input);
    Selectors::new(local, side(input))
}

fn flow(input: &mut Input<'_>) -> Flow {
    let port = |octet: u8| (octet & 7 != 7).then_some(u16::from(octet & 3));
    Flow {
        local: address(input),
        remote: address(input),
        protocol: input.pick(&[6, 17, 1, 50]),
        local_port: port(input.octet()),
        remote_port: port(input.octet()),
    }
}

fn lifetime(input: &mut Input<'_>) -> Lifetime {
    let time = |octet: u8| match octet {
        0..128 => None,
        128..250 => Some(Duration::from_secs(u64::from(octet - 128))),
        250..253 => Some(Duration::ZERO),
        _ => Some(Duration::MAX),
    };
    let count = |octet: u8, unit: u64| match octet {
        0..128 => None,
        128..254 => Some(u64::from(octet - 128) * unit),
        _ => Some(u64::MAX),
    };
    Lifetime {
        soft_time: time(input.octet()),
        hard_time: time(input.octet()),
        soft_bytes: count(input.octet(), 100),
        hard_bytes: count(input.octet(), 100),
        soft_packets: count(input.octet(), 1),
        hard_packets: count(input.octet(), 1),
        jitter_percent: 0,
    }
}

fn spi(input: &mut Input<'_>) -> EspSpi {
    EspSpi::new(256 + u32::from(input.octet() & 3)).expect("not a reserved SPI")
}

/// The database, the model, and which of the one is which of the other. Removed ones stay listed, to be named
/// again.
struct Both {
    database: SaDatabase<Number>,
    model: Model,
    policies: Vec<(PolicyId, Number)>,
    sas: Vec<(SaId, Number)>,
    now: Instant,
}

impl Both {
    fn new(input: &mut Input<'_>) -> Self {
        let bypass_unmatched = input.octet() & 1 == 1;
        let config = DatabaseConfig {
            unmatched: if bypass_unmatched { Unmatched::Bypass } else { Unmatched::Discard },
            flow_cache: input.pick(&[0, 1, 4, 64]),
            ..DatabaseConfig::default()
        };
        Self {
            database: SaDatabase::new(&mut SeededRng::new(9), config),
            model: Model { bypass_unmatched, ..Model::default() },
            policies: Vec::new(),
            sas: Vec::new(),
            now: Instant::ZERO,
        }
    }

    fn number(&self, sa: SaId) -> Number {
        self.sas.iter().find(|(id, _)| *id == sa).expect("an SA that was installed").1
    }

    fn policy_number(&self, policy: PolicyId) -> Number {
        self.policies.iter().find(|(id, _)| *id == policy).expect("a policy that was added").1
    }

    fn operate(&mut self, number: Number, input: &mut Input<'_>, flows: &[Flow]) {
        let operation = input.octet();
        match operation % 16 {
            0..3 => self.add_policy(number, input),
            3 => self.remove_policy(input),
            4 | 5 => self.install(number, operation % 2 == 0, input),
            6 => self.install(number, false, input),
            7 => self.remove_sa(input),
            8 => self.remove_tunnel(TunnelId(input.below(3) as u64)),
            9 => self.retire(input),
            10 => self.account(input),
            11 => self.now = self.now + Duration::from_millis(u64::from(input.number())),
            12 => {
                self.database.handle_timeout(self.now);
                self.model.age(self.now);
                assert!(self.database.poll_timeout().is_none_or(|deadline| deadline > self.now));
            }
            13 => self.poll(),
            // Also when a clock goes back.
            14 => self.look(Instant::ZERO, &input.pick(flows)),
            _ => self.look(self.now, &input.pick(flows)),
        }
    }

    fn add_policy(&mut self, number: Number, input: &mut Input<'_>) {
        let action = match input.octet() & 7 {
            0 => Action::Bypass,
            1 => Action::Discard,
            kind => Action::Protect { tunnel: TunnelId(input.below(3) as u64), on_demand: kind & 1 == 0 },
        };
        let (priority, selectors) = (u32::from(input.octet() & 3), selectors(input));
        let id = self.database.add_policy(Policy {
            name: number.to_string(),
            priority,
            selectors: Arc::new(selectors.clone()),
            action,
        });
        self.policies.push((id, number));
        self.model.add_policy(ModelPolicy { number, priority, selectors, action });
    }

    fn remove_policy(&mut self, input: &mut Input<'_>) {
        if self.policies.is_empty() {
            return;
        }
        let (id, number) = input.pick(&self.policies);
        let removed = self.database.remove_policy(id);
        assert_eq!(removed.is_some(), self.model.remove_policy(number));
        assert!(removed.is_none_or(|policy| policy.name == number.to_string()));
        assert!(self.database.policy(id).is_none());
    }

    fn install(&mut self, number: Number, inbound: bool, input: &mut Input<'_>) {
        let sa = ModelSa {
            number,
            inbound,
            tunnel: TunnelId(input.below(3) as u64),
            protocol: input.pick(&PROTOCOLS),
            spi: spi(input),
            selectors: selectors(input),
            lifetime: lifetime(input),
            installed: self.now,
            packets: 0,
            octets: 0,
            last_used: None,
            state: SaState::Usable,
            retired: false,
        };
        let description = SaDescription {
            tunnel: sa.tunnel,
            protocol: sa.protocol,
            spi: sa.spi,
            selectors: Arc::new(sa.selectors.clone()),
            lifetime: sa.lifetime,
        };
        let id = if inbound {
            self.database.install_inbound(self.now, description, number).ok().map(SaId::from)
        } else {
            Some(self.database.install_outbound(self.now, description, number).into())
        };
        assert_eq!(id.is_some(), self.model.install(self.now, sa));
        self.sas.extend(id.map(|id| (id, number)));
    }

    fn remove_sa(&mut self, input: &mut Input<'_>) {
        if self.sas.is_empty() {
            return;
        }
        let (id, number) = input.pick(&self.sas);
        let removed = match id {
            SaId::Inbound(id) => self.database.remove_inbound(id),
            SaId::Outbound(id) => self.database.remove_outbound(id),
        };
        assert_eq!(removed, self.model.remove(number).then_some(number));
    }

    fn remove_tunnel(&mut self, tunnel: TunnelId) {
        let removed = self.database.remove_tunnel(tunnel);
        let inbound: Vec<Number> = removed.inbound.into_iter().map(|(_, number)| number).collect();
        let outbound: Vec<Number> = removed.outbound.into_iter().map(|(_, number)| number).collect();
        assert_eq!(inbound, self.model.members(tunnel, true));
        assert_eq!(outbound, self.model.members(tunnel, false));
        for number in inbound.into_iter().chain(outbound) {
            assert!(self.model.remove(number));
        }
    }

    fn retire(&mut self, input: &mut Input<'_>) {
        if self.sas.is_empty() {
            return;
        }
        if let (SaId::Outbound(id), number) = input.pick(&self.sas) {
            self.database.retire_outbound(id);
            self.model.retire(number);
        }
    }

    fn account(&mut self, input: &mut Input<'_>) {
        if self.sas.is_empty() {
            return;
        }
        let (id, number) = input.pick(&self.sas);
        let (packets, octets) = (u64::from(input.octet() & 7), u64::from(input.octet() & 15) * 100);
        let result = self.database.account(self.now, id, packets, octets);
        assert_eq!(result, self.model.account(self.now, number, packets, octets));
    }

    fn poll(&mut self) {
        let mut expired = Vec::new();
        while let Some(event) = self.database.poll_event() {
            match event {
                Event::SoftExpired { sa, limit, .. } => expired.push((self.number(sa), limit, false)),
                Event::HardExpired { sa, limit, .. } => expired.push((self.number(sa), limit, true)),
                Event::Acquire { policy, tunnel, flow } => {
                    let asked = (self.policy_number(policy), tunnel, flow);
                    let at = self.model.asked.iter().position(|known| *known == asked);
                    // Each question is reported once.
                    self.model.asked.remove(at.expect("a question that was asked and not reported"));
                }
            }
        }
        // What is left was answered by an SA, so none of it is ever reported.
        self.model.asked.clear();
        expired.sort_unstable();
        self.model.expired.sort_unstable();
        assert_eq!(expired, self.model.expired);
        self.model.expired.clear();
    }

    fn look(&mut self, now: Instant, flow: &Flow) {
        let verdict = match self.database.outbound(now, flow) {
            Decision::Protect(id) => Verdict::Protect(self.number(id.into())),
            Decision::Bypass => Verdict::Bypass,
            Decision::Discard(reason) => Verdict::Discard(reason),
            Decision::Acquire { policy, tunnel, first } => {
                let policy = self.policy_number(policy);
                if first {
                    self.model.asked.push((policy, tunnel, *flow));
                }
                Verdict::Acquire(policy, tunnel)
            }
        };
        assert_eq!(verdict, self.model.outbound(now, flow));
        assert_eq!(self.database.permits_cleartext(flow), self.model.cleartext(flow));
        for (id, number) in &self.sas {
            if let SaId::Inbound(id) = id {
                let carries = self.model.sa(*number).is_some_and(|sa| sa.selectors.cover(flow));
                assert_eq!(self.database.permits_inbound(*id, flow), carries);
            }
        }
    }

    /// Everything that can be looked at without changing anything.
    fn compare(&self) {
        let names: Vec<String> =
            self.database.policies().into_iter().map(|(_, policy)| policy.name.clone()).collect();
        let expected: Vec<String> =
            self.model.policies.iter().map(|policy| policy.number.to_string()).collect();
        assert_eq!(names, expected);
        for protocol in PROTOCOLS {
            for spi in (256..260).filter_map(EspSpi::new) {
                assert_eq!(self.database.is_spi_free(protocol, spi), self.model.is_free(protocol, spi));
                let found = self.database.inbound(protocol, spi);
                let found = found.and_then(|id| self.database.inbound_ref(id)).copied();
                assert_eq!(found, self.model.inbound(protocol, spi));
            }
        }
        for tunnel in (0..3).map(TunnelId) {
            let inbound = self.database.inbound_of(tunnel).map(|id: InboundId| self.number(id.into()));
            assert!(inbound.eq(self.model.members(tunnel, true)));
            let outbound = self.database.outbound_of(tunnel).map(|id: OutboundId| self.number(id.into()));
            assert!(outbound.eq(self.model.members(tunnel, false)));
        }
        let inbound = self.model.sas.iter().filter(|sa| sa.inbound).count();
        assert_eq!(self.database.inbound_len(), inbound);
        assert_eq!(self.database.outbound_len(), self.model.sas.len() - inbound);
        for (id, number) in &self.sas {
            let (info, sa) = (self.database.info(*id), self.model.sa(*number));
            assert_eq!(info.is_some(), sa.is_some());
            let (Some(info), Some(sa)) = (info, sa) else { continue };
            let usage = (info.usage.packets, info.usage.octets, info.usage.installed, info.usage.last_used);
            assert_eq!(usage, (sa.packets, sa.octets, sa.installed, sa.last_used));
            assert_eq!((info.tunnel, info.protocol, info.spi), (sa.tunnel, sa.protocol, sa.spi));
            assert_eq!((info.state, info.retired), (sa.state, sa.retired));
        }
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let mut both = Both::new(&mut input);
    // Few flows, looked up again and again: that is what a cache gets wrong.
    let flows: Vec<Flow> = (0..=input.below(6)).map(|_| flow(&mut input)).collect();
    for number in 0..80 {
        if input.is_empty() {
            break;
        }
        both.operate(number, &mut input, &flows);
        both.compare();
    }
    both.poll();
});
