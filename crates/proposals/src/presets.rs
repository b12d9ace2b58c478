//! Proposals that well-known peers accept, under names for a configuration file.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::proposal::Proposal;

/// A named set of proposals.
///
/// ```
/// use ikebana_proposals::Preset;
/// let preset: Preset = "aws".parse()?;
/// assert_eq!(preset.ike()[0].to_string(), "aes256gcm16-prfsha384-ecp384");
/// # Ok::<(), ikebana_proposals::presets::UnknownPreset>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// AWS Site-to-Site VPN. One strong suite and no other: the AWS side takes the weakest it finds in an
    /// offer, whatever the order.
    Aws,
    /// AWS Site-to-Site VPN with the weakest algorithms it allows, as its generated configuration files
    /// have them.
    AwsMinimum,
    /// Azure VPN Gateway, with a custom policy or with the default one, which has 1024-bit MODP and no
    /// perfect forward secrecy.
    Azure,
    /// Google Cloud VPN. One cipher, because either side may initiate and a change of cipher changes the MTU.
    Gcp,
    /// Combined-mode ciphers and elliptic curves, extended sequence numbers where the peer has them.
    Modern,
}

/// No preset has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown preset; there are aws, aws-minimum, azure, gcp and modern")]
pub struct UnknownPreset;

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Aws, Self::AwsMinimum, Self::Azure, Self::Gcp, Self::Modern];

    /// The name that parses to this preset.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsMinimum => "aws-minimum",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Modern => "modern",
        }
    }

    /// Proposals for the IKE SA.
    #[must_use]
    pub fn ike(self) -> Vec<Proposal> {
        parse(Proposal::ike, self.ike_keywords())
    }

    /// Proposals for child SAs.
    #[must_use]
    pub fn child(self) -> Vec<Proposal> {
        parse(Proposal::esp, self.child_keywords())
    }

    /// Proposals for the ISAKMP SA of IKEv1, which has neither combined-mode ciphers nor Montgomery curves.
    #[must_use]
    pub fn ikev1(self) -> Vec<Proposal> {
        parse(Proposal::ike, self.ikev1_keywords())
    }

    /// Proposals for ESP that is negotiated by IKEv1. A quick mode has one group, so every preset names one.
    #[must_use]
    pub fn ikev1_child(self) -> Vec<Proposal> {
        parse(Proposal::esp, self.ikev1_child_keywords())
    }

    const fn ikev1_keywords(self) -> &'static [&'static str] {
        match self {
            Self::Aws | Self::Gcp => &["aes256-sha384-ecp384"],
            Self::AwsMinimum => &["aes128-sha1-modp1024"],
            Self::Azure => &["aes256-sha384-ecp384", "aes256-sha256-sha1-modp1024"],
            Self::Modern => &["aes256-aes128-sha384-sha256-ecp384-ecp256"],
        }
    }

    const fn ikev1_child_keywords(self) -> &'static [&'static str] {
        match self {
            Self::Aws | Self::Gcp => &["aes256gcm16-ecp384"],
            Self::AwsMinimum => &["aes128-sha1-modp1024"],
            Self::Azure => &["aes256gcm16", "aes256-sha256-sha1"],
            Self::Modern => &["aes256gcm16-aes128gcm16-ecp384"],
        }
    }

    const fn ike_keywords(self) -> &'static [&'static str] {
        match self {
            Self::Aws | Self::Gcp => &["aes256gcm16-prfsha384-ecp384"],
            Self::AwsMinimum => &["aes128-sha1-modp1024"],
            Self::Azure => &[
                "aes256gcm16-prfsha384-ecp384",
                "aes256-sha384-ecp384",
                "aes256-sha256-ecp256-modp2048",
                "aes256-sha256-sha1-modp1024",
            ],
            Self::Modern => &["aes256gcm16-chacha20poly1305-aes128gcm16-prfsha384-prfsha256-prfsha512\
                 -curve25519-ecp384-ecp256-ecp521"],
        }
    }

    const fn child_keywords(self) -> &'static [&'static str] {
        match self {
            Self::Aws | Self::Gcp => &["aes256gcm16-ecp384"],
            Self::AwsMinimum => &["aes128-sha1-modp1024"],
            Self::Azure => &[
                "aes256gcm16-ecp384",
                "aes256-sha256-ecp384-ecp256-modp2048",
                "aes256gcm16",
                "aes256-sha256-sha1",
            ],
            Self::Modern => {
                &["aes256gcm16-chacha20poly1305-aes128gcm16-curve25519-ecp384-ecp256-ecp521-esn-noesn"]
            }
        }
    }
}

fn parse<E>(parse: impl Fn(&'static str) -> Result<Proposal, E>, keywords: &[&'static str]) -> Vec<Proposal> {
    let proposals: Vec<Proposal> = keywords.iter().filter_map(|keywords| parse(keywords).ok()).collect();
    debug_assert_eq!(proposals.len(), keywords.len(), "every preset parses");
    proposals
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or(UnknownPreset)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registries::{EncryptionId, KeyExchangeId, PrfId};
    use alloc::string::ToString;

    #[test]
    fn every_preset_yields_all_its_proposals_and_they_print_as_written() {
        for preset in Preset::ALL {
            assert_eq!(preset.name().parse(), Ok(preset));
            assert_eq!(preset.to_string(), preset.name());
            let ike: Vec<_> = preset.ike().iter().map(ToString::to_string).collect();
            assert_eq!(ike, preset.ike_keywords());
            let child: Vec<_> = preset.child().iter().map(ToString::to_string).collect();
            assert_eq!(child, preset.child_keywords());
            let ike: Vec<_> = preset.ikev1().iter().map(ToString::to_string).collect();
            assert_eq!(ike, preset.ikev1_keywords());
            let child: Vec<_> = preset.ikev1_child().iter().map(ToString::to_string).collect();
            assert_eq!(child, preset.ikev1_child_keywords());
        }
    }

    #[test]
    fn the_aws_preset_is_exactly_one_suite_because_aws_takes_the_weakest_on_offer() {
        let [ike] = <[Proposal; 1]>::try_from(Preset::Aws.ike()).unwrap();
        assert_eq!(ike.encryption.len(), 1);
        assert_eq!(ike.encryption[0].id, EncryptionId::AES_GCM_16);
        assert_eq!(ike.encryption[0].key_bits, 256);
        assert_eq!(ike.prf, [PrfId::HMAC_SHA2_384]);
        assert_eq!(ike.key_exchange, [KeyExchangeId::ECP_384]);
        let [child] = <[Proposal; 1]>::try_from(Preset::Aws.child()).unwrap();
        assert_eq!(child.key_exchange, [KeyExchangeId::ECP_384]);
        assert_eq!((child.encryption.len(), child.sequence.len()), (1, 1));
    }

    #[test]
    fn an_unknown_preset_is_an_error_that_lists_the_known_ones() {
        let error = "amazon".parse::<Preset>().unwrap_err().to_string();
        for preset in Preset::ALL {
            assert!(error.contains(preset.name()), "{error}");
        }
    }
}
