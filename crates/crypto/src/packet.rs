//! Protection of packets in place, the same for IKE's SK payloads and for ESP.

use ikebana_core::SecureRandom;
use thiserror::Error;

use crate::batch::{CipherJob, LaneCipher};
use crate::iv::IvGenerator;

/// Seals and opens packets with one set of keys.
///
/// A packet is one contiguous run of octets, and nothing is allocated to work on it:
///
/// ```text
/// | header (clear, authenticated) | IV | text | ICV |
/// ```
///
/// Padding is the caller's: the text has a length that [`CipherShape::block_len`] divides.
pub trait PacketCipher: Send + Sync {
    /// How long the parts are.
    fn shape(&self) -> CipherShape;

    /// Encrypts the text in place and writes the ICV. The caller has written header, IV and text.
    ///
    /// # Errors
    /// [`CipherError::Layout`] or [`CipherError::Alignment`]; the frame is unchanged then.
    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError>;

    /// Verifies the ICV in constant time and decrypts the text in place.
    ///
    /// # Errors
    /// [`CipherError::Forged`] if the ICV is wrong. The text is then either still encrypted or wiped, never
    /// plaintext.
    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError>;

    /// Seals a run of frames, all of them for this cipher, and leaves a result in each slot. See
    /// [`seal_batch`](crate::seal_batch), which is what to call.
    fn seal_run(&self, jobs: &mut [CipherJob<'_>]) {
        for job in jobs {
            job.result = self.seal(job.frame.reborrow());
        }
    }

    /// Opens a run of frames, all of them for this cipher, and leaves a result in each slot. See
    /// [`open_batch`](crate::open_batch), which is what to call.
    fn open_run(&self, jobs: &mut [CipherJob<'_>]) {
        for job in jobs {
            job.result = self.open(job.frame.reborrow());
        }
    }

    /// The cipher as the kernels of this crate see it, if its packets go through them together with those of
    /// other SAs. Only ciphers of this crate have one.
    fn lanes(&self) -> Option<&LaneCipher> {
        None
    }
}

/// An integrity algorithm with its key.
pub trait Mac: Send + Sync {
    /// Octets of ICV.
    fn icv_len(&self) -> usize;

    /// Computes the truncated MAC over the concatenation of `parts`. An `icv` shorter than the ICV gets the
    /// beginning of it; of a longer one the rest stays as it is.
    fn compute(&self, parts: &[&[u8]], icv: &mut [u8]);

    /// Whether `icv` is the right one, in constant time.
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> bool {
        let mut expected = [0; MAX_ICV];
        let Some(expected) = expected.get_mut(..self.icv_len()) else { return false };
        self.compute(parts, expected);
        crate::hash::ct_eq(expected, icv)
    }
}

/// The longest ICV there is (HMAC-SHA2-512-256).
pub(crate) const MAX_ICV: usize = 32;

/// Lengths of a packet's parts, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherShape {
    /// The IV between header and text.
    pub iv_len: usize,
    /// The ICV at the end.
    pub icv_len: usize,
    /// What the length of the text must be a multiple of. ESP's own alignment to 4 comes on top.
    pub block_len: usize,
    /// What the IV must be.
    pub iv: IvRule,
}

impl CipherShape {
    /// Octets that protection adds around header and padded text.
    #[must_use]
    pub const fn overhead(self) -> usize {
        self.iv_len.saturating_add(self.icv_len)
    }

    /// Writes the IV of a packet: `sequence` where any value works that never repeats under the key, an
    /// unpredictable one where that is needed, nothing where there is none.
    pub fn write_iv(self, iv: &mut [u8], sequence: u64, random: &mut IvGenerator) {
        match self.iv {
            IvRule::Counter => write_counter(iv, sequence),
            IvRule::Random => random.fill(iv),
            IvRule::None => {}
        }
    }

    /// As [`write_iv`](Self::write_iv), drawing from a random generator where the IV must be unpredictable.
    pub fn draw_iv(self, iv: &mut [u8], sequence: u64, rng: &mut dyn SecureRandom) {
        match self.iv {
            IvRule::Counter => write_counter(iv, sequence),
            IvRule::Random => rng.fill_public(iv),
            IvRule::None => {}
        }
    }
}

/// Right-aligned, so that a shorter slot keeps the octets that change.
fn write_counter(iv: &mut [u8], sequence: u64) {
    for (octet, value) in iv.iter_mut().rev().zip(sequence.to_le_bytes()) {
        *octet = value;
    }
}

/// What an IV must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IvRule {
    /// Never the same twice under a key; a counter is best. A repetition reveals text and authentication key.
    Counter,
    /// Unpredictable.
    Random,
    /// There is none.
    None,
}

