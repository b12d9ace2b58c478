//! Traffic selectors as swanctl users write them.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use thiserror::Error;

use super::{AddressRange, PortRange, TrafficSelector, TrafficSelectors, protocol};

/// The names of IP protocols. The first name of a number is the one that is printed.
const PROTOCOLS: &[(&str, u8)] = &[
    ("any", protocol::ANY),
    ("icmp", protocol::ICMP),
    ("igmp", 2),
    ("ipencap", protocol::IPV4),
    ("ipip", protocol::IPV4),
    ("tcp", protocol::TCP),
    ("egp", 8),
    ("udp", protocol::UDP),
    ("dccp", 33),
    ("ipv6", protocol::IPV6),
    ("gre", 47),
    ("esp", protocol::ESP),
    ("ah", protocol::AH),
    ("ipv6-icmp", protocol::ICMPV6),
    ("icmpv6", protocol::ICMPV6),
    ("icmp6", protocol::ICMPV6),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", protocol::SCTP),
    ("ipv6-mh", protocol::MOBILITY),
    ("mobility-header", protocol::MOBILITY),
    ("udplite", 136),
];

/// A text that is no traffic selector, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("traffic selector {text:?}: {problem}")]
pub struct SelectorError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: SelectorProblem,
}

/// The ways in which a text can fail to be a traffic selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectorProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// The part before the bracket is no address.
    #[error("{0:?} is no IP address (expected 10.1.0.0/16, 10.0.0.1..10.0.0.9 or 2001:db8::/32)")]
    BadAddress(String),
    /// The prefix length is no number, or too large for the family.
    #[error("prefix length {text:?} is no number from 0 to {most}")]
    BadPrefix {
        /// What stands after the slash.
        text: String,
        /// The largest prefix of the family.
        most: u8,
    },
    /// The ends of a range are of two families or in the wrong order.
    #[error("the range {first} to {last} has two families or ends before it starts")]
    BadRange {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
    /// An opening bracket without its end, or text after it.
    #[error("the part in brackets does not end with ]")]
    Unclosed,
    /// The protocol has no known name.
    #[error("protocol {0:?} is unknown (use a number from 0 to 255, or tcp, udp, icmp, ipv6-icmp, gre, ...)")]
    UnknownProtocol(String),
    /// The port is no port.
    #[error("port {0:?} is none of 443, 5000-6000, any, opaque; for icmp a type such as 8 or 8(0)")]
    BadPort(String),
}

impl SelectorError {
    fn new(text: &str, problem: SelectorProblem) -> Self {
        Self { text: shorten(text), problem }
    }
}

impl FromStr for AddressRange {
    type Err = SelectorError;

    /// Reads `10.1.0.0/16`, `10.0.0.1..10.0.0.9`, `10.0.0.1-10.0.0.9` or one address, of either family.
    /// Host bits after the prefix are ignored.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        parse_addresses(text.trim()).map_err(|problem| SelectorError::new(text, problem))
    }
}

impl FromStr for TrafficSelector {
    type Err = SelectorError;

    /// Reads addresses, then optionally protocol and ports in brackets: `10.1.0.0/16`, `10.0.0.1..10.0.0.9`,
    /// `10.0.0.0/8[tcp/80]`, `10.0.0.0/8[udp/5000-6000]`, `0.0.0.0/0[icmp/8]`, `0.0.0.0/0[icmp/3(4)]`,
    /// `::/0[/53]`, `10.0.0.0/8[gre]`, `10.0.0.0/8[tcp/opaque]`.
    ///
    /// An ICMP type may also be written as the number with the type in its upper octet, as swanctl has it.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        parse(text.trim()).map_err(|problem| SelectorError::new(text, problem))
    }
}

impl FromStr for TrafficSelectors {
    type Err = SelectorError;

    /// Reads selectors with commas or spaces between them.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let list: Self = text
            .split([',', ' ', '\t', '\n'])
            .filter(|part| !part.is_empty())
            .map(str::parse::<TrafficSelector>)
            .collect::<Result<_, _>>()?;
        if list.is_empty() { Err(SelectorError::new(text, SelectorProblem::Empty)) } else { Ok(list) }
    }
}

fn parse(text: &str) -> Result<TrafficSelector, SelectorProblem> {
    let Some((addresses, brackets)) = text.split_once('[') else {
        return parse_addresses(text).map(TrafficSelector::any_of);
    };
    let brackets = brackets.strip_suffix(']').ok_or(SelectorProblem::Unclosed)?;
    let addresses = parse_addresses(addresses.trim_end())?;
    let (protocol, ports) = match brackets.split_once('/') {
        Some((protocol, ports)) => {
            let protocol = parse_protocol(protocol.trim())?;
            (protocol, parse_ports(protocol, ports.trim())?)
        }
        None if brackets.trim().eq_ignore_ascii_case("opaque") => (protocol::ANY, PortRange::OPAQUE),
        None => (parse_protocol(brackets.trim())?, PortRange::ANY),
    };
    Ok(TrafficSelector { protocol, addresses, ports })
}

