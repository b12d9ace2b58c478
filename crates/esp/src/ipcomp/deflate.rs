//! Compressing.

use alloc::boxed::Box;
use alloc::vec;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

use super::{Header, IPCOMP_HEADER, Ipcomp, MAX_LENGTH};
use crate::buffer::PacketBuf;
use crate::error::NextHeader;
use crate::ip;

/// zlib's number for DEFLATE without zlib's header and checksum, with the whole window.
const RAW: i32 = -15;
/// zlib's number for its usual strategy.
const USUAL: i32 = 0;

/// So many payloads in a row that did not get shorter make us stop trying for a while.
const FAILURES: u32 = 3;
/// A while is at most so many payloads.
const MAX_PAUSE: u32 = 64;

/// What became of the payloads that an outbound SA could have compressed. Each lands in exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionStats {
    /// Sent compressed.
    pub compressed: u64,
    /// Octets of those before.
    pub octets_before: u64,
    /// Octets of those afterwards, IPComp headers included.
    pub octets_after: u64,
    /// Sent as they were, since they are shorter than [`Ipcomp::threshold`].
    pub below_threshold: u64,
    /// Sent as they were, since they would not have become shorter (RFC 3173 2.2).
    pub incompressible: u64,
    /// Sent as they were, since those before them had not become shorter (RFC 3173 2.2).
    pub not_tried: u64,
}

/// Compresses the payloads of an outbound SA.
pub(crate) struct Compressor {
    settings: Ipcomp,
    state: Box<CompressorOxide>,
    /// Where a payload is compressed to, before it is known whether it gets shorter.
    out: Box<[u8]>,
    pause: Pause,
    stats: CompressionStats,
}

impl Compressor {
    pub(crate) fn new(settings: Ipcomp) -> Self {
        let level = i32::from(settings.level.clamp(1, 9));
        let flags = create_comp_flags_from_zip_params(level, RAW, USUAL);
        Self {
            settings,
            state: Box::new(CompressorOxide::new(flags)),
            out: vec![0; MAX_LENGTH].into_boxed_slice(),
            pause: Pause::default(),
            stats: CompressionStats::default(),
        }
    }

    pub(crate) const fn stats(&self) -> &CompressionStats {
        &self.stats
    }

    /// Compresses a payload if it gets shorter by that, and says what it is then.
    pub(crate) fn compress(&mut self, packet: &mut PacketBuf<'_>, next: NextHeader) -> NextHeader {
        let counter = if packet.len() < usize::from(self.settings.threshold) {
            &mut self.stats.below_threshold
        } else if !self.pause.is_over() {
            &mut self.stats.not_tried
        } else if let Some(data) = self.try_compress(packet.payload()) {
            let before = packet.len();
            let header = Header { next, cpi: self.settings.cpi.get() };
            let data = self.out.get(..data).unwrap_or_default();
            let octets = packet.payload_mut();
            // Shorter than the payload was, so there is room for both.
            ip::put(octets, 0, &header.octets());
            ip::put(octets, IPCOMP_HEADER, data);
            packet.truncate(IPCOMP_HEADER.saturating_add(data.len()));
            self.pause.succeeded();
            add(&mut self.stats.octets_before, before);
            add(&mut self.stats.octets_after, packet.len());
            add(&mut self.stats.compressed, 1);
            return NextHeader::IPCOMP;
        } else {
            self.pause.failed();
            &mut self.stats.incompressible
        };
        add(counter, 1);
        next
    }

    /// Compresses `payload` to `out`, if with a header it takes less octets than before, and says how many it takes.
    fn try_compress(&mut self, payload: &[u8]) -> Option<usize> {
        // RFC 3173 2.2: not smaller than the original is as bad as larger.
        let limit = payload.len().checked_sub(IPCOMP_HEADER)?.checked_sub(1)?;
        let out = self.out.get_mut(..limit)?;
        self.state.reset();
        let (status, taken, written) = compress(&mut self.state, payload, out, TDEFLFlush::Finish);
        (status == TDEFLStatus::Done && taken == payload.len()).then_some(written)
    }
}

/// When not to try: after some payloads in a row that did not get shorter, a pause follows, and a longer one if the
/// first payload after it does not either (RFC 3173 2.2: "the adaptive algorithm").
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    failures: u32,
    left: u32,
}

impl Pause {
    /// Whether to try this payload.
    fn is_over(&mut self) -> bool {
        let over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        over
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(FAILURES) {
            // 4, 8, 16, 32, 64, 64, ...
            self.left = 4_u32.checked_shl(more.min(8)).unwrap_or(MAX_PAUSE).min(MAX_PAUSE);
        }
    }
}

fn add(counter: &mut u64, count: usize) {
    *counter = counter.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
}
