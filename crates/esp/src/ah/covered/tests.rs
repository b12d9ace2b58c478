use super::*;
use alloc::vec::Vec;

const FINAL: [u8; 4] = [203, 0, 113, 9];

fn v4_header(options: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0);
    let ihl = u8::try_from(5 + options.len() / 4).unwrap();
    let fixed = [0x40 | ihl, 0xb9, 1, 2, 3, 4, 0x5f, 0xff, 63, 51, 0xab, 0xcd, 192, 0, 2, 1, 198, 51, 100, 1];
    [&fixed[..], options].concat()
}

fn covered(headers: &[u8], end: End) -> Vec<u8> {
    Covered::new(headers, end).ok().unwrap().octets().to_vec()
}

fn refused(headers: &[u8], end: End) -> HeaderError {
    Covered::new(headers, end).err().unwrap()
}

/// The options as they are covered; the header before them has to be as always.
fn covered_options(options: &[u8], end: End) -> (Vec<u8>, [u8; 4]) {
    let octets = covered(&v4_header(options), end);
    let ihl = 0x45 + u8::try_from(options.len() / 4).unwrap();
    assert_eq!(octets[..16], [ihl, 0, 1, 2, 3, 4, 0, 0, 0, 51, 0, 0, 192, 0, 2, 1]);
    (octets[20..].to_vec(), [octets[16], octets[17], octets[18], octets[19]])
}

#[test]
fn mutable_fields_of_ipv4_are_zero_and_nothing_else() {
    for end in [End::Sender, End::Receiver] {
        assert_eq!(covered_options(&[], end), (Vec::new(), [198, 51, 100, 1]));
    }
}

#[test]
fn options_are_kept_or_zeroed_as_appendix_a1_says() {
    for end in [End::Sender, End::Receiver] {
        for kind in [130, 133, 134, 148, 149] {
            let options = [kind, 4, 0x12, 0x34];
            assert_eq!(covered_options(&options, end).0, options, "{kind}");
        }
        // Record route, time stamp, traceroute, the experimental and superseded ones, and unknown ones.
        for kind in [7, 68, 82, 136, 11, 12, 145, 10, 205, 142, 15, 144, 147, 2, 5, 20, 94, 222, 255] {
            assert_eq!(covered_options(&[kind, 4, 0x12, 0x34], end).0, [0; 4], "{kind}");
        }
        let mixed = [1, 7, 3, 0x44, 148, 4, 0, 0, 1, 1, 0, 0xee];
        assert_eq!(covered_options(&mixed, end).0, [1, 0, 0, 0, 148, 4, 0, 0, 1, 1, 0, 0xee]);
    }
}

#[test]
fn only_the_sender_predicts_where_a_source_route_ends() {
    for kind in [131, 137] {
        let route = [kind, 11, 4, 10, 0, 0, 1, 203, 0, 113, 9, 1];
        assert_eq!(covered_options(&route, End::Sender), ([&[0; 11][..], &[1]].concat(), FINAL));
        assert_eq!(covered_options(&route, End::Receiver).1, [198, 51, 100, 1]);
        // On the last stretch the last address is still to come; then the header has the destination.
        let last = [kind, 11, 8, 10, 0, 0, 1, 203, 0, 113, 9, 1];
        assert_eq!(covered_options(&last, End::Sender).1, FINAL);
        let done = [kind, 11, 12, 10, 0, 0, 1, 203, 0, 113, 9, 1];
        assert_eq!(covered_options(&done, End::Sender).1, [198, 51, 100, 1]);
        // Too short to have an address.
        assert_eq!(covered_options(&[kind, 3, 4, 1], End::Sender).1, [198, 51, 100, 1]);
        assert_eq!(covered_options(&[kind, 2, 1, 1], End::Sender).1, [198, 51, 100, 1]);
    }
}

#[test]
fn options_that_do_not_add_up_are_refused_and_end() {
    for options in
        [[148, 0, 0, 0], [148, 1, 0, 0], [148, 5, 0, 0], [7, 255, 0, 0], [1, 1, 1, 148], [1, 1, 148, 3]]
    {
        for end in [End::Sender, End::Receiver] {
            assert_eq!(refused(&v4_header(&options), end), HeaderError::Ip(IpError::Options), "{options:?}");
        }
    }
}

fn v6_header(next: u8, extensions: &[u8]) -> Vec<u8> {
    let mut header = Vec::from([0x6b, 0x9f, 0xff, 0xff, 0x01, 0x02, next, 61]);
    header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend([0xaa; 16]);
    header.extend(extensions);
    header
}

/// The extension headers as they are covered, and the destination.
fn covered_extensions(next: u8, extensions: &[u8], end: End) -> (Vec<u8>, Vec<u8>) {
    let octets = covered(&v6_header(next, extensions), end);
    assert_eq!(octets[..8], [0x60, 0, 0, 0, 1, 2, next, 0]);
    assert_eq!(octets[8..24], v6_header(next, &[])[8..24]);
    (octets[40..].to_vec(), octets[24..40].to_vec())
}

