//! Traffic selectors of a child, once the addresses are known (RFC 7296 2.9, 2.19).

use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{AddressRange, Flow, PortRange, TrafficSelector, TrafficSelectors};
use ikebana_ike::{ChildConfig, Mode, SelectorTemplate};

/// The addresses that "dynamic" stands for.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Our outer address, or those the peer assigned to us, or all of them while we ask for one.
    pub(crate) local: Vec<AddressRange>,
    /// The peer's outer address, or those we assigned to it.
    pub(crate) remote: Vec<AddressRange>,
}

/// The configured selectors of both sides, with addresses filled in.
///
/// In transport mode only the outer addresses make sense, so those replace whatever is configured, with the
/// configured protocols and ports kept.
pub(crate) fn configured(config: &ChildConfig, ends: &Ends) -> (TrafficSelectors, TrafficSelectors) {
    let side = |templates: &[SelectorTemplate], addresses: &[AddressRange]| match config.mode {
        Mode::Tunnel => fill(templates, addresses),
        Mode::Transport => {
            let hosts: Vec<_> = templates.iter().map(|template| as_dynamic(*template)).collect();
            fill(&hosts, addresses)
        }
    };
    (side(&config.local, &ends.local), side(&config.remote, &ends.remote))
}

/// What to offer: the configured selectors, behind those of the packet that asked for the SA
/// (RFC 7296 2.9: the first selector of each payload should describe the packet).
pub(crate) fn offer(
    configured: &(TrafficSelectors, TrafficSelectors),
    flow: Option<&Flow>,
) -> (TrafficSelectors, TrafficSelectors) {
    let Some(flow) = flow else { return configured.clone() };
    let prefixed = |address: IpAddr, port: Option<u16>, rest: &TrafficSelectors| {
        let ports = port.map_or(PortRange::ANY, PortRange::single);
        let packet =
            TrafficSelector { protocol: flow.protocol, addresses: AddressRange::single(address), ports };
        core::iter::once(packet).chain(rest.iter().copied()).collect()
    };
    (
        prefixed(flow.local, flow.local_port, &configured.0),
        prefixed(flow.remote, flow.remote_port, &configured.1),
    )
}

/// Whether a peer's answer stays within what we offered, and says anything at all.
pub(crate) fn is_within(answer: &TrafficSelectors, offered: &TrafficSelectors) -> bool {
    !answer.is_empty() && offered.contains(answer)
}

/// Just the first address pair, for a peer that takes one at a time (SINGLE_PAIR_REQUIRED, RFC 7296 2.9).
pub(crate) fn single_pair(
    configured: &(TrafficSelectors, TrafficSelectors),
    flow: Option<&Flow>,
) -> Option<(TrafficSelectors, TrafficSelectors)> {
    let single = |known: Option<IpAddr>, side: &TrafficSelectors| {
        let first = side.as_slice().first()?;
        let address = known.unwrap_or_else(|| first.addresses.first());
        Some(TrafficSelectors::from(TrafficSelector {
            addresses: AddressRange::single(address),
            protocol: first.protocol,
            ports: first.ports,
        }))
    };
    Some((
        single(flow.map(|flow| flow.local), &configured.0)?,
        single(flow.map(|flow| flow.remote), &configured.1)?,
    ))
}

/// The protocols and ports of `selectors`, at other addresses.
pub(crate) fn readdressed(selectors: &TrafficSelectors, addresses: &[AddressRange]) -> TrafficSelectors {
    let templates: Vec<_> =
        selectors.iter().map(|selector| as_dynamic(SelectorTemplate::Fixed(*selector))).collect();
    fill(&templates, addresses)
}

fn as_dynamic(template: SelectorTemplate) -> SelectorTemplate {
    match template {
        SelectorTemplate::Fixed(TrafficSelector { protocol, ports, .. })
        | SelectorTemplate::Dynamic { protocol, ports } => SelectorTemplate::Dynamic { protocol, ports },
    }
}

fn fill(templates: &[SelectorTemplate], addresses: &[AddressRange]) -> TrafficSelectors {
    let mut filled = Vec::new();
    for template in templates {
        match *template {
            SelectorTemplate::Fixed(selector) => filled.push(selector),
            SelectorTemplate::Dynamic { protocol, ports } => {
                filled.extend(addresses.iter().map(|address| TrafficSelector {
                    protocol,
                    addresses: *address,
                    ports,
                }));
            }
        }
    }
    filled.dedup();
    TrafficSelectors::new(filled)
}
