//! Vendor IDs (RFC 2408 3.16): octets by which an implementation names itself, or an extension it understands.
//!
//! Most are a hash of a text, some with a version after it. Nothing is negotiated by them: each side says what
//! it understands, and may use what both have said.

mod table;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::wire::Payload;

/// What a vendor ID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Vendor {
    /// NAT traversal, RFC 3947.
    NatTRfc3947,
    /// NAT traversal, draft-ietf-ipsec-nat-t-ike-03.
    NatTDraft03,
    /// NAT traversal, draft-ietf-ipsec-nat-t-ike-02, as most have hashed it: with a line feed at the end.
    NatTDraft02N,
    /// NAT traversal, draft-ietf-ipsec-nat-t-ike-02.
    NatTDraft02,
    /// Dead peer detection, RFC 3706.
    Dpd,
    /// Extended authentication, draft-ietf-ipsra-isakmp-xauth-06.
    Xauth,
    /// Cisco's Unity: split tunnels, banners and the like in mode config.
    Unity,
    /// Fragments of messages, as Microsoft says it.
    FragmentationMs,
    /// Fragments of messages, as Cisco says it, with four octets of capabilities.
    FragmentationCisco,
    /// An implementation, or an extension that is not used here, by name.
    Named(&'static str),
}

impl Vendor {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NatTRfc3947 => "NAT-T (RFC 3947)",
            Self::NatTDraft03 => "draft-ietf-ipsec-nat-t-ike-03",
            Self::NatTDraft02N => "draft-ietf-ipsec-nat-t-ike-02\\n",
            Self::NatTDraft02 => "draft-ietf-ipsec-nat-t-ike-02",
            Self::Dpd => "DPD (RFC 3706)",
            Self::Xauth => "XAUTH",
            Self::Unity => "Cisco Unity",
            Self::FragmentationMs => "FRAGMENTATION",
            Self::FragmentationCisco => "FRAGMENTATION (Cisco)",
            Self::Named(name) => name,
        }
    }

    /// The octets by which we say it, for what we can say.
    fn octets(self) -> Option<Vec<u8>> {
        let digits = match self {
            Self::NatTRfc3947 => "4a131c81070358455c5728f20e95452f",
            Self::NatTDraft03 => "7d9419a65310ca6f2c179d9215529d56",
            Self::NatTDraft02N => "90cb80913ebb696e086381b5ec427b1f",
            Self::NatTDraft02 => "cd60464335df21f87cfdb2fc68b6a448",
            // RFC 3706 5.1: the last two octets are the version, 1.0.
            Self::Dpd => "afcad71368a1f1c96b8696fc77570100",
            Self::Xauth => "09002689dfd6b712",
            Self::Unity => "12f5f28c457168a9702d9fe274cc0100",
            Self::FragmentationMs => "4048b7d56ebce88525e7de7f00d6c2d3",
            Self::FragmentationCisco => "4048b7d56ebce88525e7de7f00d6c2d380000000",
            Self::Named(_) => return None,
        };
        Some(table::octets(digits).collect())
    }

    fn payload(self) -> Option<Payload> {
        self.octets().map(Payload::VendorId)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the body of a vendor ID payload stands for, if that is known here.
///
/// ```
/// use ikebana_ikev1::vendor::{Vendor, recognise};
/// let body = [0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12];
/// assert_eq!(recognise(&body), Some(Vendor::Xauth));
/// assert_eq!(recognise(b"somebody new"), None);
/// ```
#[must_use]
pub fn recognise(body: &[u8]) -> Option<Vendor> {
    table::find(body)
}

/// What a peer has said it understands. What is not known here is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VendorSet(BTreeSet<Vendor>);

impl VendorSet {
    /// Takes in the body of a vendor ID payload.
    pub fn insert(&mut self, body: &[u8]) {
        self.0.extend(recognise(body));
    }

    /// Takes in what another message has said.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Whether it has said this.
    #[must_use]
    pub fn has(&self, vendor: Vendor) -> bool {
        self.0.contains(&vendor)
    }

    /// Whether it understands messages in fragments, in either way of saying so.
    #[must_use]
    pub fn fragments(&self) -> bool {
        self.has(Vendor::FragmentationCisco) || self.has(Vendor::FragmentationMs)
    }

    /// Everything it has said, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Vendor> + '_ {
        self.0.iter().copied()
    }
}

/// What we say beside NAT traversal and dead peer detection, which we always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) xauth: bool,
    pub(crate) unity: bool,
    pub(crate) fragmentation: bool,
}

/// The payloads of an initiator, which does not know its peer yet.
pub(crate) fn announce(what: Announcement) -> Vec<Payload> {
    let nat = [Vendor::NatTRfc3947, Vendor::NatTDraft03, Vendor::NatTDraft02N, Vendor::NatTDraft02];
    extensions(what, Vendor::FragmentationCisco)
        .chain(nat.map(Some))
        .flatten()
        .filter_map(Vendor::payload)
        .collect()
}

/// The payloads of a responder. RFC 3947 3.1: of NAT traversal it says only which one it takes.
pub(crate) fn announce_to(what: Announcement, peer: &VendorSet) -> Vec<Payload> {
    let nat = [Vendor::NatTRfc3947, Vendor::NatTDraft03, Vendor::NatTDraft02N, Vendor::NatTDraft02];
    let nat = nat.into_iter().find(|&vendor| peer.has(vendor));
    let what = Announcement { fragmentation: what.fragmentation && peer.fragments(), ..what };
    let fragmentation = if peer.has(Vendor::FragmentationCisco) {
        Vendor::FragmentationCisco
    } else {
        Vendor::FragmentationMs
    };
    extensions(what, fragmentation).chain([nat]).flatten().filter_map(Vendor::payload).collect()
}

fn extensions(what: Announcement, fragmentation: Vendor) -> impl Iterator<Item = Option<Vendor>> {
    [
        what.xauth.then_some(Vendor::Xauth),
        Some(Vendor::Dpd),
        what.fragmentation.then_some(fragmentation),
        what.unity.then_some(Vendor::Unity),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests;
