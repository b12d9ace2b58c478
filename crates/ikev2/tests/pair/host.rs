//! One endpoint with its watcher.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ikebana_core::datagram::{Carried, NAT_T_PORT, classify};
use ikebana_core::{Datagram, EspSpi, IkeSpi, Instant, Path, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    ChildHandle, ChildSignal, Credentials, Direction, EndpointConfig, Event, ExchangeType, Flags, IkeHeader,
    IkeSaHandle, Mode, Output, PeerConfig, PreSharedKeyRequest, RemoveReason, SelectPeer,
};
use ikebana_ikev2::Endpoint;
use ikebana_testkit::{Delivery, EndpointId, SeededRng};

use super::toy::{NonceScript, ScriptedRng};

/// What an endpoint said, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Established(IkeSaHandle),
    Installed(ChildHandle, Direction, EspSpi),
    Removed(ChildHandle, Direction, EspSpi, RemoveReason),
    Updated(ChildHandle, Path),
    ChildFailed(String),
    IkeRekeyed(IkeSaHandle, [IkeSpi; 2]),
    IkeRekeyFailed(String),
    Assigned(ikebana_ike::Assignment),
    Hint(String),
    Failed(IkeSaHandle, String),
    Closed(IkeSaHandle, String),
}

struct Keys {
    peer: Arc<PeerConfig>,
    psk: Option<Secret>,
    assign: Option<ikebana_ike::Assignment>,
}

impl Credentials for Keys {
    fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
        self.peer.remote_id.matches(&peer.remote_id).then(|| self.peer.clone())
    }

    fn pre_shared_key(&mut self, _request: &PreSharedKeyRequest) -> Option<Secret> {
        self.psk.as_ref().map(Secret::duplicate)
    }

    fn assign_address(&mut self, _demand: &ikebana_ike::AddressDemand) -> Option<ikebana_ike::Assignment> {
        self.assign.clone()
    }
}

/// What is worth knowing of an installed SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) mode: Mode,
    pub(crate) encapsulated: bool,
    pub(crate) path: Path,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) direction: Direction,
    pub(crate) cpi: Option<u16>,
    pub(crate) tfc_padding: bool,
}

/// An SA as both sides must have it: SPI, and keys.
pub(crate) type SaIdentity = (EspSpi, Vec<u8>);

/// One endpoint, what it has installed, and what it has said.
pub(crate) struct Host {
    pub(crate) id: EndpointId,
    pub(crate) address: IpAddr,
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) seen: Vec<Seen>,
    /// Of every IKE SA that was established.
    pub(crate) established: Vec<ikebana_ike::Established>,
    /// Of every SA that was installed.
    pub(crate) facts: Vec<Facts>,
    pub(crate) nonces: NonceScript,
    /// Whether outputs are drained after every call, so that their order within a call can be checked.
    pub(crate) drained_at_once: bool,
    keys: Keys,
    installed: BTreeMap<(ChildHandle, Direction), SaIdentity>,
    /// Outbound SAs in the order they were installed: a data path uses the last one.
    outbound_order: Vec<(ChildHandle, EspSpi)>,
    live: BTreeSet<IkeSaHandle>,
    /// The SPIs that each live IKE SA has on the wire now.
    spis: BTreeMap<IkeSaHandle, [IkeSpi; 2]>,
    ended: BTreeSet<IkeSaHandle>,
    owner: BTreeMap<ChildHandle, IkeSaHandle>,
}

impl Host {
    pub(crate) fn new(
        id: EndpointId,
        address: IpAddr,
        config: EndpointConfig,
        peer: PeerConfig,
        psk: &str,
        seed: u64,
        provider: CryptoProvider,
    ) -> Self {
        let peer = Arc::new(peer);
        let nonces = NonceScript::default();
        let endpoint = Endpoint::new(
            Arc::new(config),
            Arc::new(provider),
            Box::new(ScriptedRng { seeded: SeededRng::new(seed), nonces: nonces.clone() }),
            Box::new(ikebana_core::spi::ShardedSpis::unsharded()),
        );
        let keys = Keys { peer: peer.clone(), psk: Some(Secret::from_slice(psk.as_bytes())), assign: None };
        Self {
            id,
            address,
            endpoint,
            peer,
            seen: vec![],
            established: vec![],
            facts: vec![],
            nonces,
            drained_at_once: true,
            keys,
            installed: BTreeMap::new(),
            outbound_order: vec![],
            live: BTreeSet::new(),
            spis: BTreeMap::new(),
            ended: BTreeSet::new(),
            owner: BTreeMap::new(),
        }
    }

