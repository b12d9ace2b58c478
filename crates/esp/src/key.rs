//! The keys of an SA: what several cores share.

use alloc::boxed::Box;

use ikebana_core::{EspSpi, SecureRandom};
use ikebana_crypto::{
    CipherError, CipherKeys, CipherShape, CryptoProvider, Frame, IV_RUN, IvGenerator, IvRule, PacketCipher,
};

use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OpenError, SealError};
use crate::ip;
use crate::overhead::{self, ESP_HEADER, TRAILER};
use crate::params::{EspParams, SetupError};
use crate::sequence;

/// The key that seals the packets of one outbound SA.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ ----
/// |               Security Parameters Index (SPI)                 | ^Int.
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ |Cov-
/// |                      Sequence Number                          | |ered
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ | ----
/// |                    IV, Payload Data (variable)                | |   ^
/// +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ |Conf.
/// |               |     Padding (0-255 bytes)                     | |Cov-
/// +-+-+-+-+-+-+-+-+               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ |ered
/// |                               |  Pad Length   | Next Header   | v   v
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ ------
/// |         Integrity Check Value-ICV   (variable)                |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
pub struct SealKey {
    spi: EspSpi,
    extended: bool,
    shape: CipherShape,
    pub(crate) cipher: Box<dyn PacketCipher>,
    ivs: IvGenerator,
}

/// What sealing does to a packet's range.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    front: usize,
    padding: usize,
    back: usize,
    pub(crate) text: usize,
}

impl SealKey {
    pub(crate) fn new(
        params: &EspParams,
        provider: &CryptoProvider,
        rng: &mut dyn SecureRandom,
    ) -> Result<Self, SetupError> {
        let cipher = make_cipher(params, provider)?;
        Ok(Self {
            spi: params.spi,
            extended: params.suite.esn,
            shape: cipher.shape(),
            cipher,
            ivs: IvGenerator::new(rng),
        })
    }

    /// The SPI in the packets.
    #[must_use]
    pub const fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The lengths of the cipher's parts.
    #[must_use]
    pub const fn shape(&self) -> CipherShape {
        self.shape
    }

    /// Seals a payload under a sequence number that came from
    /// [`OutboundSa::reserve`](crate::OutboundSa::reserve). The packet then starts with its SPI.
    ///
    /// **Each number must be used once.** The number is the nonce of combined-mode ciphers, and two packets
    /// under one nonce reveal their contents and the authentication key. Counters and limits are the SA's: tell
    /// it by [`account`](crate::OutboundSa::account).
    ///
    /// # Errors
    /// [`SealError`] if the packet has too little room, would become too long, or if the number is not one of
    /// this SA's.
    pub fn seal_at(
        &self,
        sequence: u64,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
    ) -> Result<(), SealError> {
        if sequence == 0 || sequence > sequence::highest(self.extended) {
            return Err(SealError::SequenceExhausted);
        }
        let layout = self.layout(packet)?;
        self.frame(layout, sequence, packet, next, |iv| self.write_iv(iv, sequence))?;
        self.cipher.seal(self.cipher_frame(sequence, packet)).map_err(SealError::Cipher)
    }

    /// Whether the packet can be sealed, and how.
    pub(crate) fn layout(&self, packet: &PacketBuf<'_>) -> Result<Layout, SealError> {
        let text = packet.len();
        let padding = overhead::padding(self.shape, text);
        let front = ESP_HEADER.saturating_add(self.shape.iv_len);
        let back = padding.saturating_add(TRAILER).saturating_add(self.shape.icv_len);
        let length = front.saturating_add(text).saturating_add(back);
        if u16::try_from(length).is_err() {
            return Err(SealError::TooLong { length });
        }
        if packet.headroom() < front {
            return Err(SealError::Headroom { needed: front, available: packet.headroom() });
        }
        if packet.tailroom() < back {
            return Err(SealError::Tailroom { needed: back, available: packet.tailroom() });
        }
        Ok(Layout { front, padding, back, text })
    }

