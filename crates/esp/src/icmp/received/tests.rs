use super::*;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use crate::icmp::{MAX_TOO_BIG, packet_too_big};

const US: [u8; 4] = [192, 0, 2, 1];
const PEER: [u8; 4] = [198, 51, 100, 1];
const ROUTER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 9));

fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0x45, 0]);
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend([US, PEER].concat());
    packet.extend(payload);
    packet
}

fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0x60, 0, 0, 0]);
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend([0x20; 16]);
    packet.extend([0x21; 16]);
    packet.extend(payload);
    packet
}

fn esp(length: usize) -> Vec<u8> {
    let mut packet = Vec::from([0xc0, 0xff, 0xee, 1, 0, 0, 0x12, 0x34]);
    packet.resize(length, 0xaa);
    packet
}

fn in_udp(esp: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::from([0x11, 0x94, 0xc0, 0]);
    datagram.extend(u16::try_from(8 + esp.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(esp);
    datagram
}

/// What a router writes about a packet.
fn about(packet: &[u8], mtu: usize) -> Vec<u8> {
    let router = if packet[0] >> 4 == 4 { ROUTER } else { Ipv6Addr::from([0x22; 16]).into() };
    let mut out = [0; MAX_TOO_BIG];
    let length = packet_too_big(packet, router, mtu, &mut out).unwrap();
    out[..length].to_vec()
}

/// The same with some octets of the ICMP message changed, the quote cut to `quoted` octets, checksum right.
fn changed(message: &[u8], change: impl Fn(&mut Vec<u8>), quoted: usize) -> Vec<u8> {
    let mut icmp = message[20..].to_vec();
    icmp.truncate(8 + quoted);
    change(&mut icmp);
    icmp[2..4].fill(0);
    let sum = Sum::default().add(&icmp).finish();
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = message[..20].to_vec();
    packet[2..4].copy_from_slice(&u16::try_from(20 + icmp.len()).unwrap().to_be_bytes());
    packet.extend(icmp);
    packet
}

#[test]
fn a_report_about_esp_shows_spi_sequence_and_mtu() {
    let report = received_too_big(&about(&v4(50, 0x4000, &esp(1_400)), 1_300)).unwrap();
    assert_eq!((report.source, report.destination), (US.into(), PEER.into()));
    assert_eq!((report.spi.get(), report.sequence, report.mtu), (0xc0ff_ee01, 0x1234, 1_300));
    assert_eq!(report.ports, None);

    let report = received_too_big(&about(&v4(17, 0x4000, &in_udp(&esp(1_400))), 1_300)).unwrap();
    assert_eq!(report.ports, Some(UdpPorts { source: 4_500, destination: 49_152 }));
    assert_eq!((report.spi.get(), report.sequence), (0xc0ff_ee01, 0x1234));

    for packet in [v6(50, &esp(1_400)), v6(17, &in_udp(&esp(1_400)))] {
        let message = about(&packet, 1_300);
        let report = received_too_big(&message).unwrap();
        assert_eq!((report.source, report.destination), ([0x20; 16].into(), [0x21; 16].into()));
        assert_eq!((report.spi.get(), report.sequence, report.mtu), (0xc0ff_ee01, 0x1234, 1_300));
        assert_eq!(received_too_big_v6(&message[40..]), Ok(report));
    }
}

#[test]
fn a_router_that_does_not_say_what_fits_means_the_next_plateau() {
    for (length, mtu) in [(1_480, 1_492), (1_472, 1_006), (1_000, 1_006), (600, 508)] {
        let message = about(&v4(50, 0x4000, &esp(length)), 0);
        let silent = changed(&message, |icmp| icmp[6..8].fill(0), 200);
        assert_eq!(received_too_big(&silent).unwrap().mtu, mtu, "{length}");
    }
}

#[test]
fn eight_octets_are_enough_for_esp_and_sixteen_for_esp_in_udp() {
    let bare = about(&v4(50, 0x4000, &esp(1_400)), 1_300);
    let udp = about(&v4(17, 0x4000, &in_udp(&esp(1_400))), 1_300);
    for (message, enough) in [(bare, 28), (udp, 36)] {
        for quoted in 0..enough {
            let cut = changed(&message, |_| {}, quoted);
            assert_eq!(received_too_big(&cut), Err(TooBigError::Short), "{quoted}");
        }
        assert!(received_too_big(&changed(&message, |_| {}, enough)).is_ok());
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let good = about(&v4(50, 0x4000, &esp(1_400)), 1_300);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| received_too_big(&changed(&good, change, 300)).unwrap_err();
    // Other types and codes.
    assert_eq!(refused(&|icmp| icmp[0] = 11), TooBigError::OtherMessage);
    assert_eq!(refused(&|icmp| icmp[1] = 3), TooBigError::OtherMessage);
    // The quoted packet: no DF, a later fragment, another protocol, an IKE message.
    assert_eq!(refused(&|icmp| icmp[14] = 0), TooBigError::Fragmentable);
    assert_eq!(refused(&|icmp| icmp[15] = 1), TooBigError::NotEsp);
    assert_eq!(refused(&|icmp| icmp[17] = 6), TooBigError::NotEsp);
    assert_eq!(refused(&|icmp| icmp[28..32].fill(0)), TooBigError::NotEsp);
    assert_eq!(refused(&|icmp| icmp[8] = 0x55), TooBigError::Short);
    // It fits.
    let fits = TooBigError::Fits { length: 1_420, mtu: 1_420 };
    assert_eq!(refused(&|icmp| icmp[6..8].copy_from_slice(&1_420u16.to_be_bytes())), fits);
    // A quoted packet of the other family.
    let mut other = v6(50, &esp(1_400));
    other.truncate(300);
    assert_eq!(refused(&|icmp| icmp.splice(8.., other.clone()).for_each(drop)), TooBigError::NotEsp);

    for index in 20..good.len() {
        let mut damaged = good.clone();
        damaged[index] ^= 0x10;
        received_too_big(&damaged).unwrap_err();
    }
    for length in 0..good.len() {
        received_too_big(&good[..length]).unwrap_err();
    }
    let mut fragment = good;
    fragment[6] = 0x20;
    assert_eq!(received_too_big(&fragment), Err(TooBigError::OtherMessage));

    // RFC 8201 4: less than the IPv6 minimum is no link.
    let mut message = about(&v6(50, &esp(1_400)), 1_300)[40..].to_vec();
    message[4..8].copy_from_slice(&1_279u32.to_be_bytes());
    assert_eq!(received_too_big_v6(&message), Err(TooBigError::Minimum(1_279)));
    message[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(received_too_big_v6(&message), Err(TooBigError::Fits { .. })));
}
