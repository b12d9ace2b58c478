//! The vendor IDs that are known here.
//!
//! Most are MD5 hashes of a text, which often is the name.

use super::Vendor;

/// What may follow the octets of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// A version, or more about it.
    Anything,
}

/// Octets in hexadecimal, and what they stand for. Where several entries fit, the first one counts.
const KNOWN: &[(&str, Rest, Vendor)] = &[
    ("4a131c81070358455c5728f20e95452f", Rest::Nothing, Vendor::NatTRfc3947),
    ("7d9419a65310ca6f2c179d9215529d56", Rest::Nothing, Vendor::NatTDraft03),
    ("90cb80913ebb696e086381b5ec427b1f", Rest::Nothing, Vendor::NatTDraft02N),
    ("cd60464335df21f87cfdb2fc68b6a448", Rest::Nothing, Vendor::NatTDraft02),
    ("4485152d18b6bbcd0be8a8469579ddcc", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-00")),
    ("16f6ca16e4a4066d83821a0f0aeaa862", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-01")),
    ("9909b64eed937c6573de52ace952fa6b", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-04")),
    ("80d0bb3def54565ee84645d4c85ce3ee", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-05")),
    ("4d1e0e136deafa34c4f3ea9f02ec7285", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-06")),
    ("439b59f8ba676c4c7737ae22eab8f582", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-07")),
    ("8f8d83826d246b6fc7a8a6a428c11de8", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-08")),
    ("4df37928e9fc4fd1b3262170d515c662", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike")),
    ("42ea5b6f898d9773a575df26e7dd19e1", Rest::Nothing, Vendor::Named("draft-ietf-ipsec-nat-t-ike-09")),
    ("c40fee00d5d39ddb1fc762e09b7cfea7", Rest::Nothing, Vendor::Named("Testing NAT-T RFC")),
    ("810fa565f8ab14369105d706fbd57279", Rest::Nothing, Vendor::Named("NAT-T (RFC XXXX)")),
    (
        "27bab5dc01ea0760ea4e3190ac27c0d0",
        Rest::Nothing,
        Vendor::Named("draft-stenberg-ipsec-nat-traversal-01"),
    ),
    (
        "6105c422e76847e43f9684801292aecd",
        Rest::Nothing,
        Vendor::Named("draft-stenberg-ipsec-nat-traversal-02"),
    ),
    ("6a7434c19d7e36348090a02334c9c805", Rest::Nothing, Vendor::Named("draft-huttunen-ipsec-esp-in-udp-00")),
    ("50760f624c63e5c53eea386c685ca083", Rest::Nothing, Vendor::Named("ESPThruNAT")),
    ("afcad71368a1f1c96b8696fc7757", Rest::Anything, Vendor::Dpd),
    ("09002689dfd6b712", Rest::Nothing, Vendor::Xauth),
    ("12f5f28c457168a9702d9fe274cc", Rest::Anything, Vendor::Unity),
    ("4048b7d56ebce88525e7de7f00d6c2d3", Rest::Nothing, Vendor::FragmentationMs),
    ("4048b7d56ebce88525e7de7f00d6c2d3", Rest::Anything, Vendor::FragmentationCisco),
    ("882fe56d6fd20dbc2251613b2ebe5beb", Rest::Nothing, Vendor::Named("strongSwan")),
    ("4f5357", Rest::Anything, Vendor::Named("Openswan")),
    ("4f454e", Rest::Anything, Vendor::Named("Libreswan or Openswan")),
    ("4f45", Rest::Anything, Vendor::Named("FreeS/WAN or Openswan")),
    ("7003cbc1097dbe9c2600ba6983bc8b35", Rest::Nothing, Vendor::Named("KAME/racoon")),
    ("4f70656e504750", Rest::Anything, Vendor::Named("OpenPGP")),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000002",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 2000)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000003",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows XP SP1)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000004",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 2003 or XP SP2)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000005",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows Vista)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000006",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 2008)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000007",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 7)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000008",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 2008 R2)"),
    ),
    (
        "1e2b516905991c7d7c96fcbfb587e46100000009",
        Rest::Nothing,
        Vendor::Named("MS NT5 ISAKMPOAKLEY (Windows 8 or later)"),
    ),
    ("1e2b516905991c7d7c96fcbfb587e461", Rest::Anything, Vendor::Named("MS NT5 ISAKMPOAKLEY")),
    ("621b04bb09882ac1e15935fefa24aeee", Rest::Nothing, Vendor::Named("GSSAPI")),
    (
        "ad2c0dd0b9c32083ccba25b8861ec455",
        Rest::Nothing,
        Vendor::Named("A GSS-API Authentication Method for IKE"),
    ),
    (
        "b46d8914f3aaa3f2fedeb7c7db2943ca",
        Rest::Nothing,
        Vendor::Named("A GSS-API Authentication Method for IKE\\n"),
    ),
    ("26244d38eddb61b3172a36e3d0cfb819", Rest::Nothing, Vendor::Named("Vid-Initial-Contact")),
    ("e3a5966a76379fe707228231e5ce8652", Rest::Nothing, Vendor::Named("IKE CGA version 1")),
    ("214ca4faffa7f32d6748e5303395ae83", Rest::Nothing, Vendor::Named("MS-MamieExists")),
    ("8aa394cf8a5577dc3110c113b027a4f2", Rest::Nothing, Vendor::Named("Microsoft Xbox One 2013")),
    ("fb1de3cdf341b7ea16b7e5be0855f120", Rest::Nothing, Vendor::Named("MS-Negotiation Discovery Capable")),
    ("72872b95fcda2eb708efe322119b4971", Rest::Nothing, Vendor::Named("NLBS_PRESENT")),
    ("1f07f70eaa6514d3b0fa96542a", Rest::Anything, Vendor::Named("Cisco VPN Concentrator")),
    ("f6f7efc7f5aeb8cb158cb9d094ba69e7", Rest::Nothing, Vendor::Named("Cisco VPN 3000 client")),
    ("bdb41038a7ec5e5534dd004d0f91f927", Rest::Nothing, Vendor::Named("Cisco IOS")),
    ("434953434f2d44454c4554452d524541534f4e", Rest::Anything, Vendor::Named("Cisco Delete Reason")),
    ("464c455856504e2d535550504f52544544", Rest::Anything, Vendor::Named("Cisco FlexVPN Supported")),
    ("434953434f28434f505952494748542926", Rest::Anything, Vendor::Named("Cisco Copyright")),
    ("f4ed19e0c114eb516faaac0ee37daf2807b4381f", Rest::Anything, Vendor::Named("Check Point")),
    ("1d6e178f6c2c0be284985465450fe9d4", Rest::Anything, Vendor::Named("FortiGate")),
    ("5b362bc820f6", Rest::Anything, Vendor::Named("SonicWall")),
    ("5b362bc820f7", Rest::Anything, Vendor::Named("SonicWall")),
    ("404bf439522ca3f6", Rest::Anything, Vendor::Named("SonicWall")),
    ("da8e9378", Rest::Anything, Vendor::Named("SonicWall, SafeNet or WatchGuard")),
    ("47bbe7c993f1fc13b4e6d0db565c68e5", Rest::Anything, Vendor::Named("SafeNet SoftRemote")),
    ("299ee8289f40a8973bc78687e2e7226b532c3b76", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("3a15e1f3cf2a63582e3ac82d1c64cbe3b6d779e7", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("47d2b126bfcd83489760e2cf8c5d4d5a03497c15", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("4a4340b543e02b84c88a8b96a8af9ebe77d9accc", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("64405f46f03b7660a23be116a1975058e69e8387", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("699369228741c6d4ca094c93e242c9de19e7b7c6", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("8c0dc6cf62a0ef1b5c6eabd1b67ba69866adf16a", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("92d27a9ecb31d99246986d3453d0c3d57a222a61", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("9b096d9ac3275a7d6fe8b91c583111b09efed1a0", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("bf03746108d746c904f1f3547de24f78479fed12", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("c2e80500f4cc5fbf5daaeed3bb59abaeee56c652", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("c8660a62b03b1b6130bf781608d32a6a8d0fb89f", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("f885da40b1e7a9abd17655ec5bbec0f21f0ed52e", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("2a2bcac19b8e91b426107807e02e7249569d6fd3", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("166f932d55eb64d8e4df4fd37e2313f0d0fd8451", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("a35bfd05ca1ac0b3d2f24e9e82bfcbff9c9e52b5", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("9436e8d67174ef9aed068d5ad5213f187a3f8ba6", Rest::Anything, Vendor::Named("Juniper NetScreen")),
    ("4865617274426561745f4e6f74696679", Rest::Nothing, Vendor::Named("HeartBeat_Notify")),
    ("486561727442656174204e6f74696679", Rest::Anything, Vendor::Named("HeartBeat Notify")),
    ("8db7a41811221660", Rest::Anything, Vendor::Named("draft-ietf-ipsec-heartbeats-00")),
    ("325df29a2319f2dd", Rest::Anything, Vendor::Named("draft-krywaniuk-ipsec-antireplay-00")),
    ("424e4553", Rest::Anything, Vendor::Named("Nortel Contivity")),
    ("b858d1addd08c1e8adafea150608aa4497aa6cc8", Rest::Anything, Vendor::Named("ZyXEL ZyWALL router")),
    ("f758f22668750f03b08df6ebe1d0", Rest::Anything, Vendor::Named("ZyXEL ZyWALL USG")),
    ("625027749d5ab97f5616c1602765cf480a3b7d0b", Rest::Anything, Vendor::Named("ZyXEL ZyWALL")),
    ("c573b056d7faca36c2fba28374127cbf", Rest::Nothing, Vendor::Named("StoneGate")),
    ("baeb239037e17787d730eed9d95d48aa", Rest::Nothing, Vendor::Named("StoneGate")),
    ("526170746f7220506f77657256706e20536572766572", Rest::Anything, Vendor::Named("Symantec Raptor")),
    ("54494d4553544550", Rest::Anything, Vendor::Named("Timestep")),
    ("dbfb81eb5760b0788562067da102d755", Rest::Nothing, Vendor::Named("Netgear")),
    ("4485152d18b6bbcc0be8a8469579ddcc", Rest::Nothing, Vendor::Named("Avaya")),
    ("4d6163204f53582031302e78", Rest::Anything, Vendor::Named("Mac OS X 10.x")),
    ("ba290499c24e84e53a1d83a05e5f00c9", Rest::Nothing, Vendor::Named("IKE Challenge-Response")),
    ("0d33611a5d521b5e3c9c03d2fc107e12", Rest::Nothing, Vendor::Named("IKE Challenge-Response-2")),
    ("ad3251042cdc4652c9e0734ce5de4c7d", Rest::Nothing, Vendor::Named("IKE Challenge-Response Revised")),
    ("13f11823f966fa91900f024ba66a86ba", Rest::Nothing, Vendor::Named("IKE Challenge-Response Revised-2")),
    ("fbf47614984031fa8e3bb6198089b223", Rest::Nothing, Vendor::Named("SSH IPSEC Express 1.1.0")),
    ("1952dc91ac20f646fb01cf42a33aee30", Rest::Nothing, Vendor::Named("SSH IPSEC Express 1.1.1")),
    ("e8bffa643e5c8f2cd10fda7370b6ebe5", Rest::Nothing, Vendor::Named("SSH IPSEC Express 1.1.2")),
    ("c1111b2dee8cbc3d620573ec57aab9cb", Rest::Nothing, Vendor::Named("SSH IPSEC Express 1.2.1")),
    ("09ec27bfbc09c75823cfecbffe565a2e", Rest::Nothing, Vendor::Named("SSH IPSEC Express 1.2.2")),
    ("7f21a596e4e318f0b2f4944c2384cb84", Rest::Nothing, Vendor::Named("SSH IPSEC Express 2.0.0")),
    ("2836d1fd2807bc9e5ae30786320451ec", Rest::Nothing, Vendor::Named("SSH IPSEC Express 2.1.0")),
    ("a68de756a9c5229bae66498040951ad5", Rest::Nothing, Vendor::Named("SSH IPSEC Express 2.1.1")),
    ("3f2372867e237c1cd8250a75559cae20", Rest::Nothing, Vendor::Named("SSH IPSEC Express 2.1.2")),
    ("0e58d5774df602007d0b02443660f7eb", Rest::Nothing, Vendor::Named("SSH IPSEC Express 3.0.0")),
    ("f5ce31ebc210f44350cf71265b57380f", Rest::Nothing, Vendor::Named("SSH IPSEC Express 3.0.1")),
    ("f64260af2e2742daddd56987068a99a0", Rest::Nothing, Vendor::Named("SSH IPSEC Express 4.0.0")),
    ("7a54d3bdb3b1e6d923892064be2d981c", Rest::Nothing, Vendor::Named("SSH IPSEC Express 4.0.1")),
    ("9aa1f3b43472a45d5f506aeb260cf214", Rest::Nothing, Vendor::Named("SSH IPSEC Express 4.1.0")),
    ("89f7b760d86b012acf263382394d962f", Rest::Nothing, Vendor::Named("SSH IPSEC Express 4.1.1")),
    ("6880c7d026099114e486c55430e7abee", Rest::Nothing, Vendor::Named("SSH IPSEC Express 4.2.0")),
    ("2b2dad97c4d140930053287f996850b0", Rest::Nothing, Vendor::Named("SSH IPSEC Express 5.0.0")),
    ("45e17f3abe93944cb202910c59ef806b", Rest::Nothing, Vendor::Named("SSH IPSEC Express 5.1.0")),
    ("5925859f7377ed7816d2fb81c01fa551", Rest::Nothing, Vendor::Named("SSH IPSEC Express 5.1.1")),
];

pub(super) fn find(body: &[u8]) -> Option<Vendor> {
    let fits = |(digits, rest, _): &&(&'static str, Rest, Vendor)| {
        let mut body = body.iter().copied();
        octets(digits).all(|octet| body.next() == Some(octet))
            && (*rest == Rest::Anything || body.next().is_none())
    };
    KNOWN.iter().find(fits).map(|(_, _, vendor)| *vendor)
}

/// The octets that hexadecimal digits stand for.
pub(super) fn octets(digits: &str) -> impl Iterator<Item = u8> + '_ {
    digits.as_bytes().chunks_exact(2).map(|pair| {
        pair.iter().fold(0, |value: u8, digit| {
            let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            (value << 4) | digit.unwrap_or(0)
        })
    })
}

#[cfg(test)]
pub(super) fn texts() -> impl Iterator<Item = (&'static str, bool, Vendor)> {
    KNOWN.iter().map(|(digits, rest, vendor)| (*digits, *rest == Rest::Anything, *vendor))
}
