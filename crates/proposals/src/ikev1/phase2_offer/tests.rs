use super::*;

const SPI: EspSpi = EspSpi::MIN;
const TUNNEL: Phase2Wanted = Phase2Wanted { mode: Encapsulation::TUNNEL, key_exchange: false };

fn esp(list: &[&str]) -> Vec<Proposal> {
    list.iter().map(|keywords| Proposal::esp(keywords).unwrap()).collect()
}

fn ah(list: &[&str]) -> Vec<Proposal> {
    list.iter().map(|keywords| Proposal::ah(keywords).unwrap()).collect()
}

fn offer_of(proposals: &[Proposal]) -> SaPayload {
    let group = pfs_groups(proposals).first().copied().flatten();
    let life = Phase2Life { seconds: Some(3_600), kilobytes: None };
    offer_phase2(proposals, &Phase2Offer { spi: SPI, mode: Encapsulation::TUNNEL, group, life })
}

fn chosen(ours: &[Proposal], offer: &SaPayload, wanted: Phase2Wanted) -> Result<String, TransformMismatch> {
    select_phase2(ours, offer, Prefer::Local, wanted).map(|(terms, _)| terms.suite.to_string())
}

fn short(kind: phase2::Attribute, value: u16) -> Attribute {
    Attribute { kind: kind.0, value: AttributeValue::Short(value) }
}

fn raw(protocol: Protocol, id: u8, attributes: &[(phase2::Attribute, u16)]) -> SaPayload {
    let attributes = attributes.iter().map(|&(kind, value)| short(kind, value)).collect();
    let transforms = Vec::from([Transform { number: 1, id, attributes }]);
    wrap(Vec::from([OfferedProposal { number: 1, protocol, spi: SPI.to_be_bytes().to_vec(), transforms }]))
}

const MODE: phase2::Attribute = phase2::Attribute::ENCAPSULATION_MODE;
const AUTH: phase2::Attribute = phase2::Attribute::AUTHENTICATION_ALGORITHM;
const KEY: phase2::Attribute = phase2::Attribute::KEY_LENGTH;

#[test]
fn every_cipher_with_a_number_goes_there_and_back() {
    let suites = [
        ("aes128-sha256", 12),
        ("aes256-md5", 12),
        ("aes192ctr-sha1", 13),
        ("aes128ccm8", 14),
        ("aes128ccm12", 15),
        ("aes256ccm16", 16),
        ("aes128gcm8", 18),
        ("aes192gcm12", 19),
        ("aes256gcm16", 20),
        ("3des-sha1", 3),
        ("null-sha512", 11),
        ("aes128-aesxcbc", 12),
        ("camellia256-sha384", 22),
        ("aes128gmac", 23),
        ("aes256-sha256-esn", 12),
    ];
    for (keywords, id) in suites {
        let ours = esp(&[keywords]);
        let offer = offer_of(&ours);
        assert_eq!(offer.proposals[0].transforms[0].id, id, "{keywords}");
        let (terms, answer) = select_phase2(&ours, &offer, Prefer::Local, TUNNEL).unwrap();
        assert_eq!(terms.suite.to_string(), keywords);
        assert_eq!((terms.tunnel, terms.udp, terms.spi), (true, false, SPI));
        assert_eq!(terms.life, Phase2Life { seconds: Some(3_600), kilobytes: None });
        let theirs = EspSpi::new(0x1234_5678).unwrap();
        let confirmed = confirm_phase2(&offer, &answer.with_spi(theirs)).unwrap();
        assert_eq!(confirmed, Phase2Terms { spi: theirs, ..terms });
    }
    assert!(offer_of(&esp(&["chacha20poly1305"])).proposals.is_empty());
    assert!(offer_of(&esp(&["aes128-aescmac"])).proposals.is_empty());
}

