use super::*;
use alloc::vec::Vec;

const V4: [u8; 20] = [0x45, 0xb9, 0, 20, 0x12, 0x34, 0x40, 0, 63, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7];

fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0x6b, 0x91, 0x23, 0x45]);
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend([0x20; 16]);
    packet.extend([0x21; 16]);
    packet.extend(payload);
    packet
}

#[test]
fn the_fields_of_an_ipv4_header_are_read() {
    let header = IpHeader::parse(&V4).unwrap();
    assert_eq!((header.source, header.destination), ([192, 0, 2, 1].into(), [198, 51, 100, 7].into()));
    assert_eq!((header.header_len, header.total_len, header.tos, header.ttl), (20, 20, 0xb9, 63));
    assert!(header.dont_fragment && !header.more_fragments);
    assert_eq!((header.protocol, header.fragment_offset), (17, 0));
}

#[test]
fn the_fields_of_an_ipv6_header_are_read() {
    let header = IpHeader::parse(&v6(6, &[0; 5])).unwrap();
    assert_eq!((header.tos, header.flow_label, header.total_len), (0xb9, 0x12345, 45));
    assert_eq!((header.protocol, header.ttl, header.family()), (6, 64, Family::V6));
}

#[test]
fn every_truncation_of_a_header_is_an_error() {
    for length in 0..20 {
        assert!(IpHeader::parse(&V4[..length]).is_err());
    }
    let packet = v6(6, &[]);
    for length in 0..40 {
        assert!(IpHeader::parse(&packet[..length]).is_err());
    }
}

#[test]
fn versions_other_than_4_and_6_are_named() {
    for version in [0, 1, 5, 7, 15] {
        let mut packet = V4;
        packet[0] = version << 4 | 5;
        assert_eq!(IpHeader::parse(&packet), Err(IpError::Version(version)));
    }
}

#[test]
fn impossible_lengths_are_errors() {
    for ihl in [0, 4, 6, 15] {
        let mut packet = V4;
        packet[0] = 0x40 | ihl;
        assert_eq!(IpHeader::parse(&packet), Err(IpError::HeaderLength(usize::from(ihl) * 4)));
    }
    for total in [0, 19, 21, 0xffff] {
        let mut packet = V4;
        packet[2..4].copy_from_slice(&u16::to_be_bytes(total));
        let stated = usize::from(total);
        assert_eq!(IpHeader::parse(&packet), Err(IpError::TotalLength { stated, available: 20 }));
    }
    let mut packet = v6(6, &[0; 4]);
    packet[5] = 5;
    assert_eq!(IpHeader::parse(&packet), Err(IpError::TotalLength { stated: 45, available: 44 }));
}

#[test]
fn octets_behind_the_packet_are_not_the_packets() {
    let mut padded = V4.to_vec();
    padded.extend([0; 26]);
    assert_eq!(IpHeader::parse(&padded).unwrap().total_len, 20);
}

#[test]
fn extension_headers_are_skipped_down_to_the_next_layer() {
    // Hop-by-hop (16 octets), destination options, routing, destination options, then TCP.
    let mut payload = Vec::from([60, 1]);
    payload.extend([0; 14]);
    payload.extend([43, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend([60, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend([0; 20]);
    let packet = v6(0, &payload);
    let chain = walk(&packet, &IpHeader::parse(&packet).unwrap()).unwrap();
    assert_eq!((chain.protocol, chain.offset, chain.protocol_at), (6, 80, 72));
    assert_eq!((chain.insertion, chain.insertion_protocol_at, chain.insertion_protocol), (72, 64, 60));
    assert!(!chain.fragment);
}

#[test]
fn ah_and_esp_end_the_walk() {
    for protocol in [50, 51, 6, 17, 58, 59] {
        let packet = v6(protocol, &[0; 8]);
        let chain = walk(&packet, &IpHeader::parse(&packet).unwrap()).unwrap();
        assert_eq!((chain.protocol, chain.offset), (protocol, 40));
    }
}

#[test]
fn fragments_are_told_from_whole_packets() {
    for (field, fragment, later) in
        [(0u16, false, false), (1, true, false), (8, true, true), (9, true, true), (0x0006, false, false)]
    {
        let [high, low] = field.to_be_bytes();
        let packet = v6(44, &[17, 0, high, low, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]);
        let chain = walk(&packet, &IpHeader::parse(&packet).unwrap()).unwrap();
        assert_eq!((chain.fragment, chain.later_fragment, chain.offset), (fragment, later, 48), "{field}");
    }
}

#[test]
fn cut_off_and_endless_extension_headers_are_errors() {
    for payload in [&[][..], &[6], &[6, 1, 0, 0, 0, 0, 0, 0], &[6, 255, 0, 0, 0, 0, 0, 0]] {
        for protocol in [0, 43, 60] {
            let packet = v6(protocol, payload);
            assert_eq!(walk(&packet, &IpHeader::parse(&packet).unwrap()), Err(IpError::Extensions));
        }
    }
    let packet = v6(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(1000));
    assert_eq!(walk(&packet, &IpHeader::parse(&packet).unwrap()), Err(IpError::Extensions));
}

#[test]
fn changing_the_traffic_class_keeps_the_rest_and_the_checksum_right() {
    let mut packet = V4;
    checksum_v4(&mut packet).unwrap();
    set_tos(&mut packet, 0x03).unwrap();
    let mut expected = V4;
    expected[1] = 0x03;
    checksum_v4(&mut expected).unwrap();
    assert_eq!(packet, expected);

    let mut packet = v6(6, &[]);
    set_tos(&mut packet, 0x5a).unwrap();
    let header = IpHeader::parse(&packet).unwrap();
    assert_eq!((header.tos, header.flow_label), (0x5a, 0x12345));
}
