//! SAs into the databases and out of them.

use alloc::string::ToString;
use alloc::sync::Arc;

use ikebana_core::{EspSpi, Flow, Instant, Lifetime, Path};
use ikebana_esp::{Family, Overhead};
use ikebana_ike::{ChildHandle, Direction, RemoveReason, SaParams};
use ikebana_proposals::ProtocolId;
use ikebana_sa_database::{Action, Policy, SaDescription, SaProtocol, Selectors};

use super::protection::{Inbound, Outbound};
use super::sizes::{MssPolicy, SizePolicy};
use super::tunnel::{Pair, Tunnel};
use super::{Engine, Event, Output, Port, TunnelId};

/// What opens the packets of an inbound SA.
pub(super) struct InboundObject {
    pub(super) sa: Inbound,
    pub(super) child: ChildHandle,
    pub(super) path: Path,
    pub(super) in_udp: bool,
    /// The longest packet that fits the SA in the other direction.
    pub(super) answer_mtu: usize,
    pub(super) mss: MssPolicy,
    /// When the endpoint was last told that the peer lives.
    pub(super) told: Option<Instant>,
}

/// What seals the packets of an outbound SA.
pub(super) struct OutboundObject {
    pub(super) sa: Outbound,
    pub(super) child: ChildHandle,
    pub(super) path: Path,
    pub(super) in_udp: bool,
    pub(super) inner_mtu: usize,
    pub(super) sizes: SizePolicy,
    /// What it carries.
    pub(super) selectors: Arc<Selectors>,
}

impl OutboundObject {
    /// By which door its packets leave.
    pub(super) const fn port(&self) -> Port {
        match &self.sa {
            Outbound::Ah(_) => Port::Ah,
            Outbound::Esp(_) if self.in_udp => Port::Shared,
            Outbound::Esp(_) => Port::Esp,
        }
    }
}

impl Engine {
    /// Puts a negotiated SA to work.
    pub(super) fn install(&mut self, id: TunnelId, mut params: SaParams) {
        let now = self.now;
        // An outbound SA that was held back was described before its peer moved, if it has moved since.
        params.path = self.ike.path(params.ike).unwrap_or(params.path);
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let (child, direction, spi) = (params.child, params.direction, params.spi);
        let (path, in_udp) = (params.path, params.encapsulated);
        let selectors = Arc::new(Selectors::new(params.local.clone(), params.remote.clone()));
        let (tunnel_id, protocol, lifetime) = (database_id(id), protocol(params.protocol), params.lifetime);
        let description = |bounds: Lifetime| SaDescription {
            tunnel: tunnel_id,
            protocol,
            spi,
            selectors: selectors.clone(),
            lifetime: limits(lifetime, bounds),
        };
        let replaced = params.replaces.map(|old| tunnel.pairs.get(&old).map_or(0, |old| old.rekeys));
        let (path_mtu, sizes) = (tunnel.path_mtu(path), tunnel.config.sizes);
        let pair = tunnel.pairs.entry(child).or_insert_with(|| Pair {
            inbound: None,
            outbound: None,
            config: params.config.clone(),
            suite: params.suite,
            protocol: params.protocol,
            mode: params.mode,
            local: params.local.clone(),
            remote: params.remote.clone(),
            inner_mtu: 0,
            rekeys: replaced.map_or(0, |before| before.saturating_add(1)),
        });
        let replaces = params.replaces;
        let extended = params.suite.esn;
        let suite = params.suite;
        let (outer, tfc) = (tunnel.config.outer, tunnel.config.tfc);
        let mode = super::protection::mode(&params);
        let installed = match direction {
            Direction::Inbound => Inbound::new(params, &self.provider).map(|sa| {
                // The other direction may come later, and what it answers is known before.
                let overhead = Overhead::of_suite(&suite, mode, in_udp, Family::of(path.local.ip()));
                let answer_mtu = overhead.map_or(0, |overhead| overhead.inner_mtu(path_mtu));
                let mss = sizes.mss;
                let object = InboundObject { sa, child, path, in_udp, answer_mtu, mss, told: None };
                let bounds = peers_sequence(extended).jittered(self.ike.rng());
                pair.inbound = self.database.install_inbound(now, description(bounds), object).ok();
            }),
            Direction::Outbound => {
                Outbound::new(params, (outer, tfc), &self.provider, self.ike.rng()).map(|mut sa| {
                    sa.set_path_mtu(path_mtu);
                    let inner_mtu = sa.overhead().inner_mtu(path_mtu);
                    pair.inner_mtu = inner_mtu;
                    let bounds = own_bounds(&sa).jittered(self.ike.rng());
                    let selectors = selectors.clone();
                    let object = OutboundObject { sa, child, path, in_udp, inner_mtu, sizes, selectors };
                    self.by_spi.insert(spi, child);
                    pair.outbound = Some(self.database.install_outbound(now, description(bounds), object));
                })
            }
        };
        self.by_child.insert(child, id);
        if direction == Direction::Inbound {
            self.open_early(spi);
        }
        if let Err(error) = installed {
            let cause = alloc::format!("an SA cannot be set up: {error}");
            self.problem(Some(id), cause);
            // Half a pair is of no use to either side. It may be on its way out already.
            let _ = self.ike.delete_child(now, child);
            return;
        }
        if direction == Direction::Outbound {
            self.after_outbound(id, child, replaces, &selectors);
        }
    }

