//! SA payloads of IKEv1: reading, writing, and choosing from whatever a peer may offer.
#![no_main]

use std::sync::LazyLock;

use ikebana_core::{EspSpi, Writer};
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::phase2::Encapsulation;
use ikebana_proposals::ikev1::{
    Phase2Offer, Phase2Wanted, SaPayload, confirm_phase1, confirm_phase2, offer_phase1, offer_phase2,
    pfs_groups, select_phase1, select_phase2,
};
use ikebana_proposals::{Prefer, Proposal};
use libfuzzer_sys::fuzz_target;

const METHODS: [Authentication; 2] = [Authentication::PRE_SHARED_KEY, Authentication::XAUTH_INIT_PRE_SHARED];

static IKE: LazyLock<Vec<Proposal>> = LazyLock::new(|| {
    let list = ["aes128-aes256-sha1-sha256-modp1024-modp2048-ecp256", "3des-md5-modp1536"];
    list.iter().map(|keywords| Proposal::ike(keywords).expect("a proposal")).collect()
});
static CHILD: LazyLock<Vec<Proposal>> = LazyLock::new(|| {
    let esp = ["aes128gcm16-aes256ccm8-modp2048-modpnone-esn-noesn", "aes128-3des-null-sha1-md5-aesxcbc"];
    let esp = esp.iter().map(|keywords| Proposal::esp(keywords).expect("a proposal"));
    esp.chain([Proposal::ah("sha256-sha1-modp2048").expect("a proposal")]).collect()
});

fuzz_target!(|octets: &[u8]| {
    let Ok(offer) = SaPayload::parse(octets) else { return };
    for prefer in [Prefer::Local, Prefer::Peer] {
        match select_phase1(&IKE, &METHODS, &offer, prefer) {
            Ok((suite, answer)) => {
                assert_eq!(confirm_phase1(&offer, &answer).expect("our own choice"), suite);
                let again = select_phase1(&IKE, &METHODS, &answer, prefer).expect("the same again");
                assert_eq!((again.0, again.1.proposals.len()), (suite, 1));
            }
            Err(mismatch) => drop(mismatch.to_string()),
        }
        for mode in [Encapsulation::TUNNEL, Encapsulation::UDP_TRANSPORT_DRAFT] {
            for key_exchange in [false, true] {
                match select_phase2(&CHILD, &offer, prefer, Phase2Wanted { mode, key_exchange }) {
                    Ok((terms, answer)) => {
                        assert_eq!(terms.suite.key_exchange.is_some(), key_exchange);
                        // Where nothing is said of the mode, each side takes its own.
                        if let Ok(confirmed) = confirm_phase2(&offer, &answer.with_spi(EspSpi::MIN)) {
                            assert_eq!(confirmed.suite, terms.suite);
                        }
                    }
                    Err(mismatch) => drop(mismatch.to_string()),
                }
            }
        }
    }
    // A peer's answer may be anything too.
    let _ = confirm_phase1(&offer_phase1(&IKE, METHODS[0], None), &offer);
    for group in pfs_groups(&CHILD) {
        let about =
            Phase2Offer { spi: EspSpi::MIN, mode: Encapsulation::TUNNEL, group, life: Default::default() };
        let _ = confirm_phase2(&offer_phase2(&CHILD, &about), &offer);
    }

    let mut writer = Writer::new();
    offer.encode(&mut writer);
    let written = writer.finish().expect("what was read can be written");
    assert_eq!(SaPayload::parse(&written).expect("what was written can be read"), offer);
});
