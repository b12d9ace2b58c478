//! IKEv1: offer, selection and confirmation agree, always through the encoded octets; and what both versions of
//! IKE can say, both choose alike.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use ikebana_core::{EspSpi, Writer};
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::phase2::Encapsulation;
use ikebana_proposals::ikev1::{
    Attribute, AttributeValue, Phase2Life, Phase2Offer, Phase2Wanted, SaPayload, confirm_phase1,
    confirm_phase2, offer_phase1, offer_phase2, pfs_groups, select_phase1, select_phase2,
};
use ikebana_proposals::{Prefer, Proposal, select_child, select_ike};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

const PSK: Authentication = Authentication::PRE_SHARED_KEY;

/// Through the octets of the wire.
fn sent(payload: &SaPayload) -> SaPayload {
    let mut out = Writer::new();
    payload.encode(&mut out);
    let again = SaPayload::parse(&out.finish().unwrap()).unwrap();
    assert_eq!(&again, payload);
    again
}

/// A proposal of one to three words of each kind, in any order.
fn words(kinds: Vec<Vec<&'static str>>) -> impl Strategy<Value = String> {
    let lists: Vec<_> = kinds
        .into_iter()
        .map(|all| {
            let most = all.len().min(3);
            subsequence(all, 1..=most).prop_shuffle()
        })
        .collect();
    lists.prop_map(|lists| lists.concat().join("-"))
}

fn ike() -> impl Strategy<Value = Proposal> {
    words(vec![
        vec!["aes128", "aes192", "aes256", "camellia128", "3des"],
        vec!["md5", "sha1", "sha256", "sha384", "sha512"],
        vec!["modp1024", "modp1536", "modp2048", "modp4096", "ecp256", "ecp384", "ecp521"],
    ])
    .prop_map(|text| Proposal::ike(&text).unwrap())
}

fn esp() -> impl Strategy<Value = Proposal> {
    let plain = words(vec![
        vec!["aes128", "aes256", "aes192ctr", "3des", "null", "camellia256"],
        vec!["md5", "sha1", "sha256", "sha384", "sha512", "aesxcbc"],
        vec!["modp2048", "ecp256", "modpnone"],
        vec!["esn", "noesn"],
    ]);
    let combined = words(vec![
        vec!["aes128gcm16", "aes256gcm8", "aes192gcm12", "aes128ccm8", "aes256ccm16", "aes128gmac"],
        vec!["modp2048", "ecp256", "modpnone"],
        vec!["esn", "noesn"],
    ]);
    prop_oneof![plain, combined].prop_map(|text| Proposal::esp(&text).unwrap())
}

fn prefer() -> impl Strategy<Value = Prefer> {
    prop_oneof![Just(Prefer::Local), Just(Prefer::Peer)]
}

