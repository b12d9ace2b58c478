//! What protects the packets of an SA: ESP or AH.

use ikebana_core::{Path, SecureRandom};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    AhParams, Cpi, EspParams, InboundAh, InboundRefusal, InboundSa, InboundStats, Ipcomp, NatChecksum,
    OutboundAh, OutboundRefusal, OutboundSa, OutboundStats, OuterPolicy, Overhead, SealError, SetupError,
    TfcPadding, UdpPorts, UsageLimit,
};
use ikebana_ike::{Direction, Mode, SaParams};
use ikebana_proposals::ProtocolId;
use thiserror::Error;

/// One that opens.
pub(super) enum Inbound {
    Esp(InboundSa),
    Ah(InboundAh),
}

/// One that seals.
#[expect(clippy::large_enum_variant, reason = "nearly all are ESP's, and are to be found without a detour")]
pub(super) enum Outbound {
    Esp(OutboundSa),
    Ah(OutboundAh),
}

/// Why an SA cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    Setup(#[from] SetupError),
    #[error("{0}")]
    Path(#[from] SealError),
    /// A NAT changes the addresses that AH protects, so nobody has defined AH in UDP (RFC 3947 does not).
    #[error(
        "there is a NAT between the two ends, or ESP in UDP is forced, and AH cannot travel in UDP; use ESP"
    )]
    AhInUdp,
    #[error("compression goes with ESP alone here, not with AH")]
    AhCompressed,
}

impl Inbound {
    pub(super) fn new(params: SaParams, provider: &CryptoProvider) -> Result<Self, Unusable> {
        Ok(match params.protocol {
            ProtocolId::AH => Self::Ah(InboundAh::new(ah_params(params, OuterPolicy::default())?, provider)?),
            _ => Self::Esp(InboundSa::new(
                esp_params(params, OuterPolicy::default(), TfcPadding::None),
                provider,
            )?),
        })
    }

    /// The SA, if it is ESP's.
    pub(super) const fn esp(&self) -> Option<&InboundSa> {
        match self {
            Self::Esp(sa) => Some(sa),
            Self::Ah(_) => None,
        }
    }

    /// The SA, if it is ESP's.
    pub(super) const fn esp_mut(&mut self) -> Option<&mut InboundSa> {
        match self {
            Self::Esp(sa) => Some(sa),
            Self::Ah(_) => None,
        }
    }

    /// What happened to its packets.
    pub(super) const fn stats(&self) -> &InboundStats {
        match self {
            Self::Esp(sa) => sa.stats(),
            Self::Ah(sa) => sa.stats(),
        }
    }

    /// Counts a packet that was dropped for what the SA does not know.
    pub(super) fn refuse(&mut self, refusal: InboundRefusal) {
        match self {
            Self::Esp(sa) => sa.refuse(refusal),
            Self::Ah(sa) => sa.refuse(refusal),
        }
    }

    /// The peer's packets take this path from now on.
    pub(super) fn set_path(&mut self, path: Path, in_udp: bool) {
        match self {
            Self::Esp(sa) => sa.set_path(path.remote.ip(), path.local.ip(), in_udp),
            // Its packets bring their headers with them.
            Self::Ah(_) => {}
        }
    }
}

impl Outbound {
    pub(super) fn new(
        params: SaParams,
        (outer, tfc): (OuterPolicy, TfcPadding),
        provider: &CryptoProvider,
        rng: &mut dyn SecureRandom,
    ) -> Result<Self, Unusable> {
        Ok(match params.protocol {
            ProtocolId::AH => Self::Ah(OutboundAh::new(ah_params(params, outer)?, provider)?),
            _ => Self::Esp(OutboundSa::new(esp_params(params, outer, tfc), provider, rng)?),
        })
    }

    /// The SA, if it is ESP's.
    pub(super) const fn esp(&self) -> Option<&OutboundSa> {
        match self {
            Self::Esp(sa) => Some(sa),
            Self::Ah(_) => None,
        }
    }

    /// The SA, if it is ESP's.
    pub(super) const fn esp_mut(&mut self) -> Option<&mut OutboundSa> {
        match self {
            Self::Esp(sa) => Some(sa),
            Self::Ah(_) => None,
        }
    }