#[test]
fn ah_needs_the_authentication_that_fits_its_transform() {
    for (keywords, id, authentication) in [
        ("md5", 2, 1),
        ("sha1", 3, 2),
        ("sha256", 5, 5),
        ("sha384", 6, 6),
        ("sha512", 7, 7),
        ("aesxcbc", 9, 9),
    ] {
        let ours = ah(&[keywords]);
        let offer = offer_of(&ours);
        assert_eq!(chosen(&ours, &offer, TUNNEL).unwrap(), keywords);
        let by_hand = raw(Protocol::AH, id, &[(MODE, 1), (AUTH, authentication)]);
        assert_eq!(chosen(&ours, &by_hand, TUNNEL).unwrap(), keywords);
        let misfit = raw(Protocol::AH, id, &[(MODE, 1), (AUTH, authentication % 7 + 1)]);
        assert!(chosen(&ours, &misfit, TUNNEL).is_err(), "{keywords}");
        let alone = raw(Protocol::AH, id, &[(MODE, 1)]);
        assert!(chosen(&ours, &alone, TUNNEL).is_err(), "{keywords}");
    }
}

#[test]
fn the_numbers_of_modes_in_udp_are_the_same_before_and_after_the_rfc() {
    let ours = esp(&["aes128-sha1"]);
    let modes = [(1, true, false), (2, false, false), (3, true, true), (4, false, true)];
    let drafts = [(61_443, true, true), (61_444, false, true)];
    for (number, tunnel, udp) in modes.into_iter().chain(drafts) {
        let offer = raw(Protocol::ESP, 12, &[(MODE, number), (AUTH, 2), (KEY, 128)]);
        for (wanted, wants_tunnel, wants_udp) in modes.into_iter().chain(drafts) {
            let wanted = Phase2Wanted { mode: Encapsulation(wanted), key_exchange: false };
            let found = select_phase2(&ours, &offer, Prefer::Local, wanted);
            assert_eq!(found.is_ok(), (tunnel, udp) == (wants_tunnel, wants_udp));
            match found {
                Ok((terms, _)) => assert_eq!((terms.tunnel, terms.udp), (tunnel, udp)),
                Err(mismatch) => assert_eq!(mismatch.differing[0].attribute, "mode"),
            }
        }
    }
    let unsaid = raw(Protocol::ESP, 12, &[(AUTH, 2), (KEY, 128)]);
    assert!(chosen(&ours, &unsaid, TUNNEL).is_ok());
    let unknown = raw(Protocol::ESP, 12, &[(MODE, 77), (AUTH, 2), (KEY, 128)]);
    let mismatch = chosen(&ours, &unknown, TUNNEL).unwrap_err();
    assert!(mismatch.to_string().contains("mode: ours tunnel, offered mode 77"), "{mismatch}");
}

#[test]
fn a_combined_mode_has_no_authentication_and_everything_else_needs_it() {
    let gcm = esp(&["aes128gcm16"]);
    let beside = raw(Protocol::ESP, 20, &[(MODE, 1), (AUTH, 2), (KEY, 128)]);
    let mismatch = chosen(&gcm, &beside, TUNNEL).unwrap_err();
    assert!(mismatch.to_string().contains("authentication: ours nothing, offered sha1"), "{mismatch}");
    let cbc = esp(&["aes128-sha1"]);
    let bare = raw(Protocol::ESP, 12, &[(MODE, 1), (KEY, 128)]);
    let mismatch = chosen(&cbc, &bare, TUNNEL).unwrap_err();
    assert!(mismatch.to_string().contains("authentication: ours sha1, offered nothing"), "{mismatch}");
}

#[test]
fn key_lengths_are_said_where_there_are_several_and_nowhere_else() {
    let ours = esp(&["aes128-sha1", "3des-sha1"]);
    for (id, bits, good) in [
        (12, Some(128), true),
        (12, Some(256), false),
        (12, None, false),
        (3, None, true),
        (3, Some(192), false),
    ] {
        let mut attributes = Vec::from([(MODE, 1), (AUTH, 2)]);
        attributes.extend(bits.map(|bits| (KEY, bits)));
        let offer = raw(Protocol::ESP, id, &attributes);
        assert_eq!(chosen(&ours, &offer, TUNNEL).is_ok(), good, "{id} {bits:?}");
    }
}

