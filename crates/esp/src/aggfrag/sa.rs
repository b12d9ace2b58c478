//! SAs that carry AGGFRAG payloads.

use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OpenError, SealError};
use crate::inbound::InboundSa;
use crate::outbound::OutboundSa;
use crate::outer::OuterFields;
use crate::params::Mode;

impl OutboundSa {
    /// Seals a payload of an [`AggfragSender`](super::AggfragSender); the packet then starts with its SPI.
    ///
    /// There is no inner packet that the outer header could be like, but any number of them and of pieces
    /// (RFC 9347 2.2.5): DSCP and flow label are those that the SA's policy sets, or zero, the outer packet must not
    /// be fragmented unless the policy says so, and says nothing about ECN.
    ///
    /// # Errors
    /// [`SealError`]; [`SealError::Mode`] in transport and BEET mode, for which RFC 9347 has no payloads.
    pub fn encapsulate_payload(&mut self, packet: &mut PacketBuf<'_>) -> Result<OuterFields, SealError> {
        match self.mode() {
            Mode::Tunnel => {
                self.seal(packet, NextHeader::AGGFRAG)?;
                Ok(OuterFields::for_no_packet(self.policy()))
            }
            Mode::Transport | Mode::Beet(_) => Err(self.failed(SealError::Mode)),
        }
    }
}

impl InboundSa {
    /// Opens a packet that starts with its SPI, in place, and says its full sequence number too:
    /// [`open`](Self::open) for those who have to put packets in order, as an
    /// [`AggfragReceiver`](super::AggfragReceiver) has.
    ///
    /// # Errors
    /// [`OpenError`], as of [`open`](Self::open).
    pub fn open_numbered(&mut self, packet: &mut PacketBuf<'_>) -> Result<(u64, NextHeader), OpenError> {
        // Opening does not change what the number is inferred from before it has inferred it again.
        let sequence = self.check(packet)?;
        let next = self.open(packet)?;
        Ok((sequence, next))
    }
}