fn wanted(group: bool) -> Phase2Wanted {
    Phase2Wanted { mode: Encapsulation::TUNNEL, key_exchange: group }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_phase_1_selects_is_confirmed_and_is_what_version_2_would_select(
        ours in ike(), theirs in ike(), prefer in prefer(), life in 1_u64..100_000_000,
    ) {
        let life = Some(Duration::from_secs(life));
        let offer = sent(&offer_phase1(std::slice::from_ref(&theirs), PSK, life));
        let found = select_phase1(std::slice::from_ref(&ours), &[PSK], &offer, prefer);
        let of_version_2 = select_ike(
            std::slice::from_ref(&ours),
            &ikebana_proposals::SaPayload::offer(std::slice::from_ref(&theirs), &[]),
            prefer,
        );
        match (found, of_version_2) {
            (Ok((suite, answer)), Ok(chosen)) => {
                prop_assert_eq!(suite.ike, chosen.suite);
                prop_assert_eq!(suite.life, life);
                prop_assert_eq!(confirm_phase1(&offer, &sent(&answer)).unwrap(), suite);
            }
            (Err(mismatch), Err(_)) => {
                prop_assert!(!mismatch.differing.is_empty(), "{}", mismatch);
                prop_assert_eq!(mismatch.nearest_local, Some(ours.to_string()));
            }
            (found, of_version_2) => prop_assert!(false, "{:?} {:?}", found, of_version_2),
        }
    }

    #[test]
    fn what_phase_2_selects_is_confirmed_and_is_what_version_2_would_select(
        ours in esp(), theirs in esp(), prefer in prefer(), which in any::<Index>(),
        seconds in 1_u32.., kilobytes in prop::option::of(1_u64..),
    ) {
        // One group is offered at a time; version 2 is offered the same.
        let groups = pfs_groups(std::slice::from_ref(&theirs));
        let group = *which.get(&groups);
        let mut alone = theirs.clone();
        alone.key_exchange = group.into_iter().collect();
        let life = Phase2Life { seconds: Some(seconds), kilobytes };
        let spi = EspSpi::new(0xc0ff_ee00).unwrap();
        let about = Phase2Offer { spi, mode: Encapsulation::TUNNEL, group, life };
        let offer = sent(&offer_phase2(std::slice::from_ref(&theirs), &about));
        let found = select_phase2(std::slice::from_ref(&ours), &offer, prefer, wanted(group.is_some()));
        let of_version_2 = select_child(
            std::slice::from_ref(&ours),
            &ikebana_proposals::SaPayload::offer(std::slice::from_ref(&alone), &spi.to_be_bytes()),
            prefer,
        );
        match (found, of_version_2) {
            (Ok((terms, answer)), Ok(chosen)) => {
                prop_assert_eq!(terms.suite, chosen.suite);
                prop_assert_eq!((terms.life, terms.spi), (life, spi));
                let confirmed = confirm_phase2(&offer, &sent(&answer.with_spi(EspSpi::MIN))).unwrap();
                prop_assert_eq!(confirmed.suite, terms.suite);
                prop_assert_eq!((confirmed.life, confirmed.spi), (life, EspSpi::MIN));
            }
            (Err(mismatch), Err(_)) => prop_assert!(!mismatch.differing.is_empty(), "{}", mismatch),
            (found, of_version_2) => prop_assert!(false, "{:?} {:?}", found, of_version_2),
        }
    }

    /// Whatever a peer makes of an offer, nothing is agreed on that was not offered, and nothing panics.
    #[test]
    fn a_damaged_answer_is_confirmed_only_if_it_still_says_the_same(
        theirs in esp(), at in any::<Index>(), kind in 0_u16..20, value in 0_u16..400, long in any::<bool>(),
    ) {
        let groups = pfs_groups(std::slice::from_ref(&theirs));
        let life = Phase2Life { seconds: Some(3_600), kilobytes: None };
        let about = Phase2Offer { spi: EspSpi::MIN, mode: Encapsulation::TUNNEL, group: groups[0], life };
        let offer = offer_phase2(std::slice::from_ref(&theirs), &about);
        let wanted = wanted(groups[0].is_some());
        let (terms, answer) =
            select_phase2(std::slice::from_ref(&theirs), &offer, Prefer::Local, wanted).unwrap();
        let mut answer = answer.with_spi(EspSpi::MIN);
        let attributes = &mut answer.proposals[0].transforms[0].attributes;
        let changed = at.index(attributes.len());
        let value = if long { AttributeValue::Long(u32::from(value).to_be_bytes().to_vec()) }
            else { AttributeValue::Short(value) };
        attributes[changed] = Attribute { kind, value };
        if let Ok(confirmed) = confirm_phase2(&offer, &sent(&answer)) {
            // One of those that were offered: AES with another key length, say.
            let found = select_phase2(std::slice::from_ref(&theirs), &answer, Prefer::Local, wanted);
            prop_assert_eq!(found.unwrap().0.suite, confirmed.suite);
            prop_assert!(confirmed.life.seconds <= terms.life.seconds);
        }
    }
}
