//! The database itself: what is in it, and how it gets in and out.

mod lookup;
mod table;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;
use ikebana_core::{EspSpi, Instant, SecureRandom, TimerTable};
use slab::Slab;

use crate::acquire::Acquires;
use crate::cache::FlowCache;
use crate::event::{Event, Limit};
use crate::hash::{Folded, Keyed};
use crate::index::{Rank, SelectorIndex};
use crate::policy::{Action, Policy, PolicyId, TunnelId};
use crate::sa::{
    Change, Counted, Entry, InboundId, InstallError, NotUsable, OutboundId, SaDescription, SaId, SaInfo,
    SaProtocol, Slot,
};
use crate::spi_table::SpiTable;

use table::Table;

/// What happens to packets that no policy matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// They do not pass, as RFC 4301 5.1 demands.
    #[default]
    Discard,
    /// They pass as they are: for a host whose policies only add protection.
    Bypass,
}

/// How a database behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// What happens to packets that no policy matches.
    pub unmatched: Unmatched,
    /// How many recent flows are remembered, at about 100 octets each; 0 for none.
    pub flow_cache: usize,
    /// How long after an acquire the same policy may ask again.
    pub first_acquire_pause: Duration,
    /// What that pause doubles up to.
    pub longest_acquire_pause: Duration,
}

impl Default for DatabaseConfig {
    /// Discards what no policy matches, remembers 1024 flows, pauses for 1 to 32 seconds.
    fn default() -> Self {
        Self {
            unmatched: Unmatched::Discard,
            flow_cache: 1_024,
            first_acquire_pause: Duration::from_secs(1),
            longest_acquire_pause: Duration::from_secs(32),
        }
    }
}

/// The SPD and the SAD. See the [crate's page](crate).
///
/// Any order of calls is allowed. Time never goes back: a `now` before the latest one counts as that one.
pub struct SaDatabase<I, O = I> {
    config: DatabaseConfig,
    now: Instant,
    next_serial: u64,
    policies: Slab<StoredPolicy>,
    policy_index: SelectorIndex<(PolicyId, Action)>,
    inbound: Table<I>,
    /// Which inbound ESP SA has an SPI.
    esp: SpiTable,
    /// Which inbound AH SA has an SPI.
    ah: SpiTable,
    outbound: Table<O>,
    tunnels: HashMap<TunnelId, Tunnel, Keyed>,
    cache: FlowCache,
    acquires: Acquires,
    timers: TimerTable<SaId>,
    events: VecDeque<Event>,
}

struct StoredPolicy {
    serial: u64,
    policy: Policy,
}

/// The SAs of one tunnel. Ids are in the order of installation.
struct Tunnel {
    inbound: BTreeSet<InboundId>,
    outbound: BTreeSet<OutboundId>,
    /// Those outbound SAs that packets may choose, the newest first.
    usable: SelectorIndex<OutboundId>,
}

/// The SAs that [`SaDatabase::remove_tunnel`] has taken out, in the order of their installation.
#[derive(Debug)]
pub struct Removed<I, O> {
    /// The inbound ones.
    pub inbound: Vec<(InboundId, I)>,
    /// The outbound ones.
    pub outbound: Vec<(OutboundId, O)>,
}

impl<I, O> SaDatabase<I, O> {
    /// An empty database. `rng` gives it the key that its hashes are under.
    #[must_use]
    pub fn new(rng: &mut dyn SecureRandom, config: DatabaseConfig) -> Self {
        let (hash, folded) = (Keyed::new(rng), Folded::new(rng));
        Self {
            config,
            now: Instant::ZERO,
            next_serial: 0,
            policies: Slab::new(),
            policy_index: SelectorIndex::new(),
            inbound: Table::new(),
            esp: SpiTable::new(folded),
            ah: SpiTable::new(folded),
            outbound: Table::new(),
            tunnels: HashMap::with_hasher(hash),
            cache: FlowCache::new(folded, config.flow_cache),
            acquires: Acquires::new(config.first_acquire_pause, config.longest_acquire_pause),
            timers: TimerTable::new(),
            events: VecDeque::new(),
        }
    }