    /// The pair is complete: packets can leave.
    fn after_outbound(
        &mut self,
        id: TunnelId,
        child: ChildHandle,
        replaces: Option<ChildHandle>,
        selectors: &Arc<Selectors>,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.child_failures = 0;
        tunnel.child_pending = false;
        tunnel.told_up = true;
        tunnel.cause = None;
        if let Some(pair) = tunnel.pairs.get(&child) {
            tunnel.child_causes.remove(&pair.config.name);
            if !tunnel_knows(tunnel, child) {
                let policy = Policy {
                    name: tunnel.peer.name.clone(),
                    priority: LEARNED_PRIORITY,
                    selectors: selectors.clone(),
                    action: Action::Protect { tunnel: database_id(id), on_demand: false },
                };
                let policy = self.database.add_policy(policy);
                tunnel.learned.insert(child, policy);
            }
        }
        self.event(Event::ChildUp { tunnel: id, child, rekeyed: replaces.is_some() });
        self.release_waiting(id);
    }

    /// Takes an SA out of use.
    pub(super) fn uninstall(
        &mut self,
        child: ChildHandle,
        direction: Direction,
        spi: EspSpi,
        reason: RemoveReason,
    ) {
        if direction == Direction::Outbound {
            self.by_spi.remove(spi, child);
        }
        let Some(id) = self.by_child.get(&child).copied() else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let Some(pair) = tunnel.pairs.get_mut(&child) else { return };
        // Whether this leaves the tunnel without an SA is seen when everything that belongs to it has happened.
        self.lost.push((id, reason.to_string()));
        match direction {
            Direction::Inbound => {
                pair.inbound.take().and_then(|id| self.database.remove_inbound(id));
            }
            Direction::Outbound => {
                let gone = pair.outbound.take().and_then(|id| self.database.remove_outbound(id));
                if let Some(object) = gone {
                    self.leave_path(id, object.path);
                }
            }
        }
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let Some(pair) = tunnel.pairs.get(&child) else { return };
        if pair.inbound.is_some() || pair.outbound.is_some() {
            return;
        }
        tunnel.pairs.remove(&child);
        if let Some(policy) = tunnel.learned.remove(&child) {
            self.database.remove_policy(policy);
        }
        self.by_child.remove(&child);
        self.event(Event::ChildDown { tunnel: id, child, reason: reason.to_string() });
        self.child_gone(id, reason);
    }

