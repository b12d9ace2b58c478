use alloc::vec;

use super::*;
use crate::wire::{self, Body};

#[test]
fn every_entry_is_hexadecimal_and_found_first() {
    for (digits, open, vendor) in table::texts() {
        assert!(digits.len().is_multiple_of(2) && digits.len() >= 4, "{digits}");
        assert!(digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{digits}");
        let mut body: Vec<u8> = table::octets(digits).collect();
        // Whatever may follow, follows.
        if open {
            body.extend([1, 0, 9]);
        }
        assert_eq!(recognise(&body), Some(vendor), "{digits}");
        if !open {
            body.push(0);
            assert_ne!(recognise(&body), Some(vendor), "{digits}");
        }
    }
}

#[test]
fn what_we_say_we_recognise() {
    for vendor in [
        Vendor::NatTRfc3947,
        Vendor::NatTDraft03,
        Vendor::NatTDraft02N,
        Vendor::NatTDraft02,
        Vendor::Dpd,
        Vendor::Xauth,
        Vendor::Unity,
        Vendor::FragmentationMs,
        Vendor::FragmentationCisco,
    ] {
        assert_eq!(recognise(&vendor.octets().unwrap()), Some(vendor));
    }
}

#[test]
#[cfg(feature = "std")]
fn ids_of_recorded_peers_have_names() {
    let mut seen = VendorSet::default();
    let pcap = include_str!("../../tests/captures/v1-main-xauth-psk-modecfg.json");
    let root: serde_json::Value = serde_json::from_str(pcap).unwrap();
    for frame in &root["frames"].as_array().unwrap()[..2] {
        let digits = frame["payload"].as_str().unwrap();
        let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let octets: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
        let Body::Clear(payloads) = wire::parse(&octets).unwrap().body else { panic!() };
        for payload in payloads {
            if let Payload::VendorId(body) = payload {
                assert!(recognise(&body).is_some(), "{body:02x?}");
                seen.insert(&body);
            }
        }
    }
    let expected = vec![
        Vendor::NatTRfc3947,
        Vendor::NatTDraft02N,
        Vendor::Dpd,
        Vendor::Xauth,
        Vendor::FragmentationCisco,
    ];
    assert_eq!(seen.iter().collect::<Vec<_>>(), expected);
    assert!(seen.fragments());
}

#[test]
fn a_responder_takes_one_nat_traversal_and_speaks_of_fragments_as_its_peer_does() {
    let all = Announcement { xauth: true, unity: true, fragmentation: true };
    let said = |payloads: Vec<Payload>| {
        let mut set = VendorSet::default();
        for payload in payloads {
            let Payload::VendorId(body) = payload else { panic!() };
            set.insert(&body);
        }
        set
    };
    let initiator = said(announce(all));
    assert_eq!(initiator.iter().count(), 8);
    let answer = said(announce_to(all, &initiator));
    assert!(answer.has(Vendor::NatTRfc3947) && !answer.has(Vendor::NatTDraft03));
    assert!(answer.has(Vendor::FragmentationCisco) && answer.has(Vendor::Xauth));

    let mut old = VendorSet::default();
    old.insert(&Vendor::NatTDraft02N.octets().unwrap());
    old.insert(&Vendor::FragmentationMs.octets().unwrap());
    let answer = said(announce_to(all, &old));
    assert!(answer.has(Vendor::NatTDraft02N) && !answer.has(Vendor::NatTRfc3947));
    assert!(answer.has(Vendor::FragmentationMs) && !answer.has(Vendor::FragmentationCisco));

    let mute = said(announce_to(Announcement::default(), &VendorSet::default()));
    assert_eq!(mute.iter().collect::<Vec<_>>(), [Vendor::Dpd]);
}
