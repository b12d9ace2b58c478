//! What the kernel must know about the TUN device: that it is up, its MTU, its addresses, and which
//! destinations lie behind it.
//!
//! Routes into tunnels live in tables of their own, and rules send a packet there only if it does not carry
//! the mark that the gateway's own sockets put on IKE and ESP. So a peer's outer address may lie within its
//! inner network, a tunnel may take the default route, and a transport mode tunnel may take the traffic to
//! the peer itself, and still nothing of the outer side runs into the tunnel:
//!
//! ```text
//! 4500      table         not fwmark: lookup table        all networks but the default route
//! 4501      table main, without its default route         what is nearby stays nearby
//! 4502      table + 1     not fwmark: lookup table + 1    the default route, if a tunnel takes it
//! ```
//!
//! What somebody else removes meanwhile is set again. Everything that is added is removed when [`Network`] is dropped. Should the process be killed, the kernel
//! removes addresses and routes with the device; the rules that stay point to empty tables, and the next start
//! uses them again.

mod blocks;
mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

pub use blocks::{Block, blocks};
use netlink::{Changes, Netlink};

/// A route: where to, and the address that this host's own packets should come from.
pub type Routes = BTreeMap<Block, Option<IpAddr>>;

/// The kernel's view of one TUN device, kept as wanted and cleaned up at the end.
pub struct Network {
    netlink: Netlink,
    changes: Changes,
    index: u32,
    mark: u32,
    table: u32,
    mtu: Option<u32>,
    addresses: BTreeSet<IpAddr>,
    routes: Routes,
    rules: Vec<Rule>,
}

/// A policy rule of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    v4: bool,
    kind: RuleKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleKind {
    Networks,
    Nearby,
    Default,
}

/// Something that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub struct Refused {
    what: String,
    error: io::Error,
}