    /// Has the host give these addresses to whoever asks.
    pub(crate) fn assign(&mut self, assignment: ikebana_ike::Assignment) {
        self.keys.assign = Some(assignment);
    }

    pub(crate) fn receive(&mut self, now: Instant, delivery: &Delivery) {
        self.take_in(now, delivery.path, &delivery.octets);
    }

    /// Has the host know no key.
    pub(crate) fn forget_key(&mut self) {
        self.keys.psk = None;
    }

    /// Takes in a UDP payload, as a socket would.
    pub(crate) fn take_in(&mut self, now: Instant, path: Path, octets: &[u8]) {
        let shared = path.local.port() == NAT_T_PORT;
        let octets = match (shared, classify(octets)) {
            (true, Carried::Ike(octets)) => octets,
            (true, _) => return,
            (false, _) => octets,
        };
        let datagram = Datagram { path, encapsulated: shared, octets };
        // The reason is counted, and tests look at the counters.
        let _ = self.endpoint.handle_datagram(now, datagram);
    }

    /// Watches every event and hands every message to `send`.
    pub(crate) fn drain(&mut self, now: Instant, mut send: impl FnMut(EndpointId, Path, Vec<u8>)) {
        let mut answered = false;
        while let Some(output) = self.endpoint.poll_output_with(now, &mut self.keys) {
            match output {
                Output::Transmit(transmit) => {
                    answered |= lets_the_peer_send(&transmit.octets);
                    send(self.id, transmit.path, transmit.octets);
                }
                Output::Event(event) => {
                    let inbound =
                        matches!(&event, Event::InstallSa(sa) if sa.direction == Direction::Inbound);
                    assert!(
                        !(inbound && answered && self.drained_at_once),
                        "an inbound SA comes after the message that lets the peer use it"
                    );
                    self.watch(event);
                }
            }
        }
    }

    /// The SPI that packets are sent with: that of the newest outbound SA.
    pub(crate) fn sends_with(&self) -> Option<EspSpi> {
        self.outbound_order.last().map(|(_, spi)| *spi)
    }

    /// The pair that has this inbound SPI, if it is installed.
    pub(crate) fn receives_with(&self, spi: EspSpi) -> Option<ChildHandle> {
        let inbound = self
            .installed
            .iter()
            .find(|((_, direction), (installed, _))| *direction == Direction::Inbound && *installed == spi);
        inbound.map(|((child, _), _)| *child)
    }

    /// A packet has come in over this pair.
    pub(crate) fn traffic(&mut self, now: Instant, child: ChildHandle) {
        self.endpoint.handle_child_signal(now, child, ChildSignal::Traffic);
    }

    /// Keeps the books, and fails the test when a promise is broken.
    fn watch(&mut self, event: Event) {
        let seen = match event {
            Event::Established(established) => {
                assert!(self.live.insert(established.ike), "established twice");
                self.spis.insert(established.ike, [established.initiator_spi, established.responder_spi]);
                let ike = established.ike;
                self.established.push(*established);
                Seen::Established(ike)
            }
            Event::InstallSa(params) => {
                assert!(self.live.contains(&params.ike), "an SA of an IKE SA that is not established");
                let keys = [params.keys.encryption.expose(), params.keys.integrity.expose()].concat();
                let key = (params.child, params.direction);
                let old = self.installed.insert(key, (params.spi, keys));
                assert!(old.is_none(), "installed twice: {key:?} {:?}", self.seen);
                self.owner.insert(params.child, params.ike);
                self.facts.push(Facts {
                    mode: params.mode,
                    encapsulated: params.encapsulated,
                    path: params.path,
                    local: params.local.to_string(),
                    remote: params.remote.to_string(),
                    direction: params.direction,
                    cpi: params.cpi,
                    tfc_padding: params.tfc_padding,
                });
                if params.direction == Direction::Outbound {
                    self.outbound_order.push((params.child, params.spi));
                }
                Seen::Installed(params.child, params.direction, params.spi)
            }
            Event::UpdateSa { child, path, .. } => Seen::Updated(child, path),
            Event::RemoveSa { child, direction, spi, reason } => {
                let old = self.installed.remove(&(child, direction));
                assert!(
                    old.is_some_and(|(installed, _)| installed == spi),
                    "removed what is not installed: {child} {direction:?} {:?}",
                    self.seen
                );
                if direction == Direction::Outbound {
                    self.outbound_order.retain(|(other, _)| *other != child);
                }
                Seen::Removed(child, direction, spi, reason)
            }
            Event::ChildFailed { reason, .. } => Seen::ChildFailed(reason.to_string()),
            Event::IkeRekeyed { ike, initiator_spi, responder_spi, .. } => {
                assert!(self.live.contains(&ike), "rekeyed without being established");
                self.spis.insert(ike, [initiator_spi, responder_spi]);
                Seen::IkeRekeyed(ike, [initiator_spi, responder_spi])
            }
            Event::IkeRekeyFailed { ike, reason } => {
                assert!(self.live.contains(&ike), "not rekeyed without being established");
                Seen::IkeRekeyFailed(reason.to_string())
            }
            Event::Assigned { assignment, .. } => Seen::Assigned(assignment),
            Event::Hint { reason, .. } => Seen::Hint(reason.to_string()),
            Event::Failed { ike, reason, .. } => {
                assert!(!self.live.contains(&ike), "failed after it was established");
                self.end(ike);
                Seen::Failed(ike, reason.to_string())
            }
            Event::Closed { ike, reason } => {
                assert!(self.live.remove(&ike), "closed without being established");
                self.end(ike);
                Seen::Closed(ike, reason.to_string())
            }
            Event::Query(..) => panic!("queries are answered before"),
            _ => panic!("an event this harness does not know"),
        };
        self.seen.push(seen);
    }