#[test]
fn options_of_ipv6_lose_their_data_where_their_type_says_it_may_change() {
    let options = |header: u8| {
        [
            header, 2, 0x05, 2, 0x11, 0x22, 0x3e, 3, 0x33, 0x44, 0x55, 0, 0, 0x01, 2, 0, 0, 0xe3, 4, 1, 2, 3,
            4, 0,
        ]
    };
    let expected = |header: u8| {
        [header, 2, 0x05, 2, 0x11, 0x22, 0x3e, 3, 0, 0, 0, 0, 0, 0x01, 2, 0, 0, 0xe3, 4, 0, 0, 0, 0, 0]
    };
    for end in [End::Sender, End::Receiver] {
        for kind in [HOP_BY_HOP, DESTINATION_OPTIONS] {
            assert_eq!(covered_extensions(kind, &options(51), end).0, expected(51));
        }
        let both = [options(DESTINATION_OPTIONS), options(51)].concat();
        let expected = [expected(DESTINATION_OPTIONS), expected(51)].concat();
        assert_eq!(covered_extensions(HOP_BY_HOP, &both, end).0, expected);
    }
}

fn routing_header(kind: u8, left: u8, addresses: &[u8]) -> Vec<u8> {
    let words = u8::try_from(addresses.len() * 2).unwrap();
    let mut header = Vec::from([51, words, kind, left, 0, 0, 0, 0]);
    header.extend(addresses.iter().flat_map(|&address| [address; 16]));
    header
}

#[test]
fn a_routing_header_is_covered_as_it_arrives() {
    for (left, arrives, destination) in
        [(0, [1, 2, 3], 0xaa), (1, [1, 2, 0xaa], 3), (2, [1, 0xaa, 2], 3), (3, [0xaa, 1, 2], 3)]
    {
        let sent = routing_header(0, left, &[1, 2, 3]);
        let at_the_end = (routing_header(0, 0, &arrives), Vec::from([destination; 16]));
        assert_eq!(covered_extensions(ROUTING, &sent, End::Sender), at_the_end, "{left}");
    }
    let sent = routing_header(2, 1, &[7]);
    let expected = (routing_header(2, 0, &[0xaa]), Vec::from([7; 16]));
    assert_eq!(covered_extensions(ROUTING, &sent, End::Sender), expected);
}

#[test]
fn routing_headers_that_cannot_be_predicted_are_refused() {
    let routing = HeaderError::Ip(IpError::Routing);
    for kind in [0, 2, 3, 4, 253] {
        let arrived = routing_header(kind, 0, &[1, 2]);
        assert_eq!(covered_extensions(ROUTING, &arrived, End::Receiver).0, arrived);
        let under_way = v6_header(ROUTING, &routing_header(kind, 1, &[1, 2]));
        assert_eq!(refused(&under_way, End::Receiver), routing, "{kind}");
        assert_eq!(Covered::new(&under_way, End::Sender).is_ok(), kind < 3, "{kind}");
    }
    // More segments than addresses, and half an address.
    assert_eq!(refused(&v6_header(ROUTING, &routing_header(0, 3, &[1, 2])), End::Sender), routing);
    let mut half = routing_header(0, 1, &[1, 2]);
    half[1] = 3;
    half.truncate(32);
    assert_eq!(refused(&v6_header(ROUTING, &half), End::Sender), routing);
}

#[test]
fn extension_headers_that_do_not_add_up_are_refused() {
    let extensions = HeaderError::Ip(IpError::Extensions);
    let options = HeaderError::Ip(IpError::Options);
    for end in [End::Sender, End::Receiver] {
        let refused = |next: u8, octets: &[u8]| refused(&v6_header(next, octets), end);
        assert_eq!(refused(HOP_BY_HOP, &[51, 1, 1, 4, 0, 0, 0, 0]), extensions, "past the end");
        assert_eq!(refused(HOP_BY_HOP, &[51]), extensions, "cut off");
        assert_eq!(refused(17, &[51, 0, 1, 4, 0, 0, 0, 0]), extensions, "no extension header");
        assert_eq!(refused(HOP_BY_HOP, &[51, 0, 1, 5, 0, 0, 0, 0]), options, "longer than the header");
        assert_eq!(refused(HOP_BY_HOP, &[51, 0, 1, 3, 0, 0, 0, 5]), options, "without a length");
        assert_eq!(refused(FRAGMENT, &[51, 0, 0, 0, 1, 2, 3, 4]), HeaderError::Fragment);
    }
    assert_eq!(refused(&v6_header(51, &[])[..39], End::Sender), HeaderError::Ip(IpError::Truncated));
}

#[test]
fn headers_of_more_octets_than_the_copy_has_are_refused() {
    // A hop-by-hop header of nothing but padding options.
    let filled = |words: usize| {
        let mut header = Vec::from([51, u8::try_from(words - 1).unwrap()]);
        header.resize(words * 8, 0);
        v6_header(HOP_BY_HOP, &header)
    };
    assert_eq!(covered(&filled(59), End::Sender).len(), MAX_COVERED_HEADERS);
    assert_eq!(refused(&filled(60), End::Sender), HeaderError::TooLong(520));
    assert_eq!(refused(&filled(60), End::Receiver), HeaderError::TooLong(520));
}