/// One packet to work on.
pub struct Frame<'a> {
    /// Header, IV, text and ICV.
    pub bytes: &'a mut [u8],
    /// Octets of the header: authenticated, not encrypted, in front of the IV.
    pub header_len: usize,
    /// The untransmitted high half of an extended sequence number (RFC 4303 2.2.1).
    pub esn_high: Option<u32>,
}

impl<'a> Frame<'a> {
    /// The same frame, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> Frame<'_> {
        Frame { bytes: self.bytes, header_len: self.header_len, esn_high: self.esn_high }
    }

    /// Splits the frame; everything is there and the text fits the block, or it is an error.
    pub(crate) fn split(self, shape: CipherShape) -> Result<Parts<'a>, CipherError> {
        let (header, rest) = self.bytes.split_at_mut_checked(self.header_len).ok_or(CipherError::Layout)?;
        let (iv, rest) = rest.split_at_mut_checked(shape.iv_len).ok_or(CipherError::Layout)?;
        let text_len = rest.len().checked_sub(shape.icv_len).ok_or(CipherError::Layout)?;
        let (text, icv) = rest.split_at_mut_checked(text_len).ok_or(CipherError::Layout)?;
        if text_len.checked_rem(shape.block_len) != Some(0) {
            return Err(CipherError::Alignment { block_len: shape.block_len });
        }
        Ok(Parts { header, iv, text, icv, esn_high: self.esn_high.map(u32::to_be_bytes) })
    }
}

/// The parts of a frame.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) iv: &'a [u8],
    pub(crate) text: &'a mut [u8],
    pub(crate) icv: &'a mut [u8],
    pub(crate) esn_high: Option<[u8; 4]>,
}

impl Parts<'_> {
    /// The 8 octets of IV that go into a nonce. Where none is sent, they are the sequence number of the ESP header,
    /// with its high half or zeros in front (RFC 8750 4).
    pub(crate) fn nonce_iv(&self) -> Result<[u8; 8], CipherError> {
        if !self.iv.is_empty() {
            return self.iv.try_into().map_err(|_| CipherError::Layout);
        }
        let low = self.header.get(4..).and_then(<[u8]>::first_chunk).ok_or(CipherError::Layout)?;
        let mut iv = [0; 8];
        let (halves, _) = iv.as_chunks_mut();
        for (half, value) in halves.iter_mut().zip([self.esn_high.unwrap_or_default(), *low]) {
            *half = value;
        }
        Ok(iv)
    }
}

/// The longest header, with its IV, that can be authenticated together with an extended sequence number. ESP has 8
/// octets of header and at most 8 of IV in the combined modes.
const MAX_ESN_HEADER: usize = 68;

/// Calls `with` with the header, in which an ESN's high half stands after the SPI (RFC 4106 5).
pub(crate) fn with_associated_data<R>(
    header: &[u8],
    esn_high: Option<[u8; 4]>,
    with: impl FnOnce(&[u8]) -> R,
) -> Result<R, CipherError> {
    let Some(esn_high) = esn_high else { return Ok(with(header)) };
    let mut joined = [0; MAX_ESN_HEADER + 4];
    let (spi, rest) = header.split_at_checked(4).ok_or(CipherError::Layout)?;
    let total = header.len().checked_add(4).ok_or(CipherError::Layout)?;
    let joined = joined.get_mut(..total).ok_or(CipherError::Layout)?;
    for (octet, &value) in joined.iter_mut().zip(spi.iter().chain(&esn_high).chain(rest)) {
        *octet = value;
    }
    Ok(with(joined))
}

impl<'a> Frame<'a> {
    /// Calls `with` with all that stands in front of the ICV, in two parts, and returns its result beside the ICV: for
    /// modes that authenticate the text as they do the header (RFC 4543 3).
    pub(crate) fn authenticated<R>(
        self,
        shape: CipherShape,
        with: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Result<(R, &'a mut [u8]), CipherError> {
        let end = self.bytes.len().checked_sub(shape.icv_len).ok_or(CipherError::Layout)?;
        let (octets, icv) = self.bytes.split_at_mut_checked(end).ok_or(CipherError::Layout)?;
        let front = self.header_len.checked_add(shape.iv_len).ok_or(CipherError::Layout)?;
        let (front, text) = octets.split_at_checked(front).ok_or(CipherError::Layout)?;
        let result = match self.esn_high {
            None => with(&[], octets),
            high => with_associated_data(front, high.map(u32::to_be_bytes), |front| with(front, text))?,
        };
        Ok((result, icv))
    }
}

/// Why a packet could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The frame is too short for header, IV and ICV, or too long for the cipher.
    #[error("the frame does not have room for header, IV and ICV")]
    Layout,
    /// The text is no multiple of the cipher's block.
    #[error("the text is not a multiple of {block_len} octets")]
    Alignment {
        /// The block.
        block_len: usize,
    },
    /// The ICV is not right.
    #[error("the integrity check failed")]
    Forged,
}