impl Network {
    /// Takes charge of `device` and brings it up.
    ///
    /// # Errors
    /// If there is no such device, or we may not.
    pub fn new(device: &str, mark: u32, table: u32) -> io::Result<Self> {
        let mut netlink = Netlink::connect()?;
        let index = rustix::net::netdevice::name_to_index(
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?,
            device,
        )?;
        let mut quiet = LinkMessage::default();
        quiet.header.index = index;
        let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        quiet.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])])];
        // Without a link-local address the kernel sends no neighbour discovery into the tunnel. A kernel without
        // IPv6 refuses, and has nothing to send.
        let _ = netlink.change(Message::SetLink(quiet));
        bring_up(&mut netlink, index)?;
        let changes = Changes::connect()?;
        let (addresses, routes) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { netlink, changes, index, mark, table, mtu: None, addresses, routes, rules: Vec::new() })
    }

    /// For waiting until [`Self::is_disturbed`] is worth asking.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// Whether somebody else has taken away something that was set here: network managers tidy up rules and
    /// routes that are not theirs, and without them traffic would go around the tunnels in clear.
    pub fn is_disturbed(&mut self) -> bool {
        let Self { netlink, changes, index, table, addresses, routes, rules, .. } = self;
        changes.drain(|port, message| {
            if let Message::NewLink(link) = message {
                return link.header.index == *index && !link.header.flags.contains(LinkFlags::Up);
            }
            if port == netlink.port() {
                return false;
            }
            if let Message::DelAddress(gone) = message {
                return gone.header.index == *index
                    && gone.attributes.iter().any(|attribute| {
                        matches!(attribute, AddressAttribute::Local(address) | AddressAttribute::Address(address)
                            if addresses.contains(address))
                    });
            }
            if let Message::DelRoute(gone) = message {
                let is_ours = |attribute: &RouteAttribute| {
                    matches!(attribute, RouteAttribute::Table(found) if *found == *table || *found == *table + 1)
                };
                return !routes.is_empty() && gone.attributes.iter().any(is_ours);
            }
            if let Message::DelRule(gone) = message {
                let is_ours = |attribute: &RuleAttribute| {
                    matches!(attribute, RuleAttribute::Priority(priority)
                        if (PRIORITY..PRIORITY + 3).contains(priority))
                };
                return !rules.is_empty() && gone.attributes.iter().any(is_ours);
            }
            false
        })
    }

    /// Brings the device up again, and forgets what was set, so that it is all set anew.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn restore(&mut self) -> Result<(), Refused> {
        self.mtu = None;
        self.addresses.clear();
        self.routes.clear();
        self.rules.clear();
        bring_up(&mut self.netlink, self.index)
            .map_err(|error| refused("bringing the device up".to_owned(), error))
    }

    /// Sets the device's MTU.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), Refused> {
        if self.mtu == Some(mtu) {
            return Ok(());
        }
        let mut link = LinkMessage::default();
        link.header.index = self.index;
        link.attributes.push(LinkAttribute::Mtu(mtu));
        self.netlink.change(Message::SetLink(link)).map_err(|error| refused(format!("MTU {mtu}"), error))?;
        self.mtu = Some(mtu);
        Ok(())
    }

    /// Makes these the device's addresses; what was refused is returned and tried again the next time.
    pub fn set_addresses(&mut self, wanted: &BTreeSet<IpAddr>) -> Vec<Refused> {
        let mut problems = Vec::new();
        for gone in self.addresses.difference(wanted).copied().collect::<Vec<_>>() {
            let result = self.netlink.change(Message::DelAddress(self.address(gone)));
            note(&mut problems, format!("removing address {gone}"), result);
            self.addresses.remove(&gone);
        }
        for new in wanted.difference(&self.addresses).copied().collect::<Vec<_>>() {
            let result = self.netlink.add(Message::NewAddress(self.address(new)));
            if note(&mut problems, format!("address {new}"), result) {
                self.addresses.insert(new);
            }
        }
        problems
    }

    /// Makes these the routes into the device; what was refused is returned and tried again the next time.
    pub fn set_routes(&mut self, wanted: &Routes) -> Vec<Refused> {
        let mut problems = Vec::new();
        let gone: Vec<_> = self.routes.iter().filter(|(block, _)| !wanted.contains_key(block)).collect();
        for (block, source) in gone.into_iter().map(|(block, source)| (*block, *source)).collect::<Vec<_>>() {
            let result = self.netlink.change(Message::DelRoute(self.route(block, source)));
            note(&mut problems, format!("removing route to {}/{}", block.0, block.1), result);
            self.routes.remove(&block);
        }
        let rules = rules_for(wanted);
        for rule in rules.iter().filter(|rule| !self.rules.contains(rule)).copied().collect::<Vec<_>>() {
            // The same rule may be left from a gateway that was killed; rules, unlike routes, can be there twice.
            while self.netlink.change(Message::DelRule(self.rule(rule))).is_ok() {}
            let result = self.netlink.add(Message::NewRule(self.rule(rule)));
            if note(&mut problems, "routing rule".to_owned(), result) {
                self.rules.push(rule);
            }
        }
        for (block, source) in wanted {
            if self.routes.get(block) != Some(source) {
                let result = self.netlink.add(Message::NewRoute(self.route(*block, *source)));
                if note(&mut problems, format!("route to {}/{}", block.0, block.1), result) {
                    self.routes.insert(*block, *source);
                }
            }
        }
        for rule in self.rules.iter().filter(|rule| !rules.contains(rule)).copied().collect::<Vec<_>>() {
            let result = self.netlink.change(Message::DelRule(self.rule(rule)));
            note(&mut problems, "removing routing rule".to_owned(), result);
            self.rules.retain(|kept| *kept != rule);
        }
        problems
    }

    /// The device's addresses that were set here.
    #[must_use]
    pub const fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }

    /// The addresses of this host.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn host_addresses(&mut self) -> io::Result<BTreeSet<IpAddr>> {
        let found = self.netlink.list(Message::GetAddress(AddressMessage::default()))?;
        let mut addresses = BTreeSet::new();
        for message in found {
            let Message::NewAddress(message) = message else { continue };
            for attribute in message.attributes {
                // IPv6 has only the one, IPv4 has both, and they differ on point-to-point links.
                if let AddressAttribute::Local(address) | AddressAttribute::Address(address) = attribute {
                    addresses.insert(address);
                }
            }
        }
        Ok(addresses)
    }

    fn address(&self, address: IpAddr) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = if address.is_ipv4() { 32 } else { 128 };
        message.header.index = self.index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        message
    }

    fn route(&self, (address, prefix): Block, source: Option<IpAddr>) -> RouteMessage {
        let mut message = RouteMessage::default();
        let table = if prefix == 0 { self.table + 1 } else { self.table };
        message.header = RouteHeader {
            address_family: family(address),
            destination_prefix_length: prefix,
            protocol: RouteProtocol::Static,
            scope: if address.is_ipv4() { RouteScope::Link } else { RouteScope::Universe },
            kind: RouteType::Unicast,
            ..RouteHeader::default()
        };
        message.attributes = vec![RouteAttribute::Oif(self.index), RouteAttribute::Table(table)];
        if prefix > 0 {
            message.attributes.push(RouteAttribute::Destination(route_address(address)));
        }
        if let Some(source) = source {
            message.attributes.push(RouteAttribute::PrefSource(route_address(source)));
        }
        message
    }

    fn rule(&self, rule: Rule) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if rule.v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.action = RuleAction::ToTable;
        let unmarked = |table| {
            vec![
                RuleAttribute::FwMark(self.mark),
                RuleAttribute::FwMask(u32::MAX),
                RuleAttribute::Table(table),
            ]
        };
        let priority;
        (priority, message.attributes) = match rule.kind {
            RuleKind::Networks => (PRIORITY, unmarked(self.table)),
            RuleKind::Nearby => (
                PRIORITY + 1,
                vec![
                    RuleAttribute::Table(RouteHeader::RT_TABLE_MAIN.into()),
                    RuleAttribute::SuppressPrefixLen(0),
                ],
            ),
            RuleKind::Default => (PRIORITY + 2, unmarked(self.table + 1)),
        };
        if rule.kind != RuleKind::Nearby {
            message.header.flags = RuleFlags::Invert;
        }

        message.attributes.push(RuleAttribute::Priority(priority));
        message
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for problem in self.set_routes(&Routes::new()).into_iter().chain(self.set_addresses(&BTreeSet::new()))
        {
            tracing::debug!(%problem, "cleaning up");
        }
    }
}

fn bring_up(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    netlink.change(Message::SetLink(link))
}

fn rules_for(routes: &Routes) -> Vec<Rule> {
    let mut rules = Vec::new();
    for v4 in [true, false] {
        let mut prefixes =
            routes.keys().filter(|(address, _)| address.is_ipv4() == v4).map(|(_, prefix)| *prefix);
        let default = prefixes.clone().any(|prefix| prefix == 0);
        if prefixes.any(|prefix| prefix > 0) {
            rules.push(Rule { v4, kind: RuleKind::Networks });
        }
        if default {
            rules.extend([RuleKind::Nearby, RuleKind::Default].map(|kind| Rule { v4, kind }));
        }
    }
    rules
}

fn refused(what: String, error: io::Error) -> Refused {
    Refused { what, error }
}

/// Notes what was refused; says whether it was not.
fn note(problems: &mut Vec<Refused>, what: String, result: io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => {
            problems.push(refused(what, error));
            false
        }
    }
}

/// Ahead of the main table's own rule, 32766.
const PRIORITY: u32 = 4500;

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}