#[test]
fn perfect_forward_secrecy_needs_group_and_key_exchange_payload() {
    let pfs = Phase2Wanted { key_exchange: true, ..TUNNEL };
    let with = esp(&["aes128-sha1-modp2048-modp1024"]);
    let without = esp(&["aes128-sha1"]);
    assert_eq!(pfs_groups(&with), [Some(KeyExchangeId::MODP_2048), Some(KeyExchangeId::MODP_1024)]);
    assert_eq!(pfs_groups(&without), [None]);
    let offer = offer_of(&with);
    assert_eq!(offer.proposals[0].transforms.len(), 1, "one group");
    assert_eq!(chosen(&with, &offer, pfs).unwrap(), "aes128-sha1-modp2048");
    assert!(chosen(&with, &offer, TUNNEL).is_err(), "a group and no payload");
    assert!(chosen(&without, &offer_of(&without), pfs).is_err(), "a payload and no group");
    let mismatch = chosen(&without, &offer, pfs).unwrap_err();
    assert!(mismatch.to_string().contains("PFS group: ours none, offered modp2048"), "{mismatch}");
    let mismatch = chosen(&with, &offer_of(&without), TUNNEL).unwrap_err();
    assert!(mismatch.to_string().contains("PFS group: ours modp2048/modp1024, offered none"), "{mismatch}");
    // Optional here.
    let either = esp(&["aes128-sha1-modp2048-modpnone"]);
    assert_eq!(pfs_groups(&either), [Some(KeyExchangeId::MODP_2048), None]);
    assert_eq!(chosen(&either, &offer, pfs).unwrap(), "aes128-sha1-modp2048");
    assert_eq!(chosen(&either, &offer_of(&without), TUNNEL).unwrap(), "aes128-sha1");
}

#[test]
fn long_sequence_numbers_are_said_and_short_ones_are_not() {
    let kind = phase2::Attribute::EXTENDED_SEQUENCE_NUMBER;
    let both = esp(&["aes128gcm16-esn-noesn"]);
    let offer = offer_of(&both);
    let has: Vec<bool> =
        offer.proposals[0].transforms.iter().map(|transform| transform.attribute(kind.0).is_some()).collect();
    assert_eq!(has, [true, false]);
    assert_eq!(chosen(&both, &offer, TUNNEL).unwrap(), "aes128gcm16-esn");
    assert_eq!(chosen(&esp(&["aes128gcm16"]), &offer, TUNNEL).unwrap(), "aes128gcm16");
    let odd = raw(Protocol::ESP, 20, &[(MODE, 1), (KEY, 128), (kind, 2)]);
    assert!(chosen(&both, &odd, TUNNEL).is_err());
}

#[test]
fn protocols_that_belong_together_are_refused_and_alternatives_beside_them_are_not() {
    let ours = esp(&["aes128-sha1"]);
    let mut offer = offer_of(&ours);
    let ipcomp = OfferedProposal {
        number: 1,
        protocol: Protocol::IPCOMP,
        spi: Vec::from([0, 2]),
        transforms: Vec::from([Transform { number: 1, id: 2, attributes: Vec::new() }]),
    };
    let alone = offer.proposals[0].clone();
    offer.proposals.push(ipcomp);
    let mismatch = chosen(&ours, &offer, TUNNEL).unwrap_err();
    assert_eq!(mismatch.defect, Some(TransformDefect::Bundle));
    assert!(mismatch.offered.iter().any(|text| text.contains("IPCOMP")), "{mismatch}");
    offer.proposals.push(OfferedProposal { number: 2, ..alone });
    let (_, answer) = select_phase2(&ours, &offer, Prefer::Local, TUNNEL).unwrap();
    assert_eq!(answer.proposals[0].number, 2);
}

#[test]
fn runs_of_one_protocol_are_one_proposal() {
    let mixed = [esp(&["aes128-sha1", "aes256gcm16"]), ah(&["sha256"]), esp(&["3des-md5"])].concat();
    let offer = offer_of(&mixed);
    let shape: Vec<(u8, Protocol, usize)> = offer
        .proposals
        .iter()
        .map(|proposal| (proposal.number, proposal.protocol, proposal.transforms.len()))
        .collect();
    assert_eq!(shape, [(1, Protocol::ESP, 2), (2, Protocol::AH, 1), (3, Protocol::ESP, 1)]);
    assert_eq!(chosen(&ah(&["sha256"]), &offer, TUNNEL).unwrap(), "sha256");
    assert_eq!(chosen(&esp(&["3des-md5"]), &offer, TUNNEL).unwrap(), "3des-md5");
}

