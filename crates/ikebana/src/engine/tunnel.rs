//! What the engine keeps of each tunnel.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{AddressRange, Flow, Identity, Instant, Secret, TrafficSelector, TrafficSelectors};
use ikebana_esp::inner_flow;
use ikebana_ike::{
    ChildConfig, ChildHandle, Established, IkeSaHandle, Mode, PeerConfig, SelectorTemplate, XauthCredentials,
};
use ikebana_proposals::{ChildSuite, ProtocolId};
use ikebana_sa_database::{InboundId, OutboundId, PolicyId};

use super::path_mtu::NarrowPaths;
use super::{IkeVersion, SizePolicy, Start, TunnelConfig};

/// What a tunnel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing, until somebody asks.
    Idle,
    /// An IKE SA is being negotiated.
    Connecting(IkeSaHandle),
    /// At least one IKE SA is established.
    Up,
    /// The last attempt failed; the next one is due at this time.
    Waiting(Instant),
}

/// A pair of child SAs in the databases.
pub(super) struct Pair {
    pub(super) inbound: Option<InboundId>,
    pub(super) outbound: Option<OutboundId>,
    pub(super) config: Arc<ChildConfig>,
    pub(super) suite: ChildSuite,
    pub(super) protocol: ProtocolId,
    pub(super) mode: Mode,
    pub(super) local: TrafficSelectors,
    pub(super) remote: TrafficSelectors,
    pub(super) inner_mtu: usize,
    pub(super) rekeys: u32,
}

/// One tunnel.
pub(super) struct Tunnel {
    pub(super) version: IkeVersion,
    pub(super) peer: Arc<PeerConfig>,
    pub(super) key: Secret,
    pub(super) xauth: Option<XauthCredentials>,
    pub(super) xauth_users: Vec<XauthCredentials>,
    pub(super) config: Description,
    pub(super) activity: Activity,
    /// Whether it is to be up. Stopping a tunnel by hand makes it unwanted until it is started again.
    pub(super) wanted: bool,
    /// Whether its peer has died and the next packet is to bring it up.
    pub(super) trapped: bool,
    /// Whether the last word to the outside was that packets can leave.
    pub(super) told_up: bool,
    /// Whether a child SA has been asked for and neither come nor failed yet.
    pub(super) child_pending: bool,
    pub(super) ikes: BTreeMap<IkeSaHandle, Ike>,
    pub(super) pairs: BTreeMap<ChildHandle, Pair>,
    pub(super) policies: Vec<PolicyId>,
    /// Policies for what became known with the SAs: assigned addresses.
    pub(super) learned: BTreeMap<ChildHandle, PolicyId>,
    /// Paths that routers have found narrower than configured.
    pub(super) narrow: NarrowPaths,
    /// Packets that wait for it to come up.
    pub(super) waiting: VecDeque<Vec<u8>>,
    /// When a missing child SA is asked for again.
    pub(super) child_retry: Option<Instant>,
    pub(super) failures: u32,
    pub(super) child_failures: u32,
    /// Why it is not up.
    pub(super) cause: Option<String>,
    /// Why single child SAs are not up, by the names of their configurations.
    pub(super) child_causes: BTreeMap<String, String>,
    pub(super) retries: u64,
    /// Who has which of the addresses that are to be assigned.
    pub(super) assigned: BTreeMap<IkeSaHandle, (usize, Identity)>,
}

/// An established IKE SA.
pub(super) struct Ike {
    pub(super) facts: Established,
    pub(super) since: Instant,
    pub(super) rekeys: u32,
}

/// The part of the configuration that stays as it was given.
pub(super) struct Description {
    pub(super) local: IpAddr,
    pub(super) remote: Option<core::net::SocketAddr>,
    pub(super) accepted_from: Vec<AddressRange>,
    pub(super) start: Start,
    pub(super) on_dead_peer: super::DeadPeerAction,
    pub(super) path_mtu: usize,
    pub(super) outer: ikebana_esp::OuterPolicy,
    pub(super) tfc: ikebana_esp::TfcPadding,
    pub(super) sizes: SizePolicy,
    pub(super) assign: Vec<ikebana_ike::Assignment>,
}

impl Tunnel {
    pub(super) fn new(config: TunnelConfig) -> Self {
        Self {
            version: config.version,
            peer: Arc::new(config.peer),
            key: config.pre_shared_key,
            xauth: config.xauth,
            xauth_users: config.xauth_users,
            config: Description {
                local: config.local,
                remote: config.remote,
                accepted_from: config.accepted_from,
                start: config.start,
                on_dead_peer: config.on_dead_peer,
                path_mtu: config.path_mtu,
                outer: config.outer,
                tfc: config.tfc,
                sizes: config.sizes,
                assign: config.assign,
            },
            activity: Activity::Idle,
            wanted: config.start != Start::Passive,
            trapped: false,
            told_up: false,
            child_pending: false,
            ikes: BTreeMap::new(),
            pairs: BTreeMap::new(),
            policies: Vec::new(),
            learned: BTreeMap::new(),
            narrow: NarrowPaths::default(),
            waiting: VecDeque::new(),
            child_retry: None,
            failures: 0,
            child_failures: 0,
            cause: None,
            child_causes: BTreeMap::new(),
            retries: 0,
            assigned: BTreeMap::new(),
        }
    }

