//! Many entries, sorted for good.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::selector::protocol::ANY;
use ikebana_core::{Flow, PortRange, TrafficSelector, TrafficSelectors};

use super::axis::{Axis, Covered, LINE_BITS, Line, Row};
use super::{Entry, Rank};
use crate::policy::Selectors;

/// As many columns at most are given to one entry. One that would take more has one, and is looked at in full
/// when that is found.
const MOST_COLUMNS: usize = 64;

/// On the axes of ports, where packets stand that show none.
const NO_PORT: u32 = 0x1_0000;

/// Entries that are looked up all at once: for each coordinate of a flow there is a set of the entries that it
/// leaves possible, and the first entry in all of those sets is the answer.
///
/// An entry has a *column* for each way in which its selectors combine: selectors of one side that differ in
/// their addresses only are one way, so nearly all entries have one column. What is in all sets is a match
/// then, without looking at the entry.
pub(super) struct Run<V> {
    /// In order of rank.
    entries: Box<[Held<V>]>,
    /// How many of them were not removed.
    left: usize,
    /// Whose each column is, and so in order of rank too.
    columns: Box<[Column]>,
    /// The columns whose entry was not removed.
    live: Box<[Line]>,
    local: Side,
    remote: Side,
    protocol: Option<Axis<u32>>,
}

struct Held<V> {
    entry: Entry<V>,
    removed: bool,
}

#[derive(Clone, Copy)]
struct Column {
    /// Which entry it belongs to.
    entry: u32,
    /// Whether being in all sets is enough for a match.
    exact: bool,
}

impl Column {
    const fn index(&self) -> usize {
        // It was made from a `usize`.
        self.entry as usize
    }
}

/// The axes of one end of a flow. There is none where it makes no difference.
struct Side {
    v4: Option<Axis<u32>>,
    v6: Option<Axis<u128>>,
    ports: Option<Axis<u32>>,
}

/// The sets of a flow.
type Rows<'a> = [Option<Row<'a>>; 5];

impl<V> Run<V> {
    /// A run of these entries, which are in order of rank.
    pub(super) fn new(entries: Vec<Entry<V>>) -> Self {
        let mut draft = Draft::default();
        for (index, entry) in entries.iter().enumerate() {
            draft.add(u32::try_from(index).expect("fewer entries than fit into memory"), &entry.selectors);
        }
        let Draft { columns, local, remote, protocols } = draft;
        let count = columns.len();
        let mut live = vec![Line::EMPTY; count.div_ceil(LINE_BITS)];
        for column in 0..count {
            flip(&mut live, column);
        }
        Self {
            left: entries.len(),
            entries: entries.into_iter().map(|entry| Held { entry, removed: false }).collect(),
            columns: columns.into(),
            live: live.into(),
            local: Side::new(count, local),
            remote: Side::new(count, remote),
            protocol: Axis::new(count, u32::from(u8::MAX), protocols),
        }
    }

    /// The rank of the first entry that was ever here.
    pub(super) fn first_rank(&self) -> Option<Rank> {
        self.entries.first().map(|held| held.entry.rank)
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// What it takes in memory, in lines.
    #[cfg(test)]
    pub(super) fn lines(&self) -> usize {
        let ports = [&self.local.ports, &self.remote.ports, &self.protocol];
        let v4 = [&self.local.v4, &self.remote.v4];
        let narrow = v4.into_iter().chain(ports).flatten().map(Axis::lines);
        narrow.chain([&self.local.v6, &self.remote.v6].into_iter().flatten().map(Axis::lines)).sum()
    }

    /// How many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.left
    }

    /// Whether most of the entries were removed, so that it should be made anew.
    pub(super) fn is_sparse(&self) -> bool {
        self.left < self.entries.len() / 2
    }

    /// The entries in order of rank.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<V>> {
        self.entries.into_iter().filter(|held| !held.removed).map(|held| held.entry)
    }

    /// Removes the entry with this rank; `false` if it is not here.
    pub(super) fn remove(&mut self, rank: Rank) -> bool {
        let Ok(index) = self.entries.binary_search_by_key(&rank, |held| held.entry.rank) else {
            return false;
        };
        let Some(held) = self.entries.get_mut(index).filter(|held| !held.removed) else { return false };
        held.removed = true;
        self.left = self.left.saturating_sub(1);
        let first = self.columns.partition_point(|column| column.index() < index);
        let after = self.columns.partition_point(|column| column.index() <= index);
        for column in first..after {
            flip(&mut self.live, column);
        }
        true
    }

    /// The entry with the lowest rank that covers `flow`.
    pub(super) fn first_match(&self, flow: &Flow) -> Option<&Entry<V>> {
        let rows = self.rows(flow)?;
        self.live.iter().enumerate().find_map(|(at, live)| {
            let line = intersection(&rows, at, live)?;
            line.bits().find_map(|bit| {
                let column = self.columns.get(at.saturating_mul(LINE_BITS).saturating_add(bit))?;
                let entry = &self.entries.get(column.index())?.entry;
                (column.exact || entry.selectors.cover(flow)).then_some(entry)
            })
        })
    }

    /// `None` if one of the sets is empty.
    fn rows(&self, flow: &Flow) -> Option<Rows<'_>> {
        // What tells most entries apart stands first.
        let remote = unless_empty(self.remote.addresses(flow.remote))?;
        let local = unless_empty(self.local.addresses(flow.local))?;
        let remote_port = unless_empty(self.remote.ports(flow.remote_port))?;
        let local_port = unless_empty(self.local.ports(flow.local_port))?;
        let protocol = self.protocol.as_ref().map(|axis| axis.row(u32::from(flow.protocol)));
        Some([remote, local, remote_port, local_port, protocol])
    }
}

