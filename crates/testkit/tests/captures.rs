//! The capture reader on real files.

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