fn parse_addresses(text: &str) -> Result<AddressRange, SelectorProblem> {
    if text.is_empty() {
        return Err(SelectorProblem::Empty);
    }
    let address = |text: &str| {
        text.trim().parse::<IpAddr>().map_err(|_| SelectorProblem::BadAddress(shorten(text.trim())))
    };
    if let Some((first, last)) = text.split_once("..").or_else(|| text.split_once('-')) {
        let (first, last) = (address(first)?, address(last)?);
        return AddressRange::new(first, last).ok_or(SelectorProblem::BadRange { first, last });
    }
    let Some((base, prefix)) = text.split_once('/') else {
        return address(text).map(AddressRange::single);
    };
    let base = address(base)?;
    let number = digits(prefix.trim()).and_then(|number| u8::try_from(number).ok());
    number.and_then(|prefix| AddressRange::block(base, prefix)).ok_or_else(|| SelectorProblem::BadPrefix {
        text: shorten(prefix),
        most: if base.is_ipv4() { 32 } else { 128 },
    })
}

fn parse_protocol(text: &str) -> Result<u8, SelectorProblem> {
    if text.is_empty() || text == "%any" {
        return Ok(protocol::ANY);
    }
    let known = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known
        .map(|(_, number)| *number)
        .or_else(|| digits(text).and_then(|number| u8::try_from(number).ok()))
        .ok_or_else(|| SelectorProblem::UnknownProtocol(shorten(text)))
}

fn parse_ports(protocol: u8, text: &str) -> Result<PortRange, SelectorProblem> {
    let bad = || SelectorProblem::BadPort(shorten(text));
    match text {
        "" | "any" | "%any" => return Ok(PortRange::ANY),
        "opaque" | "%opaque" => return Ok(PortRange::OPAQUE),
        _ => {}
    }
    let one = |text: &str| if is_icmp(protocol) { parse_icmp(text) } else { parse_port(text) };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (one(first).ok_or_else(bad)?, one(last).ok_or_else(bad)?),
        None => {
            let both = one(text).ok_or_else(bad)?;
            (both, both)
        }
    };
    let (first, last) = (first.first(), last.last());
    // A range the wrong way round would otherwise be taken for the wire's form of OPAQUE.
    if first > last { Err(bad()) } else { PortRange::new(first, last).ok_or_else(bad) }
}

fn parse_port(text: &str) -> Option<PortRange> {
    digits(text.trim()).map(PortRange::single)
}

/// `8` is a type with every code, `8(0)` one code, and a number over 255 both in one.
fn parse_icmp(text: &str) -> Option<PortRange> {
    let text = text.trim();
    if let Some((kind, code)) = text.split_once('(') {
        let kind = u8::try_from(digits(kind)?).ok()?;
        let code = u8::try_from(digits(code.strip_suffix(')')?)?).ok()?;
        return Some(PortRange::icmp_type_code(kind, code));
    }
    let number = digits(text)?;
    Some(u8::try_from(number).map_or_else(|_| PortRange::single(number), PortRange::icmp_type))
}

/// Decimal digits only: the standard parser would also take a plus sign.
fn digits(text: &str) -> Option<u16> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, protocol::ICMP | protocol::ICMPV6)
}

impl fmt::Display for TrafficSelector {
    /// As swanctl writes it: `10.1.0.0/16[tcp/80]`, with the brackets only where they say something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addresses.fmt(f)?;
        if self.protocol == protocol::ANY && self.ports.is_any() {
            return Ok(());
        }
        match PROTOCOLS.iter().find(|(_, number)| *number == self.protocol) {
            Some((name, _)) => write!(f, "[{name}")?,
            None => write!(f, "[{}", self.protocol)?,
        }
        if !self.ports.is_any() {
            f.write_str("/")?;
            if is_icmp(self.protocol) && !self.ports.is_opaque() {
                write_icmp(f, self.ports)?;
            } else {
                self.ports.fmt(f)?;
            }
        }
        f.write_str("]")
    }
}

fn write_icmp(f: &mut fmt::Formatter<'_>, ports: PortRange) -> fmt::Result {
    let ([first, from], [last, to]) = (ports.first().to_be_bytes(), ports.last().to_be_bytes());
    match (from, to) {
        (0, u8::MAX) if first == last => write!(f, "{first}"),
        (0, u8::MAX) => write!(f, "{first}-{last}"),
        (from, to) if first == last && from == to => write!(f, "{first}({from})"),
        (from, to) => write!(f, "{first}({from})-{last}({to})"),
    }
}
