//! What is sealed and opened: the packets, the keys, and what a right result looks like.

use ikebana_core::{EspSpi, Secret, SecureRandom};
use ikebana_crypto::{CipherKeys, CipherShape, CryptoProvider, Frame, KeyLengths};
use ikebana_esp::{EspParams, InboundSa, NextHeader, OutboundSa, PacketBuf};
use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal, ProtocolId};

/// Packets that every measured round works on, in batches of this size or smaller ones.
pub(crate) const ROUND: usize = 32;

/// Octets of SPI and sequence number.
pub(crate) const ESP_HEADER: usize = 8;

/// Where the payload starts in a packet's buffer.
const START: usize = 64;

/// A suite, by the keywords that choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Aes128Sha1,
    Aes256Sha256,
    Aes128Sha512,
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Suite {
    pub(crate) const ALL: [Self; 6] = [
        Self::Aes128Sha1,
        Self::Aes256Sha256,
        Self::Aes128Sha512,
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
    ];

    pub(crate) const fn keywords(self) -> &'static str {
        match self {
            Self::Aes128Sha1 => "aes128-sha1",
            Self::Aes256Sha256 => "aes256-sha256",
            Self::Aes128Sha512 => "aes128-sha512",
            Self::Aes128Gcm => "aes128gcm16",
            Self::Aes256Gcm => "aes256gcm16",
            Self::ChaCha20Poly1305 => "chacha20poly1305",
        }
    }

    fn child_suite(self) -> ChildSuite {
        let proposal = Proposal::esp(self.keywords()).expect("keywords of a suite");
        ChildSuite {
            protocol: ProtocolId::ESP,
            encryption: proposal.encryption.first().copied(),
            integrity: proposal.integrity.first().copied(),
            key_exchange: None,
            additional: [KeyExchangeId::NONE; 7],
            esn: false,
        }
    }

    fn key_lengths(self) -> KeyLengths {
        let suite = self.child_suite();
        let provider = CryptoProvider::rust_crypto();
        provider.key_lengths(suite.encryption, suite.integrity).expect("an implemented suite")
    }

    /// The keys of SA number `sa`: for encryption, with the salt, and for integrity.
    pub(crate) fn keys(self, sa: usize) -> [Vec<u8>; 2] {
        let KeyLengths { encryption, integrity } = self.key_lengths();
        let key = |first: usize, length: usize| (0..length).map(|at| (first + sa + 7 * at) as u8).collect();
        [key(0x11, encryption), key(0x77, integrity)]
    }

    /// The bare cipher of SA number `sa`, from `provider`.
    pub(crate) fn cipher(
        self,
        sa: usize,
        provider: &CryptoProvider,
    ) -> Box<dyn ikebana_crypto::PacketCipher> {
        let suite = self.child_suite();
        let [encryption, integrity] = self.keys(sa);
        let keys = CipherKeys { encryption: &encryption, integrity: &integrity };
        let encryption = suite.encryption.expect("a suite that encrypts");
        provider.packet_cipher(encryption, suite.integrity, &keys).expect("an implemented suite")
    }

    /// Both ends of SA number `sa`: a tunnel with a replay window of 1024 packets.
    pub(crate) fn pair(self, sa: usize, provider: &CryptoProvider) -> (OutboundSa, InboundSa) {
        let spi = EspSpi::new(0x1000 + u32::try_from(sa).expect("a small number")).expect("an SPI");
        let params = || {
            let keys = self.keys(sa).map(Secret::new);
            EspParams::tunnel(spi, self.child_suite(), keys, [192, 0, 2, 1].into(), [198, 51, 100, 1].into())
        };
        let sender = OutboundSa::new(params(), provider, &mut Fixed).expect("an SA");
        (sender, InboundSa::new(params(), provider).expect("an SA"))
    }
}

/// Where the key for the IVs comes from: nobody is protected here.
struct Fixed;

impl SecureRandom for Fixed {
    fn fill_public(&mut self, out: &mut [u8]) {
        out.fill(4);
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        out.fill(4);
    }
}

/// The sizes of a round's payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    All(usize),
    /// 19 of 64 octets, 10 of 576 and 3 of 1488, in random order.
    Mix,
}

impl Sizes {
    pub(crate) fn payloads(self) -> [usize; ROUND] {
        match self {
            Self::All(size) => [size; ROUND],
            Self::Mix => {
                let mut sizes = [64; ROUND];
                sizes[19..29].fill(576);
                sizes[29..].fill(1488);
                // Any order without a pattern does, as long as every run has the same.
                let mut state = 0x2545_f491_4f6c_dd1d_u64;
                for last in (1..ROUND).rev() {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    sizes.swap(last, (state % (last as u64 + 1)) as usize);
                }
                sizes
            }
        }
    }
}

