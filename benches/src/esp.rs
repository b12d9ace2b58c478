//! SAs and packets for the ESP benchmarks.

use ikebana_core::{EspSpi, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{EspParams, InboundSa, OutboundSa};
use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal, ProtocolId};
use ikebana_testkit::SeededRng;

/// The suites that peers really choose.
pub const SUITES: [&str; 5] =
    ["aes128-sha1", "aes256-sha256", "aes128gcm16", "aes256gcm16", "chacha20poly1305"];

/// Payload sizes in octets: a small packet, the smallest reassembly size, a full one in a tunnel.
pub const SIZES: [usize; 3] = [64, 576, 1408];

/// Packets in a batch.
pub const BATCH: usize = 32;

/// Octets of a buffer that has room for every suite around every size.
pub const BUFFER: usize = 2048;

/// Where the payload starts in a buffer.
pub const START: usize = 64;

/// A payload of `size` octets in a buffer.
#[must_use]
pub fn buffer(size: usize) -> [u8; BUFFER] {
    let mut bytes = [0; BUFFER];
    for (octet, value) in bytes.iter_mut().skip(START).take(size).zip((0..=u8::MAX).cycle()) {
        *octet = value;
    }
    bytes
}

/// Both directions of a tunnel. The receiver has no replay window, so that it opens one packet again and again;
/// what the window costs is a question of its own.
///
/// # Panics
/// If the keywords are no suite that is implemented.
#[must_use]
pub fn pair(keywords: &str) -> (OutboundSa, InboundSa) {
    let provider = CryptoProvider::fastest();
    let proposal = Proposal::esp(keywords).expect("keywords of a suite");
    let suite = ChildSuite {
        protocol: ProtocolId::ESP,
        encryption: proposal.encryption.first().copied(),
        integrity: proposal.integrity.first().copied(),
        key_exchange: None,
        additional: [KeyExchangeId::NONE; 7],
        esn: false,
    };
    let needed = provider.key_lengths(suite.encryption, suite.integrity).expect("an implemented suite");
    let params = || EspParams {
        replay_window: 0,
        ..EspParams::tunnel(
            EspSpi::MIN,
            suite,
            [Secret::new(vec![0x11; needed.encryption]), Secret::new(vec![0x22; needed.integrity])],
            [192, 0, 2, 1].into(),
            [198, 51, 100, 1].into(),
        )
    };
    let sender = OutboundSa::new(params(), &provider, &mut SeededRng::new(1)).expect("an SA");
    (sender, InboundSa::new(params(), &provider).expect("an SA"))
}
