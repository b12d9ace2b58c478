//! The traffic selector payloads.

use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::codec::Problem;
use ikebana_core::{AddressRange, PortRange, Reader, TrafficSelector, TrafficSelectors, WireError, Writer};

const TS_IPV4_ADDR_RANGE: u8 = 7;
const TS_IPV6_ADDR_RANGE: u8 = 8;

/// The traffic at one end of a Child SA (RFC 7296 3.13).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Number of TSs |                 RESERVED                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                       <Traffic Selectors>                     ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSelectorPayload {
    /// The selectors of the two known types, in the order they came in.
    pub selectors: TrafficSelectors,
    /// How many selectors of other types there were. They narrow the SA in a way that is not understood, so
    /// an answer must not select them; they are not written.
    pub skipped: u8,
}

impl TrafficSelectorPayload {
    /// A payload to send; it can hold up to 255 selectors, and must not be empty.
    #[must_use]
    pub const fn new(selectors: TrafficSelectors) -> Self {
        Self { selectors, skipped: 0 }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let count = reader.u8("number of traffic selectors")?;
        reader.take("traffic selectors reserved", 3)?;
        if count == 0 {
            return Err(WireError::new("number of traffic selectors", Problem::Missing));
        }
        let mut selectors = Vec::new();
        let mut skipped = 0_u8;
        for _ in 0..count {
            match parse_selector(&mut reader)? {
                Some(selector) => selectors.push(selector),
                None => skipped = skipped.saturating_add(1),
            }
        }
        reader.finish("traffic selectors")?;
        Ok(Self { selectors: TrafficSelectors::new(selectors), skipped })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        match u8::try_from(self.selectors.len()) {
            Ok(count @ 1..) => writer.u8(count),
            Ok(0) | Err(_) => writer.reject("number of traffic selectors"),
        }
        writer.zeros(3);
        for selector in &self.selectors {
            encode_selector(selector, writer);
        }
    }
}

/// Reads one selector (RFC 7296 3.13.1); `None` if it is of a type not known.
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   TS Type     |IP Protocol ID |       Selector Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           Start Port          |           End Port            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                         Starting Address                      ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                         Ending Address                        ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
fn parse_selector(reader: &mut Reader<'_>) -> Result<Option<TrafficSelector>, WireError> {
    let kind = reader.u8("traffic selector type")?;
    let protocol = reader.u8("traffic selector protocol")?;
    let length = usize::from(reader.u16("selector length")?);
    let body_len =
        length.checked_sub(4).ok_or(WireError::new("selector length", Problem::BadLength(length)))?;
    let mut body = reader.sub("traffic selector", body_len)?;
    if !matches!(kind, TS_IPV4_ADDR_RANGE | TS_IPV6_ADDR_RANGE) {
        return Ok(None);
    }
    let (first_port, last_port) = (body.u16("start port")?, body.u16("end port")?);
    let (first, last): (IpAddr, IpAddr) = if kind == TS_IPV4_ADDR_RANGE {
        (body.array::<4>("starting address")?.into(), body.array::<4>("ending address")?.into())
    } else {
        (body.array::<16>("starting address")?.into(), body.array::<16>("ending address")?.into())
    };
    body.finish("traffic selector")?;
    let ports = PortRange::new(first_port, last_port)
        .ok_or(WireError::new("end port", Problem::BadValue(last_port.into())))?;
    let addresses =
        AddressRange::new(first, last).ok_or(WireError::new("ending address", Problem::BadValue(0)))?;
    Ok(Some(TrafficSelector { protocol, addresses, ports }))
}

fn encode_selector(selector: &TrafficSelector, writer: &mut Writer) {
    let addresses = &selector.addresses;
    writer.u8(if addresses.is_ipv4() { TS_IPV4_ADDR_RANGE } else { TS_IPV6_ADDR_RANGE });
    writer.u8(selector.protocol);
    writer.nested_u16("selector length", 2, |body| {
        body.u16(selector.ports.first());
        body.u16(selector.ports.last());
        for address in [addresses.first(), addresses.last()] {
            match address {
                IpAddr::V4(v4) => body.bytes(&v4.octets()),
                IpAddr::V6(v6) => body.bytes(&v6.octets()),
            }
        }
    });
}
