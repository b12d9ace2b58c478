//! What an SA does to payloads before they are sealed: compression, padding, and packets that are none.

use ikebana_core::SecureRandom;

use super::{OutboundSa, Prepared};
use crate::buffer::PacketBuf;
use crate::error::{NextHeader, SealError};
use crate::ipcomp::CompressionStats;
use crate::outer::OuterFields;
use crate::params::OuterPolicy;

impl OutboundSa {
    /// The path to the peer carries packets of this length. Bounds traffic flow confidentiality padding.
    pub fn set_path_mtu(&mut self, path_mtu: usize) {
        self.tfc.set_path_mtu(path_mtu);
    }

    /// How long an inner packet of `inner` octets is when traffic flow confidentiality padding is behind it: what
    /// [`Overhead::outer_len`](crate::Overhead::outer_len) makes an outer length of, and the room that the packet
    /// needs beside [`Overhead::tailroom`](crate::Overhead::tailroom).
    #[must_use]
    pub fn padded_len(&self, inner: usize) -> usize {
        self.tfc.padded(self.overhead, inner)
    }

    /// What compression has done so far, if the SA compresses.
    #[must_use]
    pub fn compression(&self) -> Option<&CompressionStats> {
        self.compressor.as_ref().map(|compressor| compressor.stats())
    }

    /// Makes a dummy packet that starts with its SPI (RFC 4303 2.6), which the peer drops without a word: it hides
    /// how much real traffic there is. `packet` becomes `length` octets from its beginning on, filled by `rng`, or
    /// with zeros. Both look alike on the wire, except where nothing is encrypted (NULL, GMAC).
    ///
    /// To be taken for real ones, dummies have to have the lengths of real ones, and come as they do. Outer DSCP and
    /// flow label are those that the SA's policy sets, zero where it copies them; in transport mode the outer header
    /// is the caller's.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn encapsulate_dummy(
        &mut self,
        packet: &mut PacketBuf<'_>,
        length: usize,
        rng: Option<&mut dyn SecureRandom>,
    ) -> Result<OuterFields, SealError> {
        packet.truncate(length);
        let needed = length.saturating_sub(packet.len());
        let missing = SealError::Tailroom { needed, available: packet.tailroom() };
        let octets = packet.grow_back(needed).ok_or(missing).map_err(|error| self.failed(error))?;
        match rng {
            // Whoever can decrypt it may know it; nobody else sees it.
            Some(rng) => rng.fill_public(octets),
            None => octets.fill(0),
        }
        self.seal(packet, NextHeader::NONE)?;
        self.stats.dummies = self.stats.dummies.saturating_add(1);
        Ok(OuterFields::for_no_packet(&self.policy))
    }

    pub(crate) const fn policy(&self) -> &OuterPolicy {
        &self.policy
    }

    /// Compresses a tunnel's or transport's payload, and pads a tunnel's, as the SA's parameters want it.
    pub(super) fn conceal(
        &mut self,
        packet: &mut PacketBuf<'_>,
        prepared: Prepared,
    ) -> Result<Prepared, SealError> {
        // Checked before anything changes: a payload that compression makes shorter does not need more room.
        let needed = self.padded_len(packet.len()).saturating_sub(packet.len());
        if needed > packet.tailroom() {
            return Err(SealError::Tailroom { needed, available: packet.tailroom() });
        }
        let next = self.compress(packet, prepared.next);
        let length = packet.len();
        let padding = self.padded_len(length).saturating_sub(length);
        if let Some(octets) = packet.grow_back(padding) {
            octets.get_mut(length..).unwrap_or_default().fill(0);
            self.stats.padded(padding);
        }
        Ok(Prepared { next, outer: prepared.outer })
    }

    /// Compresses a payload if the SA does that and it gets shorter, and says what it is then.
    pub(super) fn compress(&mut self, packet: &mut PacketBuf<'_>, next: NextHeader) -> NextHeader {
        match &mut self.compressor {
            Some(compressor) => compressor.compress(packet, next),
            None => next,
        }
    }
}