    /// Writes everything around the payload but the ICV. `write_iv` gets the IV's place.
    pub(crate) fn frame(
        &self,
        layout: Layout,
        sequence: u64,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
        write_iv: impl FnOnce(&mut [u8]),
    ) -> Result<(), SealError> {
        let octets = packet.grow_back(layout.back).ok_or(SealError::Cipher(CipherError::Layout))?;
        let trailer = octets.get_mut(layout.text..).unwrap_or_default();
        // RFC 4303 2.4: padding is 1, 2, 3, ...
        for (octet, value) in trailer.iter_mut().zip((1..=u8::MAX).take(layout.padding)) {
            *octet = value;
        }
        let pad_len = u8::try_from(layout.padding).unwrap_or(u8::MAX);
        ip::put(trailer, layout.padding, &[pad_len, next.0]);

        let octets = packet.grow_front(layout.front).ok_or(SealError::Cipher(CipherError::Layout))?;
        ip::put(octets, 0, &self.spi.to_be_bytes());
        ip::put(octets, 4, &sequence::low(sequence).to_be_bytes());
        write_iv(octets.get_mut(ESP_HEADER..layout.front).unwrap_or_default());
        Ok(())
    }

    /// Undoes [`frame`](Self::frame)'s change of the packet's range.
    pub(crate) fn unframe(&self, layout: Layout, packet: &mut PacketBuf<'_>) {
        packet.shrink_front(layout.front);
        packet.shrink_back(layout.back);
    }

    /// What the cipher works on.
    pub(crate) fn cipher_frame<'a>(&self, sequence: u64, packet: &'a mut PacketBuf<'_>) -> Frame<'a> {
        let esn_high = self.extended.then(|| sequence::high(sequence));
        Frame { bytes: packet.payload_mut(), header_len: ESP_HEADER, esn_high }
    }

    /// The sequence number never repeats under the key, so it makes every IV unique (RFC 4106 3.1), and
    /// encrypted under a secret key of its own also unpredictable, as CBC wants it.
    fn write_iv(&self, iv: &mut [u8], sequence: u64) {
        match self.shape.iv {
            IvRule::Counter => {
                for (octet, value) in iv.iter_mut().rev().zip(sequence.to_le_bytes()) {
                    *octet = value;
                }
            }
            IvRule::Random => self.ivs.fill_at(u128::from(sequence), iv),
            IvRule::None => {}
        }
    }
}

/// IVs for the sequence numbers to come, made several at a time.
#[derive(Default)]
pub(crate) struct IvRun {
    /// The first number; 0, which is no packet's, before the first run.
    first: u64,
    ivs: [[u8; 16]; IV_RUN],
}

impl IvRun {
    /// As [`SealKey::write_iv`].
    pub(crate) fn write(&mut self, key: &SealKey, iv: &mut [u8], sequence: u64) {
        if key.shape.iv != IvRule::Random {
            return key.write_iv(iv, sequence);
        }
        let behind = |first: u64| sequence.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        let mut at = behind(self.first).filter(|&at| self.first > 0 && at < IV_RUN);
        if at.is_none() {
            *self = Self { first: sequence, ivs: key.ivs.run_at(u128::from(sequence)) };
            at = Some(0);
        }
        for (octet, &value) in iv.iter_mut().zip(at.and_then(|at| self.ivs.get(at)).into_iter().flatten()) {
            *octet = value;
        }
    }
}

/// The key that opens the packets of one inbound SA.
pub struct OpenKey {
    spi: EspSpi,
    extended: bool,
    shape: CipherShape,
    pub(crate) cipher: Box<dyn PacketCipher>,
}

impl OpenKey {
    pub(crate) fn new(params: &EspParams, provider: &CryptoProvider) -> Result<Self, SetupError> {
        let cipher = make_cipher(params, provider)?;
        Ok(Self { spi: params.spi, extended: params.suite.esn, shape: cipher.shape(), cipher })
    }

    /// The SPI in the packets.
    #[must_use]
    pub const fn spi(&self) -> EspSpi {
        self.spi
    }

    /// The lengths of the cipher's parts.
    #[must_use]
    pub const fn shape(&self) -> CipherShape {
        self.shape
    }