/// A round of packets under a suite.
pub(crate) struct Workload {
    pub(crate) suite: Suite,
    pub(crate) sizes: Sizes,
    /// Whether each packet has an SA of its own; otherwise all of them have the same.
    pub(crate) many_sas: bool,
    pub(crate) shape: CipherShape,
    /// Header, IV, padded text, and room for the ICV.
    pub(crate) plain: Vec<Vec<u8>>,
    /// The same, sealed by the portable provider.
    pub(crate) sealed: Vec<Vec<u8>>,
}

impl Workload {
    pub(crate) fn new(suite: Suite, sizes: Sizes, many_sas: bool) -> Self {
        let provider = CryptoProvider::rust_crypto();
        let shape = suite.cipher(0, &provider).shape();
        let mut workload = Self { suite, sizes, many_sas, shape, plain: vec![], sealed: vec![] };
        let mut senders: Vec<_> = workload.sas().map(|sa| suite.pair(sa, &provider).0).collect();
        let ciphers: Vec<_> = workload.sas().map(|sa| suite.cipher(sa, &provider)).collect();
        let mut packets = workload.packets();
        for (index, (buffer, payload)) in packets.iter_mut().enumerate() {
            for (octet, value) in buffer[payload.clone()].iter_mut().zip(index..) {
                *octet = value as u8;
            }
            let sa = workload.sa_of(index);
            let mut packet = PacketBuf::new(buffer, payload).expect("a packet in its buffer");
            senders[sa].seal(&mut packet, NextHeader::IPV4).expect("room and numbers");
            let mut frame = packet.payload().to_vec();
            workload.sealed.push(frame.clone());
            let opened =
                ciphers[sa].open(Frame { bytes: &mut frame, header_len: ESP_HEADER, esn_high: None });
            opened.expect("an authentic packet");
            workload.plain.push(frame);
        }
        workload
    }

    /// Octets of payload in a round.
    pub(crate) fn octets(&self) -> usize {
        self.sizes.payloads().iter().sum()
    }

    /// The numbers of the SAs.
    pub(crate) fn sas(&self) -> std::ops::Range<usize> {
        0..if self.many_sas { ROUND } else { 1 }
    }

    /// The SA of a packet.
    pub(crate) fn sa_of(&self, packet: usize) -> usize {
        if self.many_sas { packet } else { 0 }
    }

    /// A round of buffers, with the payloads' places.
    pub(crate) fn packets(&self) -> Packets {
        Packets::new(self.shape, &self.sizes.payloads())
    }
}

/// A round of packets in one piece of memory, laid out the same for everybody who is measured.
pub(crate) struct Packets {
    memory: Vec<u8>,
    /// Octets in front that bring the first buffer to a cache line.
    skip: usize,
    stride: usize,
    payloads: Vec<usize>,
    shape: CipherShape,
}

const CACHE_LINE: usize = 64;

impl Packets {
    fn new(shape: CipherShape, payloads: &[usize]) -> Self {
        let longest = payloads.iter().copied().max().unwrap_or(0);
        let stride = START + text_len(shape, longest) + shape.icv_len;
        let stride = stride.next_multiple_of(CACHE_LINE);
        let memory = vec![0; stride * payloads.len() + CACHE_LINE];
        let skip = memory.as_ptr().align_offset(CACHE_LINE);
        Self { memory, skip, stride, payloads: payloads.to_vec(), shape }
    }

    /// Every buffer, with the place of the payload.
    pub(crate) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&mut [u8], std::ops::Range<usize>)> {
        let all = self.memory.get_mut(self.skip..).unwrap_or_default();
        let places = self.payloads.iter().map(|&payload| START..START + payload);
        all.chunks_exact_mut(self.stride).zip(places)
    }

    /// Every frame: header, IV, text and ICV.
    pub(crate) fn frames_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [u8]> {
        let shape = self.shape;
        self.iter_mut().map(move |(buffer, payload)| &mut buffer[frame_of(shape, payload)])
    }

    /// Every buffer, with the place of the frame.
    pub(crate) fn sealed_mut(
        &mut self,
    ) -> impl ExactSizeIterator<Item = (&mut [u8], std::ops::Range<usize>)> {
        let shape = self.shape;
        self.iter_mut().map(move |(buffer, payload)| (buffer, frame_of(shape, payload)))
    }

    pub(crate) fn load(&mut self, frames: &[Vec<u8>]) {
        for (frame, from) in self.frames_mut().zip(frames) {
            frame.copy_from_slice(from);
        }
    }
}

/// Where the frame around a payload is.
fn frame_of(shape: CipherShape, payload: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let front = ESP_HEADER + shape.iv_len;
    let back = text_len(shape, payload.len()) + shape.icv_len;
    payload.start - front..payload.start + back
}

/// Octets of payload, padding, pad length and next header (RFC 4303 2.4).
fn text_len(shape: CipherShape, payload: usize) -> usize {
    (payload + 2).next_multiple_of(shape.block_len.max(4))
}
