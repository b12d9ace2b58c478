//! Both versions of IKE behind one door.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{Datagram, EspSpi, Flow, IkeSpi, Instant, Path, SecureRandom, SpiAllocator};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    Answer, ApiError, ChildConfig, ChildHandle, ChildSignal, DropReason, EndpointConfig, EndpointStats,
    IkeSaHandle, Listener, Output, PeerConfig, QueryId,
};

use ikebana_ikev1::Endpoint as Ikev1Endpoint;

use super::IkeVersion;
use super::early::Early;

/// The endpoints of both versions. A handle says which of them gave it out, a datagram's header which of them
/// it is for.
pub(super) struct Versions {
    v2: ikebana_ikev2::Endpoint,
    /// Not there unless the caller asked for it (RFC 9395).
    v1: Option<Ikev1Endpoint>,
}

/// Hands a call to the endpoint that gave out a handle, if that is there.
macro_rules! by_handle {
    ($self:ident, $handle:expr, $endpoint:ident => $call:expr, $otherwise:expr) => {
        if $handle.is_ikev1() {
            match &mut $self.v1 {
                Some($endpoint) => $call,
                None => $otherwise,
            }
        } else {
            let $endpoint = &mut $self.v2;
            $call
        }
    };
}

impl Versions {
    pub(super) fn new(
        config: EndpointConfig,
        provider: Arc<CryptoProvider>,
        rng: Box<dyn SecureRandom>,
        spis: Box<dyn SpiAllocator>,
        early: &Early,
    ) -> Self {
        let spis = early.watch(Box::new(EveryOther { spis, odd: false }));
        Self { v2: ikebana_ikev2::Endpoint::new(Arc::new(config), provider, rng, spis), v1: None }
    }

    /// Adds IKEv1, if it is not there already.
    pub(super) fn add_ikev1(
        &mut self,
        config: EndpointConfig,
        provider: Arc<CryptoProvider>,
        rng: Box<dyn SecureRandom>,
        spis: Box<dyn SpiAllocator>,
        early: &Early,
    ) {
        let spis = early.watch(Box::new(EveryOther { spis, odd: true }));
        self.v1.get_or_insert_with(|| Ikev1Endpoint::new(Arc::new(config), provider, rng, spis));
    }

    pub(super) const fn has_ikev1(&self) -> bool {
        self.v1.is_some()
    }