#[test]
fn an_spi_must_be_one() {
    let ours = esp(&["aes128-sha1"]);
    for spi in [&[][..], &[0, 0, 0, 255], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        let mut offer = offer_of(&ours);
        offer.proposals[0].spi = spi.to_vec();
        assert_eq!(chosen(&ours, &offer, TUNNEL).unwrap_err().defect, Some(TransformDefect::Spi));
        assert_eq!(confirm_phase2(&offer_of(&ours), &offer).unwrap_err().defect, Some(TransformDefect::Spi));
    }
}

#[test]
fn lifetimes_of_both_kinds_are_read_in_short_and_long_form() {
    let life = |value: &[AttributeValue], kind: u16| {
        let values = value.iter().map(|value| Attribute { kind: 2, value: value.clone() });
        values.flat_map(|duration| [short(phase2::Attribute(1), kind), duration]).collect::<Vec<_>>()
    };
    let long = |octets: &[u8]| AttributeValue::Long(octets.to_vec());
    let read = |attributes: &[Attribute]| Phase2Life::read(attributes);
    let seconds = |seconds| Some(Phase2Life { seconds, kilobytes: None });
    assert_eq!(read(&[]), seconds(None));
    assert_eq!(read(&life(&[AttributeValue::Short(300)], 1)), seconds(Some(300)));
    assert_eq!(read(&life(&[long(&[0, 1, 0x51, 0x80])], 1)), seconds(Some(86_400)));
    assert_eq!(read(&life(&[long(&[0x51, 0x80])], 1)), seconds(Some(0x5180)));
    assert_eq!(read(&life(&[long(&[1, 0, 0, 0, 0])], 1)), seconds(Some(u32::MAX)));
    assert_eq!(read(&life(&[long(&[0; 9])], 1)), None, "no number");
    assert_eq!(read(&life(&[AttributeValue::Short(0)], 1)), seconds(None), "no limit");
    assert_eq!(read(&life(&[AttributeValue::Short(1), AttributeValue::Short(2)], 1)), None);
    let both = [life(&[AttributeValue::Short(9)], 1), life(&[long(&[0, 0x46, 0x50, 0])], 2)].concat();
    assert_eq!(read(&both), Some(Phase2Life { seconds: Some(9), kilobytes: Some(4_608_000) }));
    let written = read(&both).unwrap().attributes();
    assert_eq!(written, both);
}

#[test]
fn an_answer_may_add_a_lifetime_and_nothing_else() {
    let offered = offer_of(&esp(&["aes128-sha1"]));
    let mut answer = offered.clone();
    // Half the time, as a second transform number and in another order.
    answer.proposals[0].number = 9;
    answer.proposals[0].transforms[0].number = 5;
    answer.proposals[0].transforms[0].attributes.reverse();
    answer.proposals[0].transforms[0].attributes.swap(0, 1);
    answer.proposals[0].transforms[0].attributes[1] = short(phase2::Attribute::SA_LIFE_DURATION, 1_800);
    let attributes = &mut answer.proposals[0].transforms[0].attributes;
    attributes.push(short(phase2::Attribute::SA_LIFE_TYPE, 2));
    attributes.push(short(phase2::Attribute::SA_LIFE_DURATION, 5_000));
    let terms = confirm_phase2(&offered, &answer).unwrap();
    assert_eq!(terms.life, Phase2Life { seconds: Some(1_800), kilobytes: Some(5_000) });
    let mut other = offered.clone();
    other.proposals[0].transforms[0].id = EspTransform::AES_CTR.0;
    let mismatch = confirm_phase2(&offered, &other).unwrap_err();
    assert_eq!(mismatch.differing[0].attribute, "encryption");
    let mut other = offered.clone();
    other.proposals[0].transforms[0].attributes[0] = short(MODE, 2);
    assert_eq!(confirm_phase2(&offered, &other).unwrap_err().differing[0].attribute, "mode");
}