    /// Verifies and decrypts a packet whose full sequence number is `sequence`, as
    /// [`InboundSa::check`](crate::InboundSa::check) found it. Afterwards the packet is the payload alone, traffic
    /// flow confidentiality padding included.
    ///
    /// The caller has then to [`commit`](crate::InboundSa::commit) the number, whether or not the padding was
    /// right: any error but [`OpenError::Padding`] means that it must not.
    ///
    /// # Errors
    /// [`OpenError::Short`], [`OpenError::Misaligned`], [`OpenError::Forged`] or [`OpenError::Padding`].
    pub fn open_at(&self, sequence: u64, packet: &mut PacketBuf<'_>) -> Result<NextHeader, OpenError> {
        self.check_length(packet)?;
        self.cipher.open(self.cipher_frame(sequence, packet)).map_err(|_| OpenError::Forged)?;
        self.strip(packet)
    }

    /// Whether the packet has the length of one of ours.
    pub(crate) fn check_length(&self, packet: &PacketBuf<'_>) -> Result<(), OpenError> {
        let length = packet.len();
        let around = ESP_HEADER.saturating_add(self.shape.overhead());
        let alignment = overhead::alignment(self.shape);
        match length.checked_sub(around) {
            Some(text) if text >= alignment.max(TRAILER) => match text.checked_rem(alignment) {
                Some(0) => Ok(()),
                Some(_) | None => Err(OpenError::Misaligned),
            },
            Some(_) | None => Err(OpenError::Short { length }),
        }
    }

    /// What the cipher works on.
    pub(crate) fn cipher_frame<'a>(&self, sequence: u64, packet: &'a mut PacketBuf<'_>) -> Frame<'a> {
        let esn_high = self.extended.then(|| sequence::high(sequence));
        Frame { bytes: packet.payload_mut(), header_len: ESP_HEADER, esn_high }
    }

    /// Reduces a decrypted packet to its payload. The ICV was verified before, so nothing here tells an
    /// attacker anything, and what is wrong is the peer's doing.
    pub(crate) fn strip(&self, packet: &mut PacketBuf<'_>) -> Result<NextHeader, OpenError> {
        packet.shrink_front(ESP_HEADER.saturating_add(self.shape.iv_len)).ok_or(OpenError::Padding)?;
        packet.shrink_back(self.shape.icv_len).ok_or(OpenError::Padding)?;
        let (text, [pad_len, next]) = packet.payload().split_last_chunk().ok_or(OpenError::Padding)?;
        let pad_len = usize::from(*pad_len);
        let start = text.len().checked_sub(pad_len).ok_or(OpenError::Padding)?;
        let padding = text.get(start..).ok_or(OpenError::Padding)?;
        // RFC 4303 2.4: the receiver should inspect the padding.
        if !padding.iter().copied().eq((1..=u8::MAX).take(pad_len)) {
            return Err(OpenError::Padding);
        }
        let next = NextHeader(*next);
        packet.shrink_back(TRAILER.saturating_add(pad_len)).ok_or(OpenError::Padding)?;
        Ok(next)
    }
}

fn make_cipher(params: &EspParams, provider: &CryptoProvider) -> Result<Box<dyn PacketCipher>, SetupError> {
    let suite = params.suite;
    let encryption = suite.encryption.ok_or(SetupError::Suite(suite))?;
    let needed = provider.key_lengths(suite.encryption, suite.integrity).ok_or(SetupError::Suite(suite))?;
    let needed = [needed.encryption, needed.integrity];
    let given = [params.encryption_key.len(), params.integrity_key.len()];
    if needed != given {
        return Err(SetupError::KeyLength { suite, needed, given });
    }
    let keys =
        CipherKeys { encryption: params.encryption_key.expose(), integrity: params.integrity_key.expose() };
    let cipher =
        provider.packet_cipher(encryption, suite.integrity, &keys).map_err(|_| SetupError::Suite(suite))?;
    // A cipher without ICV would let anybody write our packets.
    if cipher.shape().icv_len == 0 {
        return Err(SetupError::Suite(suite));
    }
    Ok(cipher)
}

#[cfg(test)]
mod tests;