fn unless_empty(row: Option<Row<'_>>) -> Option<Option<Row<'_>>> {
    row.is_none_or(|row| !row.is_empty()).then_some(row)
}

impl Side {
    fn new(columns: usize, draft: SideDraft) -> Self {
        Self {
            v4: Axis::new(columns, u32::MAX, draft.v4),
            v6: Axis::new(columns, u128::MAX, draft.v6),
            ports: Axis::new(columns, NO_PORT, draft.ports),
        }
    }

    fn addresses(&self, address: IpAddr) -> Option<Row<'_>> {
        match address {
            IpAddr::V4(v4) => self.v4.as_ref().map(|axis| axis.row(v4.to_bits())),
            IpAddr::V6(v6) => self.v6.as_ref().map(|axis| axis.row(v6.to_bits())),
        }
    }

    fn ports(&self, port: Option<u16>) -> Option<Row<'_>> {
        self.ports.as_ref().map(|axis| axis.row(port.map_or(NO_PORT, u32::from)))
    }
}

/// What is in all sets, of one line's worth of columns.
fn intersection(rows: &Rows<'_>, at: usize, live: &Line) -> Option<Line> {
    let mut line = *live;
    for row in rows.iter().flatten() {
        line.intersect(row.line(at)?);
    }
    (!line.is_empty()).then_some(line)
}

fn flip(lines: &mut [Line], bit: usize) {
    if let Some(line) = lines.get_mut(bit / LINE_BITS) {
        line.flip(bit % LINE_BITS);
    }
}

/// A run that is being made.
#[derive(Default)]
struct Draft {
    columns: Vec<Column>,
    local: SideDraft,
    remote: SideDraft,
    protocols: Vec<Covered<u32>>,
}

#[derive(Default)]
struct SideDraft {
    v4: Vec<Covered<u32>>,
    v6: Vec<Covered<u128>>,
    ports: Vec<Covered<u32>>,
}

impl Draft {
    fn add(&mut self, entry: u32, selectors: &Selectors) {
        let Selectors { local, remote } = selectors;
        if is_one_way(local) && is_one_way(remote) {
            return self.combination(entry, local.as_slice(), remote.as_slice());
        }
        let (local_ways, remote_ways) = (ways(local), ways(remote));
        if local_ways.len().saturating_mul(remote_ways.len()) <= MOST_COLUMNS {
            for local in &local_ways {
                for remote in &remote_ways {
                    self.combination(entry, local, remote);
                }
            }
            return;
        }
        // The sets of everything that occurs on either side: whatever matches is in them, and more.
        let column = self.column(entry, false);
        for selector in local.iter().chain(remote) {
            self.protocol(column, selector.protocol);
        }
        self.local.add(column, local.as_slice());
        self.remote.add(column, remote.as_slice());
    }

    /// A column for selectors that differ, on each side, in their addresses only.
    fn combination(&mut self, entry: u32, local: &[TrafficSelector], remote: &[TrafficSelector]) {
        let (Some(one), Some(other)) = (local.first(), remote.first()) else { return };
        let protocol = match (one.protocol, other.protocol) {
            (ANY, other) => other,
            (one, ANY) => one,
            (one, other) if one == other => one,
            // No packet has two protocols.
            (_, _) => return,
        };
        let column = self.column(entry, true);
        self.protocol(column, protocol);
        self.local.add(column, local);
        self.remote.add(column, remote);
    }

    fn column(&mut self, entry: u32, exact: bool) -> usize {
        self.columns.push(Column { entry, exact });
        self.columns.len().saturating_sub(1)
    }

    fn protocol(&mut self, column: usize, protocol: u8) {
        let (first, last) = if protocol == ANY { (0, u8::MAX) } else { (protocol, protocol) };
        self.protocols.push((first.into(), last.into(), column));
    }
}

impl SideDraft {
    fn add(&mut self, column: usize, selectors: &[TrafficSelector]) {
        for selector in selectors {
            match (selector.addresses.first(), selector.addresses.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    self.v4.push((first.to_bits(), last.to_bits(), column));
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    self.v6.push((first.to_bits(), last.to_bits(), column));
                }
                // No range has addresses of both families.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
            // A packet without ports matches where all ports do, and where they are opaque.
            let ports = selector.ports;
            let (first, last) = match (ports.is_any(), ports.is_opaque()) {
                (true, _) => (0, NO_PORT),
                (false, true) => (NO_PORT, NO_PORT),
                (false, false) => (ports.first().into(), ports.last().into()),
            };
            self.ports.push((first, last, column));
        }
    }
}

/// How many columns an entry takes, at most.
pub(super) fn columns_of(selectors: &Selectors) -> usize {
    let Selectors { local, remote } = selectors;
    if is_one_way(local) && is_one_way(remote) {
        return 1;
    }
    let product = ways(local).len().saturating_mul(ways(remote).len());
    if product > MOST_COLUMNS { 1 } else { product }
}

const fn way(selector: &TrafficSelector) -> (u8, PortRange) {
    (selector.protocol, selector.ports)
}

fn is_one_way(side: &TrafficSelectors) -> bool {
    side.as_slice().windows(2).all(|pair| matches!(pair, [one, other] if way(one) == way(other)))
}

/// The selectors of one side, put together with those that differ in their addresses only.
fn ways(side: &TrafficSelectors) -> Vec<Vec<TrafficSelector>> {
    let mut all = side.as_slice().to_vec();
    all.sort_unstable_by_key(way);
    all.chunk_by(|one, other| way(one) == way(other)).map(<[_]>::to_vec).collect()
}
