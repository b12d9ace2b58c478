//! Vendor IDs by name: how IKEv1 says what it understands beyond its RFCs.

/// What a vendor ID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Vendor {
    /// Dead peer detection, RFC 3706.
    Dpd,
    /// NAT traversal, RFC 3947.
    NatTRfc3947,
    /// draft-ietf-ipsec-nat-t-ike-03.
    NatTDraft03,
    /// draft-ietf-ipsec-nat-t-ike-02 as most have it, with a line end in what is hashed.
    NatTDraft02N,
    /// draft-ietf-ipsec-nat-t-ike-02.
    NatTDraft02,
    /// Extended authentication, draft-beaulieu-ike-xauth.
    Xauth,
    /// Cisco's client, and whoever does as it does.
    Unity,
    /// Messages in fragments.
    Fragmentation,
}

const KNOWN: [(Vendor, &[u8]); 8] = [
    // The last two octets are the version, 1.0.
    (
        Vendor::Dpd,
        &[0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 1, 0],
    ),
    (
        Vendor::NatTRfc3947,
        &[0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f],
    ),
    (
        Vendor::NatTDraft03,
        &[0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f, 0x2c, 0x17, 0x9d, 0x92, 0x15, 0x52, 0x9d, 0x56],
    ),
    (
        Vendor::NatTDraft02N,
        &[0x90, 0xcb, 0x80, 0x91, 0x3e, 0xbb, 0x69, 0x6e, 0x08, 0x63, 0x81, 0xb5, 0xec, 0x42, 0x7b, 0x1f],
    ),
    (
        Vendor::NatTDraft02,
        &[0xcd, 0x60, 0x46, 0x43, 0x35, 0xdf, 0x21, 0xf8, 0x7c, 0xfd, 0xb2, 0xfc, 0x68, 0xb6, 0xa4, 0x48],
    ),
    (Vendor::Xauth, &[0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12]),
    (
        Vendor::Unity,
        &[0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 1, 0],
    ),
    (
        Vendor::Fragmentation,
        &[0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3],
    ),
];

impl Vendor {
    /// The ID as we send it.
    pub(crate) fn octets(self) -> &'static [u8] {
        KNOWN.iter().find(|(vendor, _)| *vendor == self).map_or(&[], |(_, octets)| octets)
    }

    /// What an ID stands for, if it is known. Some have capabilities or a version behind them.
    pub(crate) fn recognise(id: &[u8]) -> Option<Self> {
        let stem = |vendor: Self, octets: &'static [u8]| match vendor {
            // Any minor version.
            Self::Dpd | Self::Unity => octets.split_last_chunk::<2>().map_or(octets, |(stem, _)| stem),
            _ => octets,
        };
        KNOWN.iter().find(|(vendor, octets)| id.starts_with(stem(*vendor, octets))).map(|(vendor, _)| *vendor)
    }
}

/// What somebody says that they understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VendorSet(u32);

impl VendorSet {
    /// Adds what a vendor ID stands for.
    pub(crate) fn insert(&mut self, id: &[u8]) {
        if let Some(vendor) = Vendor::recognise(id) {
            self.0 |= 1 << vendor as u8;
        }
    }

    pub(crate) const fn has(&self, vendor: Vendor) -> bool {
        self.0 & (1 << vendor as u8) != 0
    }

    /// Adds everything in `other`.
    pub(crate) const fn extend(&mut self, other: &Self) {
        self.0 |= other.0;
    }

    /// Whether messages may be sent in fragments.
    pub(crate) const fn fragments(&self) -> bool {
        self.has(Vendor::Fragmentation)
    }
}
