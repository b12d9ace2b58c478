//! The engine's status in the words of the control socket.

use std::collections::BTreeMap;

use ikebana::esp::{InboundStats, OutboundStats};
use ikebana::{Engine, TunnelState};
use ikebana_ike::{Mode, Phase1Mode};
use ikebana_proposals::ProtocolId;

use super::tunnels::Entry;
use crate::status::{ChildStatus, IkeStatus, State, TunnelStatus};

/// One tunnel, as it is.
pub(super) fn tunnel(entry: &Entry, engine: Option<&ikebana::TunnelStatus>) -> TunnelStatus {
    let state = match engine.map(|tunnel| tunnel.state) {
        _ if entry.stopped => State::Down,
        Some(TunnelState::Up) => State::Up,
        Some(TunnelState::Connecting | TunnelState::Waiting(_)) | None => State::Connecting,
        Some(TunnelState::Down) => State::Waiting,
    };
    let cause = engine.and_then(|tunnel| tunnel.cause.clone()).or_else(|| entry.problem.clone());
    let retries = engine.map_or(entry.attempts, |tunnel| tunnel.retries);
    TunnelStatus {
        name: entry.config.name.clone(),
        state,
        cause: cause.filter(|_| state != State::Up),
        retries: u32::try_from(retries).unwrap_or(u32::MAX),
        ike: engine.and_then(|tunnel| tunnel.ikes.last()).map(ike),
        children: engine.map(|tunnel| tunnel.children.iter().rev().map(child).collect()).unwrap_or_default(),
    }
}

fn ike(ike: &ikebana::IkeStatus) -> IkeStatus {
    IkeStatus {
        version: if ike.ike.is_ikev1() { 1 } else { 2 },
        phase1: ike.phase1.map(|mode| {
            match mode {
                Phase1Mode::Main => "main",
                Phase1Mode::Aggressive => "aggressive",
            }
            .to_owned()
        }),
        xauth_user: ike.xauth_user.clone(),
        spi_i: ike.initiator_spi.to_string(),
        spi_r: ike.responder_spi.to_string(),
        suite: ike.suite.to_string(),
        local: ike.path.local.to_string(),
        remote: ike.path.remote.to_string(),
        initiator: ike.initiator,
        age_s: ike.age.as_secs(),
        nat_local: ike.nat.local,
        nat_remote: ike.nat.remote,
        encap: ike.encapsulated,
        rekeys: ike.rekeys,
    }
}

fn child(child: &ikebana::ChildStatus) -> ChildStatus {
    let spi = |spi: Option<ikebana_core::EspSpi>| spi.map(|spi| spi.to_string()).unwrap_or_default();
    let texts =
        |selectors: &ikebana_core::TrafficSelectors| selectors.iter().map(ToString::to_string).collect();
    ChildStatus {
        name: child.name.clone(),
        mode: match child.mode {
            Mode::Tunnel => "tunnel",
            Mode::Transport => "transport",
        }
        .to_owned(),
        protocol: if child.protocol == ProtocolId::AH { "ah" } else { "esp" }.to_owned(),
        spi_in: spi(child.inbound),
        spi_out: spi(child.outbound),
        suite: child.suite.to_string(),
        local_ts: texts(&child.local),
        remote_ts: texts(&child.remote),
        bytes_in: child.received.map_or(0, |usage| usage.octets),
        bytes_out: child.sent.map_or(0, |usage| usage.octets),
        packets_in: child.received.map_or(0, |usage| usage.packets),
        packets_out: child.sent.map_or(0, |usage| usage.packets),
        drops_in: child.opened.iter().flat_map(InboundStats::drops).filter_map(counted).collect(),
        drops_out: child.sealed.iter().flat_map(OutboundStats::drops).filter_map(counted).collect(),
        mtu: u16::try_from(child.mtu).unwrap_or(u16::MAX),
        rekeys: child.rekeys,
    }
}

/// A counter of an SA, unless it is zero.
fn counted((name, count): (&str, u64)) -> Option<(String, u64)> {
    (count > 0).then(|| (name.to_owned(), count))
}

/// Every counter of dropped packets that is not zero.
pub(super) fn drops(engine: &Engine, others: [(&str, u64); 2]) -> BTreeMap<String, u64> {
    let packets = engine.drops().iter().map(|(cause, count)| (cause.name().to_owned(), count));
    let ike = engine.ike_stats();
    let messages = ike.drops.iter().map(|(reason, count)| (format!("Ike: {}", reason.name()), count));
    let others = others.into_iter().map(|(name, count)| (name.to_owned(), count));
    packets.chain(messages).chain(others).filter(|(_, count)| *count > 0).collect()
}