    fn end(&mut self, ike: IkeSaHandle) {
        assert!(self.ended.insert(ike), "two terminal events for {ike}");
        self.spis.remove(&ike);
        let left: Vec<_> =
            self.installed.keys().filter(|(child, _)| self.owner.get(child) == Some(&ike)).collect();
        assert!(left.is_empty(), "SAs outlive {ike}: {left:?} {:?}", self.seen);
    }

    /// Established IKE SAs.
    pub(crate) fn ike_sas(&self) -> Vec<IkeSaHandle> {
        self.live.iter().copied().collect()
    }

    /// How many pairs have both directions installed.
    pub(crate) fn child_pairs(&self) -> usize {
        self.installed
            .keys()
            .filter(|(child, direction)| {
                *direction == Direction::Outbound
                    && self.installed.contains_key(&(*child, Direction::Inbound))
            })
            .count()
    }

    pub(crate) fn inbound(&self) -> BTreeSet<SaIdentity> {
        self.direction(Direction::Inbound)
    }

    pub(crate) fn outbound(&self) -> BTreeSet<SaIdentity> {
        self.direction(Direction::Outbound)
    }

    fn direction(&self, wanted: Direction) -> BTreeSet<SaIdentity> {
        self.installed
            .iter()
            .filter(|((_, direction), _)| *direction == wanted)
            .map(|(_, identity)| identity.clone())
            .collect()
    }

    /// The SPIs of every live IKE SA.
    pub(crate) fn ike_spis(&self) -> BTreeSet<[IkeSpi; 2]> {
        self.spis.values().copied().collect()
    }

    /// The pairs of which only one direction is installed.
    pub(crate) fn halves(&self) -> Vec<(ChildHandle, Direction)> {
        let other = |direction| match direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        let is_half = |(child, direction): &&(ChildHandle, Direction)| {
            !self.installed.contains_key(&(*child, other(*direction)))
        };
        self.installed.keys().filter(is_half).copied().collect()
    }

    /// How often something like this was said.
    pub(crate) fn count(&self, mut like: impl FnMut(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| like(seen)).count()
    }

    /// The last `count` things it said.
    pub(crate) fn said_last(&self, count: usize) -> String {
        let from = self.seen.len().saturating_sub(count);
        self.seen[from..].iter().map(|seen| format!("  {seen:?}\n")).collect()
    }

    /// The last thing said of this kind, as text.
    pub(crate) fn said(&self) -> String {
        self.seen.iter().map(|seen| format!("{seen:?}\n")).collect()
    }
}

/// Whether a message may tell the peer of an SA of ours.
fn lets_the_peer_send(octets: &[u8]) -> bool {
    let message = octets.strip_prefix(&[0; 4]).unwrap_or(octets);
    IkeHeader::peek(message).is_ok_and(|header| {
        matches!(header.exchange, ExchangeType::IKE_AUTH | ExchangeType::CREATE_CHILD_SA)
            && header.flags.has(Flags::RESPONSE)
    })
}