    pub(super) fn set_listeners(&mut self, version: IkeVersion, listeners: Vec<Listener>) {
        match (version, &mut self.v1) {
            (IkeVersion::V2, _) => self.v2.set_listeners(listeners),
            (IkeVersion::V1, Some(v1)) => v1.set_listeners(listeners),
            (IkeVersion::V1, None) => {}
        }
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DropReason> {
        // The version is in the same place whatever it is (RFC 7296 2.5).
        let major = datagram.octets.get(17).map(|version| version >> 4);
        match &mut self.v1 {
            Some(v1) if major == Some(1) => v1.handle_datagram(now, datagram),
            // IKEv2 counts what it does not understand.
            _ => self.v2.handle_datagram(now, datagram),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.v2.handle_timeout(now);
        if let Some(v1) = &mut self.v1 {
            v1.handle_timeout(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let v1 = self.v1.as_ref().and_then(Ikev1Endpoint::poll_timeout);
        [self.v2.poll_timeout(), v1].into_iter().flatten().min()
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.v2.poll_output().or_else(|| self.v1.as_mut()?.poll_output())
    }

    pub(super) fn initiate(
        &mut self,
        now: Instant,
        version: IkeVersion,
        peer: Arc<PeerConfig>,
        path: Path,
    ) -> Result<IkeSaHandle, ApiError> {
        match (version, &mut self.v1) {
            (IkeVersion::V2, _) => self.v2.initiate(now, peer, path),
            (IkeVersion::V1, Some(v1)) => v1.initiate(now, peer, path),
            (IkeVersion::V1, None) => Err(ApiError::Config("IKEv1 is switched off")),
        }
    }

    pub(super) fn answer(&mut self, now: Instant, query: QueryId, answer: Answer) -> Result<(), ApiError> {
        by_handle!(self, query, ike => ike.answer(now, query, answer), Err(ApiError::NoSuchQuery))
    }

    pub(super) fn handle_child_signal(&mut self, now: Instant, child: ChildHandle, signal: ChildSignal) {
        by_handle!(self, child, ike => ike.handle_child_signal(now, child, signal), ());
    }

    pub(super) fn create_child(
        &mut self,
        now: Instant,
        ike: IkeSaHandle,
        config: Arc<ChildConfig>,
        flow: Option<Flow>,
    ) -> Result<(), ApiError> {
        by_handle!(self, ike, it => it.create_child(now, ike, config, flow), Err(ApiError::NoSuchIkeSa))
    }

    pub(super) fn rekey_child(&mut self, now: Instant, child: ChildHandle) -> Result<(), ApiError> {
        by_handle!(self, child, ike => ike.rekey_child(now, child), Err(ApiError::NoSuchChild))
    }

    pub(super) fn delete_child(&mut self, now: Instant, child: ChildHandle) -> Result<(), ApiError> {
        by_handle!(self, child, ike => ike.delete_child(now, child), Err(ApiError::NoSuchChild))
    }

    pub(super) fn rekey(&mut self, now: Instant, ike: IkeSaHandle) -> Result<(), ApiError> {
        by_handle!(self, ike, it => it.rekey(now, ike), Err(ApiError::NoSuchIkeSa))
    }

    pub(super) fn close(&mut self, now: Instant, ike: IkeSaHandle) -> Result<(), ApiError> {
        by_handle!(self, ike, it => it.close(now, ike), Err(ApiError::NoSuchIkeSa))
    }

    /// The child SAs of an IKE SA that are in use, the oldest first.
    pub(super) fn children(&self, ike: IkeSaHandle) -> Vec<ChildHandle> {
        match &self.v1 {
            Some(v1) if ike.is_ikev1() => v1.children(ike).collect(),
            _ => self.v2.children(ike).collect(),
        }
    }

    pub(super) fn path(&self, ike: IkeSaHandle) -> Option<Path> {
        match &self.v1 {
            Some(v1) if ike.is_ikev1() => v1.path(ike),
            _ => self.v2.path(ike),
        }
    }

    pub(super) fn rng(&mut self) -> &mut dyn SecureRandom {
        self.v2.rng()
    }

    /// What both have done, together.
    pub(super) fn stats(&self) -> EndpointStats {
        let v2 = self.v2.stats().clone();
        self.v1.as_ref().map_or_else(|| v2.clone(), |v1| v2.clone().plus(v1.stats()))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.v2.is_idle() && self.v1.as_ref().is_none_or(Ikev1Endpoint::is_idle)
    }
}

/// Every other ESP SPI, so that two endpoints that know nothing of each other never give one SPI to two
/// inbound SAs. The last bit tells them apart; the first ones may tell apart engines
/// ([`ShardedSpis`](ikebana_core::spi::ShardedSpis)).
struct EveryOther {
    spis: Box<dyn SpiAllocator>,
    odd: bool,
}

impl SpiAllocator for EveryOther {
    fn ike_spi(&mut self, rng: &mut dyn SecureRandom) -> IkeSpi {
        self.spis.ike_spi(rng)
    }

    fn esp_spi(&mut self, rng: &mut dyn SecureRandom) -> EspSpi {
        let spi = self.spis.esp_spi(rng);
        let [a, b, c, d] = spi.to_be_bytes();
        let last = (d & 0xfe) | u8::from(self.odd);
        // The lowest SPI is even, so this is one too.
        EspSpi::new(u32::from_be_bytes([a, b, c, last])).unwrap_or(spi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ikebana_core::spi::ShardedSpis;
    use ikebana_testkit::SeededRng;

    #[test]
    fn the_two_versions_never_draw_the_same_esp_spi_and_stay_in_their_shard() {
        let rng = &mut SeededRng::new(1);
        for odd in [false, true] {
            let spis = Box::new(ShardedSpis::new(5, 3).unwrap_or_default());
            let mut spis = EveryOther { spis, odd };
            for _ in 0..1_000 {
                let spi = spis.esp_spi(rng);
                assert_eq!(spi.to_be_bytes()[3] & 1 == 1, odd);
                assert_eq!(ShardedSpis::shard_of_esp(spi, 3), 5);
            }
        }
    }
}