    /// When something has to be done about it next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = match self.activity {
            Activity::Waiting(until) => Some(until),
            Activity::Idle | Activity::Connecting(_) | Activity::Up => None,
        };
        [waiting, self.child_retry, self.narrow.deadline()].into_iter().flatten().min()
    }

    /// Where its first messages may come from.
    pub(super) fn accepted_from(&self) -> Vec<AddressRange> {
        match self.config.remote {
            Some(remote) if self.config.accepted_from.is_empty() => {
                Vec::from([AddressRange::single(remote.ip())])
            }
            _ => self.config.accepted_from.clone(),
        }
    }

    /// Whether its first messages may come from here.
    pub(super) fn accepts_from(&self, address: IpAddr) -> bool {
        match self.config.remote {
            Some(remote) if self.config.accepted_from.is_empty() => remote.ip() == address,
            _ => {
                let from = &self.config.accepted_from;
                from.is_empty() || from.iter().any(|range| range.contains(address))
            }
        }
    }

    /// The newest established IKE SA.
    pub(super) fn ike(&self) -> Option<IkeSaHandle> {
        self.ikes.keys().next_back().copied()
    }

    /// Whether a packet without an SA brings it up.
    pub(super) fn comes_up_on_traffic(&self) -> bool {
        self.trapped || (self.wanted && self.config.start == Start::OnTraffic)
    }

    /// Whether packets can leave: some pair has an outbound SA.
    pub(super) fn carries(&self) -> bool {
        self.pairs.values().any(|pair| pair.outbound.is_some())
    }

    /// Child configurations that no pair serves.
    pub(super) fn missing_children(&self) -> Vec<Arc<ChildConfig>> {
        let of = |config: &ChildConfig| {
            let name = config.name.clone();
            self.pairs.values().filter(move |pair| pair.config.name == name && pair.inbound.is_some())
        };
        let served = |config: &ChildConfig| match (self.version, self.known_traffic(config)) {
            // One SA of IKEv1 has one pair of selectors (RFC 2409 5.5), and lists need several.
            (IkeVersion::V1, Some((local, remote))) => local.iter().all(|local| {
                let mut remote = remote.iter();
                remote.all(|remote| {
                    let families = local.addresses.is_ipv4() == remote.addresses.is_ipv4();
                    let serves = |pair: &Pair| overlaps(&pair.local, local) && overlaps(&pair.remote, remote);
                    !families || of(config).any(serves)
                })
            }),
            (IkeVersion::V1 | IkeVersion::V2, _) => of(config).next().is_some(),
        };
        self.peer.children.iter().filter(|config| !served(config)).cloned().collect()
    }

    /// The child that would carry a packet.
    pub(super) fn child_for(&self, flow: &Flow) -> Option<Arc<ChildConfig>> {
        let carries = |child: &&Arc<ChildConfig>| {
            self.known_traffic(child).is_some_and(|(local, remote)| {
                local.matches(flow.local, flow.protocol, flow.local_port)
                    && remote.matches(flow.remote, flow.protocol, flow.remote_port)
            })
        };
        self.peer.children.iter().find(carries).cloned()
    }

    /// The child that would carry an IP packet of ours.
    pub(super) fn child_of_packet(&self, packet: &[u8]) -> Option<Arc<ChildConfig>> {
        self.child_for(&inner_flow(packet).ok()?.outbound())
    }

    /// The traffic of a child as far as it is known before any SA is there; `None` if it depends on what will
    /// be assigned.
    pub(super) fn known_traffic(&self, child: &ChildConfig) -> Option<(TrafficSelectors, TrafficSelectors)> {
        let asks = !self.peer.request.is_empty();
        let local = if asks { None } else { Some(AddressRange::single(self.config.local)) };
        let remote = match (self.peer.assigns_addresses, self.config.remote) {
            (false, Some(remote)) => Some(AddressRange::single(remote.ip())),
            _ => None,
        };
        let side = |templates: &[SelectorTemplate], address: Option<AddressRange>| {
            templates
                .iter()
                .map(|template| match (*template, child.mode) {
                    (SelectorTemplate::Fixed(selector), Mode::Tunnel) => Some(selector),
                    (SelectorTemplate::Fixed(selector), Mode::Transport) => {
                        Some(TrafficSelector { addresses: address?, ..selector })
                    }
                    (SelectorTemplate::Dynamic { protocol, ports }, _) => {
                        Some(TrafficSelector { protocol, ports, addresses: address? })
                    }
                })
                .collect::<Option<TrafficSelectors>>()
        };
        Some((side(&child.local, local)?, side(&child.remote, remote)?))
    }
}

fn overlaps(selectors: &TrafficSelectors, other: &TrafficSelector) -> bool {
    selectors.iter().any(|selector| selector.intersect(other).is_some())
}
