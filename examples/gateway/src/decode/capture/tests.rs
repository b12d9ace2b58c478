use super::*;

fn frames(file: &[u8]) -> (Vec<Frame>, Result<(), CaptureError>) {
    let mut frames = Vec::new();
    let mut input = file;
    let outcome = read(&mut input, &mut |frame| {
        frames.push(frame);
        true
    });
    (frames, outcome)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn pcap(link: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut file = words(&[0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link]);
    for (packet, seconds) in packets.iter().zip(1..) {
        let length = u32::try_from(packet.len()).unwrap();
        file.extend(words(&[seconds, 500_000, length, length]));
        file.extend(*packet);
    }
    file
}

fn snoop_file(packets: &[&[u8]]) -> Vec<u8> {
    let mut file = [b"snoop\0\0\0".as_slice(), &words(&[2, 4])].concat();
    for (packet, seconds) in packets.iter().zip(1..) {
        let length = u32::try_from(packet.len()).unwrap();
        let padded = length.next_multiple_of(4);
        file.extend(words(&[length, length, padded + 24, 0, seconds, 500_000]));
        file.extend(*packet);
        file.resize(file.len() + usize::try_from(padded - length).unwrap(), 0);
    }
    file
}

fn pcapng_file(packets: &[&[u8]]) -> Vec<u8> {
    pcapng_with(&[1, 20, 1 << 16, 0, 20], 1_000_000, packets)
}

/// A file with this interface description, whose timestamps count so many units a second.
fn pcapng_with(interface: &[u32], per_second: u64, packets: &[&[u8]]) -> Vec<u8> {
    let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 0x0001_0000, 0xffff_ffff, 0xffff_ffff, 28]);
    file.extend(words(interface));
    for (packet, seconds) in packets.iter().zip(1_u64..) {
        let length = u32::try_from(packet.len()).unwrap();
        let padded = length.next_multiple_of(4);
        let units = seconds * per_second + per_second / 2;
        let (high, low) = (u32::try_from(units >> 32).unwrap(), u32::try_from(units & 0xffff_ffff).unwrap());
        file.extend(words(&[6, 32 + padded, 0, high, low, length, length]));
        file.extend(*packet);
        file.resize(file.len() + usize::try_from(padded - length).unwrap(), 0);
        file.extend(words(&[32 + padded]));
    }
    file
}

#[test]
fn the_three_formats_hold_the_same_frames() {
    let packets: [&[u8]; 3] = [&[1, 2, 3], &[], &[4; 61]];
    let (expected, outcome) = frames(&pcap(1, &packets));
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(expected.len(), 3);
    let at = Duration::from_millis(1_500);
    let first = Frame { number: 1, at, link: Link::Ethernet, octets: vec![1, 2, 3] };
    assert_eq!(expected[0], first);
    for file in [snoop_file(&packets), pcapng_file(&packets)] {
        let (found, outcome) = frames(&file);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(found, expected);
    }
}

#[test]
fn timestamps_of_pcapng_have_the_unit_that_the_interface_says() {
    let with = |resolution: u32| [1, 32, 1 << 16, 0, 0x0009_0001, resolution << 24, 0, 32];
    for (resolution, per_second) in [(9, 1_000_000_000), (3, 1_000), (0, 2), (0x8a, 1_024)] {
        let file = pcapng_with(&with(resolution), per_second, &[&[1]]);
        let expected = if resolution == 0 { Duration::from_secs(3) } else { Duration::from_millis(1_500) };
        assert_eq!(frames(&file).0[0].at, expected, "{resolution:#x}");
    }
    // Units too small to count are no time at all, and no panic.
    for resolution in [0x7f, 0xff, 39] {
        let file = pcapng_with(&with(resolution), 1_000, &[&[1]]);
        assert_eq!(frames(&file).0[0].at, Duration::ZERO, "{resolution:#x}");
    }
}

#[test]
fn link_types_are_read_from_the_header() {
    for (number, link) in [
        (0, Link::Loopback),
        (101, Link::Ip),
        (113, Link::LinuxCooked),
        (276, Link::LinuxCookedV2),
        (147, Link::Unknown(147)),
    ] {
        assert_eq!(frames(&pcap(number, &[&[9]])).0[0].link, link);
    }
}

#[test]
fn a_file_that_ends_early_gives_what_was_before() {
    let packets: [&[u8]; 2] = [&[7; 40]; 2];
    for file in [pcap(1, &packets), snoop_file(&packets), pcapng_file(&packets)] {
        for length in 0..file.len() {
            let (found, _) = frames(&file[..length]);
            assert!(found.len() < 2, "{length}");
            assert!(found.iter().all(|frame| frame.octets == [7; 40]));
        }
    }
}

#[test]
fn what_is_no_capture_is_refused() {
    for file in [&b""[..], b"\0\0\0", b"GIF89a", &[0xff; 100]] {
        assert!(matches!(frames(file).1, Err(CaptureError::UnknownFormat)), "{file:?}");
    }
}

#[test]
fn a_snoop_record_with_impossible_lengths_is_damage() {
    for (included, length) in [(10, 20), (100, 40), (8, 0xffff_ffff), (0xffff_ffff, 0xffff_ffff)] {
        let mut file = snoop_file(&[]);
        file.extend(words(&[8, included, length, 0, 0, 0]));
        file.extend([0; 64]);
        assert!(
            matches!(frames(&file).1, Err(CaptureError::Damaged { packets: 0, .. })),
            "{included} {length}"
        );
    }
}