    /// The peer's packets come from, and go to, somewhere else now.
    pub(super) fn move_child(&mut self, child: ChildHandle, path: Path, in_udp: bool) {
        let Some(id) = self.by_child.get(&child).copied() else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let path_mtu = tunnel.path_mtu(path);
        let Some(pair) = tunnel.pairs.get_mut(&child) else { return };
        if let Some(object) = pair.inbound.and_then(|id| self.database.inbound_mut(id)) {
            (object.path, object.in_udp) = (path, in_udp);
            object.sa.set_path(path, in_udp);
        }
        if let Some(object) = pair.outbound.and_then(|id| self.database.outbound_mut(id)) {
            let old = core::mem::replace(&mut object.path, path);
            object.in_udp = in_udp;
            let moved = object.sa.set_path(path, in_udp);
            object.sa.set_path_mtu(path_mtu);
            object.inner_mtu = object.sa.overhead().inner_mtu(path_mtu);
            pair.inner_mtu = object.inner_mtu;
            if let Some(object) = pair.inbound.and_then(|id| self.database.inbound_mut(id)) {
                object.answer_mtu = pair.inner_mtu;
            }
            if let Err(error) = moved {
                let cause = alloc::format!("an SA cannot follow its peer to {path}: {error}");
                self.problem(Some(id), cause);
            }
            self.leave_path(id, old);
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }
}

/// Behind every policy that was configured.
const LEARNED_PRIORITY: u32 = 1_000_000;

/// Whether the pair's traffic is what the configured policies already name.
fn tunnel_knows(tunnel: &Tunnel, child: ChildHandle) -> bool {
    tunnel.pairs.get(&child).is_some_and(|pair| {
        tunnel
            .known_traffic(&pair.config)
            .is_some_and(|(local, remote)| local.contains(&pair.local) && remote.contains(&pair.remote))
    })
}

/// The databases' name of a tunnel.
pub(super) const fn database_id(id: TunnelId) -> ikebana_sa_database::TunnelId {
    ikebana_sa_database::TunnelId(id.0)
}

pub(super) const fn protocol(protocol: ProtocolId) -> SaProtocol {
    match protocol {
        ProtocolId::AH => SaProtocol::Ah,
        _ => SaProtocol::Esp,
    }
}

/// Where an outbound SA has to be replaced whatever its lifetime says: well before its cipher has encrypted too
/// much, or its sequence numbers run out, at which it would stop.
fn own_bounds(sa: &Outbound) -> Lifetime {
    let octets = sa.usage_limit().soft;
    Lifetime {
        soft_bytes: (octets != u64::MAX).then_some(octets),
        soft_packets: Some(three_quarters(sa.sequences_left())),
        jitter_percent: BOUNDS_JITTER,
        ..Lifetime::UNLIMITED
    }
}

/// The same for the peer's SA towards us. Its numbers are its own business; a peer that lets them run out is
/// helped a little later than it should have helped itself.
fn peers_sequence(extended: bool) -> Lifetime {
    let last = if extended { u64::MAX } else { u64::from(u32::MAX) };
    let soft_packets = Some(three_quarters(last).saturating_add(last / 8));
    Lifetime { soft_packets, jitter_percent: BOUNDS_JITTER, ..Lifetime::UNLIMITED }
}

/// Two sides that send as much as each other need not come to replace the pair in the same moment.
const BOUNDS_JITTER: u8 = 10;

const fn three_quarters(of: u64) -> u64 {
    of.saturating_sub(of / 4)
}

/// A lifetime for the database: within `bounds`, and without limits by time, which are the endpoint's own
/// business.
fn limits(lifetime: Lifetime, bounds: Lifetime) -> Lifetime {
    let earlier = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
    Lifetime {
        soft_time: None,
        hard_time: None,
        soft_bytes: earlier(lifetime.soft_bytes, bounds.soft_bytes),
        soft_packets: earlier(lifetime.soft_packets, bounds.soft_packets),
        ..lifetime
    }
}

/// The same flow whichever side looks at it.
pub(super) const fn inbound_flow(flow: ikebana_esp::InnerFlow) -> Flow {
    flow.inbound()
}

#[cfg(test)]
mod tests {
    use super::*;

    use ikebana_crypto::CryptoProvider;
    use ikebana_esp::{EspParams, OutboundSa};
    use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal};
    use ikebana_testkit::SeededRng;

    fn sa(suite: &str, esn: bool, keys: [usize; 2]) -> Outbound {
        let proposal = Proposal::esp(suite).unwrap();
        let suite = ChildSuite {
            protocol: ProtocolId::ESP,
            encryption: proposal.encryption.first().copied(),
            integrity: proposal.integrity.first().copied(),
            key_exchange: None,
            additional: [KeyExchangeId::NONE; 7],
            esn,
        };
        let keys = keys.map(|length| ikebana_core::Secret::new(alloc::vec![7; length]));
        let [ours, theirs] = [[192, 0, 2, 1], [192, 0, 2, 2]];
        let params = EspParams::tunnel(EspSpi::MIN, suite, keys, ours.into(), theirs.into());
        let sa = OutboundSa::new(params, &CryptoProvider::rust_crypto(), &mut SeededRng::new(1));
        Outbound::Esp(sa.unwrap())
    }

    #[test]
    fn an_sa_without_limits_is_replaced_before_its_sequence_numbers_run_out() {
        let mut short = sa("aes128gcm16", false, [20, 0]);
        let bounds = limits(Lifetime::UNLIMITED, own_bounds(&short));
        assert_eq!(bounds.soft_packets, Some(0xc000_0000));
        assert_eq!((bounds.hard_packets, bounds.soft_time), (None, None));
        short.esp_mut().unwrap().resume_after(u64::from(u32::MAX) - 1_000);
        assert_eq!(own_bounds(&short).soft_packets, Some(750));
        assert!(own_bounds(&sa("aes128gcm16", true, [20, 0])).soft_packets > Some(1 << 63));
        // The peer's turn comes first.
        let theirs = peers_sequence(false).soft_packets.unwrap();
        assert_eq!(theirs, 0xdfff_ffff);
        assert!(theirs - theirs / 10 > 0xc000_0000 - 0xc000_0000 / 10);
    }