    /// Adds a policy, after those with the same priority.
    ///
    /// # Panics
    /// If there are 2³² policies already.
    pub fn add_policy(&mut self, policy: Policy) -> PolicyId {
        let serial = self.serial();
        let slot = self.policies.vacant_entry();
        let index = u32::try_from(slot.key()).expect("fewer policies than fit into memory");
        let id = PolicyId { serial, index };
        let rank = Rank { priority: policy.priority, order: serial };
        self.policy_index.insert(rank, (id, policy.action), &policy.selectors);
        slot.insert(StoredPolicy { serial, policy });
        self.cache.invalidate();
        id
    }

    /// Removes a policy. SAs of its tunnel stay.
    pub fn remove_policy(&mut self, id: PolicyId) -> Option<Policy> {
        self.policy(id)?;
        let StoredPolicy { serial, policy } = self.policies.try_remove(index_of(id.index))?;
        let rank = Rank { priority: policy.priority, order: serial };
        self.policy_index.remove(rank);
        if let Action::Protect { tunnel, .. } = policy.action {
            self.acquires.forget(tunnel, id);
        }
        self.cache.invalidate();
        Some(policy)
    }

    /// A policy.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<&Policy> {
        let stored = self.policies.get(index_of(id.index))?;
        (stored.serial == id.serial).then_some(&stored.policy)
    }

    /// All policies in the order in which they decide.
    #[must_use]
    pub fn policies(&self) -> Vec<(PolicyId, &Policy)> {
        let mut all: Vec<_> = self
            .policies
            .iter()
            .filter_map(|(index, stored)| {
                Some((PolicyId { serial: stored.serial, index: u32::try_from(index).ok()? }, &stored.policy))
            })
            .collect();
        all.sort_unstable_by_key(|(id, policy)| (policy.priority, id.serial));
        all
    }

    /// Whether an inbound SA may be given this SPI.
    #[must_use]
    pub fn is_spi_free(&self, protocol: SaProtocol, spi: EspSpi) -> bool {
        !self.spis(protocol).contains(spi)
    }

    /// Installs an inbound SA. Packets are accepted on it from now on.
    ///
    /// # Errors
    /// If another inbound SA has the SPI; `object` is dropped.
    pub fn install_inbound(
        &mut self,
        now: Instant,
        description: SaDescription,
        object: I,
    ) -> Result<InboundId, InstallError> {
        let now = self.clamp(now);
        let (tunnel, protocol, spi) = (description.tunnel, description.protocol, description.spi);
        if !self.is_spi_free(protocol, spi) {
            return Err(InstallError::SpiInUse(spi));
        }
        let serial = self.serial();
        let entry = Entry::new(serial, now, description, object);
        let deadline = entry.deadline();
        let id = InboundId(self.inbound.insert(entry));
        self.spis_mut(protocol).insert(spi, id.0);
        self.tunnel(tunnel).inbound.insert(id);
        self.arm(id.into(), deadline);
        Ok(id)
    }

    /// Installs an outbound SA. Packets that it covers take it from now on, before all older SAs of its tunnel.
    pub fn install_outbound(&mut self, now: Instant, description: SaDescription, object: O) -> OutboundId {
        let now = self.clamp(now);
        let (tunnel, selectors) = (description.tunnel, description.selectors.clone());
        let serial = self.serial();
        let entry = Entry::new(serial, now, description, object);
        let deadline = entry.deadline();
        let id = OutboundId(self.outbound.insert(entry));
        let members = self.tunnel(tunnel);
        members.outbound.insert(id);
        members.usable.insert(newest_first(id), id, &selectors);
        self.acquires.satisfied(tunnel, &selectors);
        self.arm(id.into(), deadline);
        self.cache.invalidate();
        id
    }

    /// Removes an inbound SA and returns its object.
    pub fn remove_inbound(&mut self, id: InboundId) -> Option<I> {
        let entry = self.inbound.remove(id.0)?;
        self.spis_mut(entry.protocol).remove(entry.spi);
        self.timers.cancel(&id.into());
        if let Some(tunnel) = self.tunnels.get_mut(&entry.tunnel) {
            tunnel.inbound.remove(&id);
        }
        self.drop_empty(entry.tunnel);
        Some(entry.object)
    }

    /// Removes an outbound SA and returns its object. Packets take the next older one that covers them.
    pub fn remove_outbound(&mut self, id: OutboundId) -> Option<O> {
        self.unlist(id);
        let entry = self.outbound.remove(id.0)?;
        self.timers.cancel(&id.into());
        if let Some(tunnel) = self.tunnels.get_mut(&entry.tunnel) {
            tunnel.outbound.remove(&id);
        }
        self.drop_empty(entry.tunnel);
        Some(entry.object)
    }

    /// Removes all SAs of a tunnel. Its policies stay.
    pub fn remove_tunnel(&mut self, tunnel: TunnelId) -> Removed<I, O> {
        let inbound: Vec<_> = self.inbound_of(tunnel).collect();
        let outbound: Vec<_> = self.outbound_of(tunnel).collect();
        Removed {
            inbound: inbound.into_iter().filter_map(|id| Some((id, self.remove_inbound(id)?))).collect(),
            outbound: outbound.into_iter().filter_map(|id| Some((id, self.remove_outbound(id)?))).collect(),
        }
    }

    /// Keeps an outbound SA, but lets no packet choose it any more: it has no sequence numbers left, or its
    /// deletion is under way.
    pub fn retire_outbound(&mut self, id: OutboundId) {
        self.unlist(id);
        if let Some(entry) = self.outbound.get_mut(id.0) {
            entry.retired = true;
        }
    }

    /// Counts packets on an SA, before they are processed if it is outbound and after they have proved genuine
    /// if it is inbound.
    ///
    /// # Errors
    /// If the SA must not process them: it has reached a hard limit, or these packets would pass one.
    pub fn account(
        &mut self,
        now: Instant,
        sa: impl Into<SaId>,
        packets: u64,
        octets: u64,
    ) -> Result<(), NotUsable> {
        let now = self.pass_time(now);
        let sa = sa.into();
        let counted = match sa {
            SaId::Inbound(id) => self.inbound.get_mut(id.0).map(|entry| entry.count(now, packets, octets)),
            SaId::Outbound(id) => self.outbound.get_mut(id.0).map(|entry| entry.count(now, packets, octets)),
        };
        match counted.ok_or(NotUsable::Removed)? {
            Counted::Fine => Ok(()),
            Counted::Soft(limit) => {
                self.changed(sa, Change::Soft(limit));
                Ok(())
            }
            Counted::Hard(limit) => {
                self.changed(sa, Change::Hard(limit));
                Err(NotUsable::Expired)
            }
            Counted::AlreadyExpired => Err(NotUsable::Expired),
        }
    }

    /// What the owner has to act on next.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.events.pop_front()? {
                Event::Acquire { policy, tunnel, .. } => {
                    // The tunnel may have come up, or the policy gone, since.
                    if let Some(flow) = self.acquires.seen(tunnel, policy) {
                        return Some(Event::Acquire { policy, tunnel, flow });
                    }
                }
                event @ (Event::SoftExpired { sa, .. } | Event::HardExpired { sa, .. }) => {
                    if self.info(sa).is_some() {
                        return Some(event);
                    }
                }
            }
        }
    }

    /// When [`SaDatabase::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Lets time pass. Too early or twice does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clamp(now);
        while let Some(sa) = self.timers.pop_expired(now) {
            let change = match sa {
                SaId::Inbound(id) => self.inbound.get_mut(id.0).and_then(|entry| entry.age(now)),
                SaId::Outbound(id) => self.outbound.get_mut(id.0).and_then(|entry| entry.age(now)),
            };
            match change {
                Some(change) => self.changed(sa, change),
                None => self.rearm(sa),
            }
        }
    }

    /// What is known about an SA.
    #[must_use]
    pub fn info(&self, sa: impl Into<SaId>) -> Option<SaInfo<'_>> {
        match sa.into() {
            SaId::Inbound(id) => self.inbound.get(id.0).map(Entry::info),
            SaId::Outbound(id) => self.outbound.get(id.0).map(Entry::info),
        }
    }

    fn serial(&mut self) -> u64 {
        self.next_serial = self.next_serial.wrapping_add(1);
        self.next_serial
    }

    fn clamp(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    const fn spis(&self, protocol: SaProtocol) -> &SpiTable {
        match protocol {
            SaProtocol::Esp => &self.esp,
            SaProtocol::Ah => &self.ah,
        }
    }

    const fn spis_mut(&mut self, protocol: SaProtocol) -> &mut SpiTable {
        match protocol {
            SaProtocol::Esp => &mut self.esp,
            SaProtocol::Ah => &mut self.ah,
        }
    }

    fn tunnel(&mut self, id: TunnelId) -> &mut Tunnel {
        self.tunnels.entry(id).or_insert_with(|| Tunnel {
            inbound: BTreeSet::new(),
            outbound: BTreeSet::new(),
            usable: SelectorIndex::new(),
        })
    }

    fn drop_empty(&mut self, id: TunnelId) {
        let empty = |tunnel: &Tunnel| tunnel.inbound.is_empty() && tunnel.outbound.is_empty();
        if self.tunnels.get(&id).is_some_and(empty) {
            self.tunnels.remove(&id);
        }
    }

    /// Clamps `now` and lets deadlines expire: an SA past its hard limit must not be used, however late the
    /// caller's timer is.
    pub(crate) fn pass_time(&mut self, now: Instant) -> Instant {
        let now = self.clamp(now);
        if self.timers.next().is_some_and(|deadline| deadline <= now) {
            self.handle_timeout(now);
        }
        now
    }

    /// Takes an outbound SA out of what packets may choose.
    fn unlist(&mut self, id: OutboundId) {
        let Some(entry) = self.outbound.get(id.0) else { return };
        if let Some(tunnel) = self.tunnels.get_mut(&entry.tunnel) {
            tunnel.usable.remove(newest_first(id));
        }
        self.cache.invalidate();
    }

    fn arm(&mut self, sa: SaId, deadline: Option<Instant>) {
        match deadline {
            Some(at) => self.timers.set(sa, at),
            None => {
                self.timers.cancel(&sa);
            }
        }
    }

    fn rearm(&mut self, sa: SaId) {
        let deadline = match sa {
            SaId::Inbound(id) => self.inbound.get(id.0).and_then(Entry::deadline),
            SaId::Outbound(id) => self.outbound.get(id.0).and_then(Entry::deadline),
        };
        self.arm(sa, deadline);
    }

    /// Acts on a limit that an SA has reached.
    fn changed(&mut self, sa: SaId, change: Change) {
        let Some(SaInfo { tunnel, protocol, spi, .. }) = self.info(sa) else { return };
        let event = |limit: Limit, hard: bool| match hard {
            true => Event::HardExpired { sa, tunnel, limit },
            false => Event::SoftExpired { sa, tunnel, limit },
        };
        match (change, sa) {
            (Change::Soft(limit), _) => self.events.push_back(event(limit, false)),
            (Change::Hard(limit), SaId::Inbound(_)) => {
                self.spis_mut(protocol).close(spi);
                self.events.push_back(event(limit, true));
            }
            (Change::Hard(limit), SaId::Outbound(id)) => {
                self.unlist(id);
                self.events.push_back(event(limit, true));
            }
        }
        self.rearm(sa);
    }
}

/// The order of a tunnel's outbound SAs.
const fn newest_first(id: OutboundId) -> Rank {
    let Slot { serial, .. } = id.0;
    Rank { priority: 0, order: u64::MAX - serial }
}

const fn index_of(index: u32) -> usize {
    // The index was made from a `usize`.
    index as usize
}