    pub(super) const fn overhead(&self) -> Overhead {
        match self {
            Self::Esp(sa) => sa.overhead(),
            Self::Ah(sa) => sa.overhead(),
        }
    }

    /// Packets that are padded are padded for a path of this MTU.
    pub(super) fn set_path_mtu(&mut self, path_mtu: usize) {
        if let Self::Esp(sa) = self {
            sa.set_path_mtu(path_mtu);
        }
    }

    pub(super) const fn mode(&self) -> ikebana_esp::Mode {
        match self {
            Self::Esp(sa) => sa.mode(),
            Self::Ah(sa) => sa.mode(),
        }
    }

    /// What happened to its packets.
    pub(super) const fn stats(&self) -> &OutboundStats {
        match self {
            Self::Esp(sa) => sa.stats(),
            Self::Ah(sa) => sa.stats(),
        }
    }

    /// Counts a packet that was dropped for what the SA does not know.
    pub(super) fn refuse(&mut self, refusal: OutboundRefusal) {
        match self {
            Self::Esp(sa) => sa.refuse(refusal),
            Self::Ah(sa) => sa.refuse(refusal),
        }
    }

    pub(super) const fn sequences_left(&self) -> u64 {
        match self {
            Self::Esp(sa) => sa.sequences_left(),
            Self::Ah(sa) => sa.sequences_left(),
        }
    }

    pub(super) const fn usage_limit(&self) -> UsageLimit {
        match self {
            Self::Esp(sa) => sa.usage_limit(),
            // It encrypts nothing.
            Self::Ah(_) => UsageLimit::NONE,
        }
    }

    /// Our packets take this path from now on.
    pub(super) fn set_path(&mut self, path: Path, in_udp: bool) -> Result<(), Unusable> {
        let (source, destination) = (path.local.ip(), path.remote.ip());
        match self {
            Self::Esp(sa) => Ok(sa.set_path(source, destination, in_udp.then(|| ports(path)))?),
            Self::Ah(_) if in_udp => Err(Unusable::AhInUdp),
            Self::Ah(sa) => Ok(sa.set_path(source, destination)?),
        }
    }
}

const fn ports(path: Path) -> UdpPorts {
    UdpPorts { source: path.local.port(), destination: path.remote.port() }
}

pub(super) fn mode(params: &SaParams) -> ikebana_esp::Mode {
    match params.mode {
        Mode::Tunnel => ikebana_esp::Mode::Tunnel,
        Mode::Transport => ikebana_esp::Mode::Transport,
    }
}

/// The path of an SA's packets, from their sender to their receiver.
const fn direction(params: &SaParams) -> Path {
    match params.direction {
        Direction::Inbound => Path::new(params.path.remote, params.path.local),
        Direction::Outbound => params.path,
    }
}

fn esp_params(params: SaParams, outer: OuterPolicy, tfc: TfcPadding) -> EspParams {
    let path = direction(&params);
    EspParams {
        spi: params.spi,
        suite: params.suite,
        mode: mode(&params),
        encryption_key: params.keys.encryption,
        integrity_key: params.keys.integrity,
        encapsulation: params.encapsulated.then(|| ports(path)),
        source: path.local.ip(),
        destination: path.remote.ip(),
        replay_window: params.config.replay_window,
        outer,
        nat_checksum: NatChecksum::Recompute,
        // RFC 4303 2.7: in tunnel mode alone, and where the peer has not refused it.
        tfc: match params.mode {
            Mode::Tunnel if params.tfc_padding => tfc,
            Mode::Tunnel | Mode::Transport => TfcPadding::None,
        },
        ipcomp: params.cpi.and_then(Cpi::new).map(Ipcomp::new),
    }
}

fn ah_params(params: SaParams, outer: OuterPolicy) -> Result<AhParams, Unusable> {
    if params.encapsulated {
        return Err(Unusable::AhInUdp);
    }
    if params.cpi.is_some() {
        return Err(Unusable::AhCompressed);
    }
    let path = direction(&params);
    Ok(AhParams {
        spi: params.spi,
        suite: params.suite,
        mode: mode(&params),
        key: params.keys.integrity,
        source: path.local.ip(),
        destination: path.remote.ip(),
        replay_window: params.config.replay_window,
        outer,
    })
}
