//! The capture reader on real files.

use std::time::Duration;

use ikebana_core::datagram::{Carried, classify};
use ikebana_testkit::capture::{self, CaptureError, Payload};

const SESSION: &[u8] = include_bytes!("captures/v2-narrow-ts.pcap");
const SNOOP: &[u8] = include_bytes!("captures/rfc7634.snoop");

#[test]
fn a_recorded_session_yields_its_ike_messages_and_esp_packets() {
    let packets = capture::parse(SESSION).unwrap();
    let (mut ike, mut esp) = (0, 0);
    for packet in &packets {
        let (source, destination) = packet.sockets().expect("everything is in UDP");
        assert_ne!(source.ip(), destination.ip());
        match (source.port(), classify(packet.octets())) {
            (500, _) | (4500, Carried::Ike(_)) => ike += 1,
            (4500, Carried::Esp(..)) => esp += 1,
            other => panic!("frame {}: {other:?}", packet.frame),
        }
    }
    assert_eq!((ike, esp), (6, 6));
    assert!(packets.is_sorted_by_key(|packet| packet.at));
}

#[test]
fn a_snoop_file_is_read_like_the_others() {
    let packets = capture::parse(SNOOP).unwrap();
    // Frame 1 is the ping before it was encrypted.
    let [esp, ike] = packets.as_slice() else { panic!("{packets:?}") };
    assert_eq!((esp.frame, ike.frame), (2, 3));
    assert!(matches!(&esp.payload, Payload::Esp(octets) if octets.starts_with(&[1, 2, 3, 4, 0, 0, 0, 5])));
    assert!(matches!(ike.payload, Payload::Udp { source_port: 500, destination_port: 500, .. }));
    assert_eq!(ike.octets().len(), 69);
}

/// A pcapng file with one IP packet, an interface whose timestamps have the unit 10^-`exponent` s, and so many
/// of them since 1970.
fn pcapng(exponent: Option<u8>, units: u64) -> Vec<u8> {
    // IPv4 from 192.0.2.1 to 192.0.2.2, ESP, with eight octets.
    let packet = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 50, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, //
        0, 0, 1, 0, 0, 0, 0, 1,
    ];
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
    let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX, 28]);
    match exponent {
        None => file.extend(words(&[1, 20, 101 << 16, 0, 20])),
        Some(exponent) => {
            file.extend(words(&[1, 32, 101 << 16, 0, 0x0009_0001, u32::from(exponent) << 24, 0, 32]));
        }
    }
    file.extend(words(&[6, 60, 0]));
    file.extend(units.to_be_bytes());
    file.extend(words(&[28, 28]));
    file.extend(packet);
    file.extend(words(&[60]));
    file
}

#[test]
fn a_pcapng_timestamp_counts_in_the_unit_of_its_interface() {
    let expected = Duration::new(1_700_000_000, 250_000_000);
    for (exponent, units) in [
        (None, 1_700_000_000_250_000),
        (Some(6), 1_700_000_000_250_000),
        (Some(9), 1_700_000_000_250_000_000),
        (Some(0x82), 6_800_000_001),
    ] {
        let packets = capture::parse(&pcapng(exponent, units)).unwrap();
        assert_eq!((packets.len(), packets[0].at), (1, expected), "{exponent:?}");
    }
    for exponent in [39, 0x7f, 0xff] {
        assert_eq!(capture::parse(&pcapng(Some(exponent), 1)).unwrap()[0].at, Duration::ZERO);
    }
}

#[test]
fn damaged_files_are_errors_and_not_panics() {
    for file in [SESSION, SNOOP] {
        for length in 0..file.len() {
            let _ = capture::parse(&file[..length]);
        }
    }
    assert!(matches!(capture::parse(b"GIF89a"), Err(CaptureError::UnknownFormat)));
    assert!(matches!(capture::parse(&SESSION[..SESSION.len() - 1]), Err(CaptureError::Damaged { .. })));
}
