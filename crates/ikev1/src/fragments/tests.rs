use super::*;
use crate::wire::parse;

const NOW: Instant = Instant::from_secs(100);
const LIMIT: usize = 16_384;

fn message(length: usize) -> Vec<u8> {
    let mut octets: Vec<u8> = (0..=250).cycle().take(length).collect();
    octets[17] = 0x10;
    octets[18] = 2;
    octets[19] = Flags::ENCRYPTED;
    octets[24..28].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    octets
}

fn part(octets: &[u8]) -> FragmentPayload {
    let Body::Clear(payloads) = parse(octets).unwrap().body else { panic!("encrypted") };
    let [Payload::Fragment(part)] = payloads.as_slice() else { panic!("{payloads:?}") };
    part.clone()
}

#[test]
fn a_message_survives_being_cut_in_any_order_and_with_repetitions() {
    for (length, always, count) in [(1_229, false, 2), (3_000, false, 3), (16_000, false, 14), (80, true, 2)]
    {
        let whole = message(length);
        let cut = split(&whole, always).unwrap();
        assert_eq!(cut.len(), count);
        assert!(cut.iter().all(|fragment| fragment.len() <= LONGEST));
        let mut parts: Vec<_> = cut.iter().map(|fragment| part(fragment)).collect();
        parts.reverse();
        let mut reassembly = Reassembly::default();
        let (last, others) = parts.split_last().unwrap();
        for part in others {
            assert_eq!(reassembly.take(NOW, LIMIT, part), Ok(None));
            assert_eq!(reassembly.take(NOW, LIMIT, part), Ok(None));
        }
        assert_eq!(reassembly.take(NOW, LIMIT, last), Ok(Some(whole.clone())));
        // The message again, as a peer repeats it.
        let again: Vec<_> =
            parts.iter().filter_map(|part| reassembly.take(NOW, LIMIT, part).unwrap()).collect();
        assert_eq!(again, [whole]);
    }
}

#[test]
fn what_is_short_enough_or_far_too_long_is_not_cut() {
    assert!(split(&message(LONGEST), false).is_none());
    assert!(split(&message(100_000), true).is_none());
    assert!(split(&[1; 20], true).is_none());
}

#[test]
fn fragments_are_bounded_and_give_way_to_later_ones() {
    let fragment =
        |id, number, is_last, data: &[u8]| FragmentPayload { id, number, is_last, data: data.to_vec() };
    let mut reassembly = Reassembly::default();
    let mut take = |now, part| reassembly.take(now, 20, &part);
    assert_eq!(take(NOW, fragment(1, MOST + 1, false, b"x")), Err(DropReason::Malformed));
    assert_eq!(take(NOW, fragment(1, 1, false, b"")), Err(DropReason::Malformed));
    // Longer than a message may be.
    assert_eq!(take(NOW, fragment(1, 1, false, &[0; 15])), Ok(None));
    assert_eq!(take(NOW, fragment(1, 2, true, &[0; 15])), Err(DropReason::TooLong));
    // One past the last.
    assert_eq!(take(NOW, fragment(1, 3, false, b"c")), Ok(None));
    assert_eq!(take(NOW, fragment(1, 2, true, b"b")), Err(DropReason::Malformed));
    // Of two that say they are the last, the later one counts.
    assert_eq!(take(NOW, fragment(1, 2, true, b"b")), Ok(None));
    assert_eq!(take(NOW, fragment(1, 3, true, b"c")), Ok(None));
    // Another content, or another id, begins another message.
    assert_eq!(take(NOW, fragment(1, 3, false, b"d")), Ok(None));
    assert_eq!(take(NOW, fragment(2, 1, false, b"a")), Ok(None));
    assert_eq!(take(NOW, fragment(2, 2, true, b"b")), Ok(Some(b"ab".to_vec())));
    // What takes too long is forgotten.
    assert_eq!(take(NOW, fragment(3, 1, false, b"a")), Ok(None));
    assert_eq!(take(NOW + PATIENCE, fragment(3, 2, true, b"b")), Ok(None));
    assert_eq!(take(NOW + PATIENCE, fragment(3, 1, false, b"a")), Ok(Some(b"ab".to_vec())));
}

#[test]
fn fragments_of_another_implementation_make_its_message() {
    // The fourth and fifth message of a recorded session, which are two fragments.
    let text = include_str!("../../tests/captures/v1-main-rsa-frag.json");
    let root: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut reassembly = Reassembly::default();
    let mut whole = None;
    for frame in root["frames"].as_array().unwrap() {
        let digits = frame["payload"].as_str().unwrap();
        let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let octets: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
        if frame["kind"] == "espudp" || frame["chain"] != serde_json::json!([132]) {
            continue;
        }
        assert!(whole.is_none());
        whole = reassembly.take(NOW, LIMIT, &part(&octets)).unwrap();
    }
    let whole = whole.unwrap();
    let (header, _) = IkeHeader::parse(&whole).unwrap();
    assert!(header.flags.has(Flags::ENCRYPTED));
    assert!(parse(&whole).is_ok());
}