    #[test]
    fn an_sa_without_limits_is_replaced_before_its_cipher_has_encrypted_too_much() {
        let blocks = sa("aes128-sha1", false, [16, 20]);
        assert_eq!(limits(Lifetime::UNLIMITED, own_bounds(&blocks)).soft_bytes, Some(1 << 49));
        assert_eq!(own_bounds(&sa("chacha20poly1305", false, [36, 0])).soft_bytes, None);
    }

    /// One suite of each family, with its keys, and after how many octets the SA is to be replaced.
    const FAMILIES: [(&str, [usize; 2], Option<u64>); 8] = [
        ("aes128-sha1", [16, 20], Some(1 << 49)),
        ("aes256-sha256", [32, 32], Some(1 << 49)),
        ("aes128ctr-sha1", [20, 20], Some(1 << 49)),
        ("aes128gcm16", [20, 0], Some(1 << 49)),
        ("aes128ccm16", [19, 0], Some(1 << 49)),
        ("chacha20poly1305", [36, 0], None),
        ("null-sha256", [0, 32], None),
        ("null-sha512", [0, 64], None),
    ];

    /// Installs an SA as the engine does, uses it for so much, and says which limits it has reached.
    fn reached(sa: &Outbound, used: &[(u64, u64)]) -> alloc::vec::Vec<ikebana_sa_database::Limit> {
        use ikebana_sa_database::{DatabaseConfig, Event, SaDatabase};
        let mut rng = SeededRng::new(1);
        let mut database: SaDatabase<()> = SaDatabase::new(&mut rng, DatabaseConfig::default());
        let description = SaDescription {
            tunnel: database_id(TunnelId(1)),
            protocol: SaProtocol::Esp,
            spi: EspSpi::MIN,
            selectors: Arc::new(Selectors::default()),
            lifetime: limits(Lifetime::UNLIMITED, own_bounds(sa)),
        };
        let id = database.install_outbound(Instant::ZERO, description, ());
        for (packets, octets) in used {
            assert!(database.account(Instant::ZERO, id, *packets, *octets).is_ok());
        }
        let soft = |event| match event {
            Event::SoftExpired { limit, .. } => limit,
            other @ (Event::Acquire { .. } | Event::HardExpired { .. }) => panic!("{other:?}"),
        };
        core::iter::from_fn(|| database.poll_event()).map(soft).collect()
    }

    #[test]
    fn every_family_of_ciphers_is_replaced_well_before_it_has_to_stop() {
        use ikebana_sa_database::Limit;
        for (suite, keys, octets) in FAMILIES {
            for esn in [false, true] {
                let sa = sa(suite, esn, keys);
                let packets = own_bounds(&sa).soft_packets.unwrap();
                // A quarter of the numbers is left then.
                assert_eq!(packets, sa.sequences_left() - sa.sequences_left() / 4, "{suite}");
                assert_eq!(own_bounds(&sa).soft_bytes, octets, "{suite}");
                assert_eq!(reached(&sa, &[(packets - 1, 0)]), []);
                assert_eq!(reached(&sa, &[(packets - 1, 0), (1, 0), (1, 0)]), [Limit::Packets], "{suite}");
                if let Some(octets) = octets {
                    // It goes on for as much again and more, while it is being replaced.
                    assert!(sa.usage_limit().hard >= 8 * octets, "{suite}");
                    assert_eq!(reached(&sa, &[(1, octets - 1)]), []);
                    assert_eq!(
                        reached(&sa, &[(1, octets - 1), (1, 1), (1, octets)]),
                        [Limit::Bytes],
                        "{suite}"
                    );
                } else {
                    assert_eq!(sa.usage_limit(), ikebana_esp::UsageLimit::NONE);
                }
            }
        }
    }

    #[test]
    fn narrower_limits_of_a_configuration_stay() {
        let lifetime = Lifetime {
            soft_bytes: Some(1_000),
            hard_bytes: Some(2_000),
            soft_packets: Some(10),
            hard_packets: Some(20),
            ..Lifetime::by_time(core::time::Duration::from_secs(60))
        };
        let bounds = own_bounds(&sa("aes128-sha1", false, [16, 20]));
        let expected = Lifetime { soft_time: None, hard_time: None, ..lifetime };
        assert_eq!(limits(lifetime, bounds), expected);
    }
}
