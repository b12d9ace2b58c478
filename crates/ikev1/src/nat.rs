//! NAT traversal as phase 1 negotiates it (RFC 3947, and draft-ietf-ipsec-nat-t-ike-02 and -03 before it).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ikebana_core::{IkeSpi, Path};
use ikebana_crypto::{CryptoProvider, digest};
use ikebana_ike::{Encapsulation, NatSituation};
use ikebana_proposals::PrfId;

use crate::context::Context;
use crate::keys::negotiated_digest;
use crate::vendor::{Vendor, VendorSet};
use crate::wire::{Payload, PayloadType};

/// Every NAT traversal that we know, the best first.
const KNOWN: [Vendor; 4] =
    [Vendor::NatTRfc3947, Vendor::NatTDraft03, Vendor::NatTDraft02N, Vendor::NatTDraft02];

/// Which NAT traversal two sides have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// RFC 3947.
    Standard,
    /// A draft, whose payloads and encapsulation modes have numbers for private use.
    Draft,
}

impl Method {
    /// The best one that the peer knows.
    pub(crate) fn best(peer: &VendorSet) -> Option<Self> {
        let best = KNOWN.into_iter().find(|&known| peer.has(known))?;
        Some(if best == Vendor::NatTRfc3947 { Self::Standard } else { Self::Draft })
    }

    pub(crate) const fn is_draft(self) -> bool {
        matches!(self, Self::Draft)
    }

    fn payload(self, hash: Vec<u8>) -> Payload {
        match self {
            Self::Standard => Payload::NatDetection(hash),
            Self::Draft => Payload::Unknown { kind: PayloadType::NAT_D_DRAFT, body: hash },
        }
    }
}

/// What NAT-D payloads are computed from, beside addresses.
#[derive(Clone, Copy)]
pub(crate) struct Detection {
    pub(crate) initiator: IkeSpi,
    pub(crate) responder: IkeSpi,
    /// The PRF whose hash was negotiated.
    pub(crate) prf: PrfId,
}

impl Detection {
    /// Our NAT-D payloads for a message that goes over `path`: first the peer's end, then ours (RFC 3947 3.2).
    /// Forcing encapsulation means to look translated.
    pub(crate) fn payloads(
        self,
        cx: &mut Context<'_>,
        method: Method,
        path: Path,
        encapsulation: Encapsulation,
    ) -> Vec<Payload> {
        let hashes = (self.hash(cx.provider, path.remote), self.hash(cx.provider, path.local));
        let (Some(remote), Some(mut local)) = hashes else { return Vec::new() };
        if encapsulation == Encapsulation::Force {
            cx.rng.fill_public(&mut local);
        }
        Vec::from([method.payload(remote), method.payload(local)])
    }

    /// What the peer's NAT-D payloads say about the path that their message came on.
    pub(crate) fn detect(
        self,
        provider: &CryptoProvider,
        path: Path,
        payloads: &[Vec<u8>],
    ) -> Option<NatSituation> {
        let (destination, sources) = payloads.split_first()?;
        if sources.is_empty() {
            return None;
        }
        let (to, from) = (self.hash(provider, path.local)?, self.hash(provider, path.remote)?);
        Some(NatSituation { local: *destination != to, remote: !sources.contains(&from) })
    }

    /// HASH(CKY-I | CKY-R | IP | Port), with the negotiated hash.
    fn hash(self, provider: &CryptoProvider, socket: SocketAddr) -> Option<Vec<u8>> {
        let function = negotiated_digest(provider, self.prf).ok()?;
        let port = socket.port().to_be_bytes();
        let cookies = (&self.initiator.0, &self.responder.0);
        Some(match socket.ip() {
            IpAddr::V4(v4) => digest(function, &[cookies.0, cookies.1, &v4.octets(), &port]),
            IpAddr::V6(v6) => digest(function, &[cookies.0, cookies.1, &v6.octets(), &port]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_comes_before_the_drafts_which_have_numbers_of_their_own() {
        let mut peer = VendorSet::default();
        assert_eq!(Method::best(&peer), None);
        let draft_02 =
            [0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5, 0xec, 0x42, 0x7b, 0x1f];
        peer.insert(&draft_02);
        let draft = Method::best(&peer).unwrap();
        assert!(draft.is_draft());
        assert_eq!(draft.payload(alloc::vec![7]).kind(), PayloadType::NAT_D_DRAFT);
        let rfc_3947 =
            [0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f];
        peer.insert(&rfc_3947);
        let standard = Method::best(&peer).unwrap();
        assert!(!standard.is_draft());
        assert_eq!(standard.payload(alloc::vec![7]).kind(), PayloadType::NAT_D);
    }
}
