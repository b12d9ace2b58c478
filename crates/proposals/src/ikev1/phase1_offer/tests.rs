use super::*;

const PSK: Authentication = Authentication::PRE_SHARED_KEY;
const XAUTH: Authentication = Authentication::XAUTH_INIT_PRE_SHARED;

fn ike(list: &[&str]) -> Vec<Proposal> {
    list.iter().map(|keywords| Proposal::ike(keywords).unwrap()).collect()
}

fn short(kind: phase1::Attribute, value: u16) -> Attribute {
    Attribute { kind: kind.0, value: AttributeValue::Short(value) }
}

/// `aes128-sha1-modp1024` with a pre-shared key and a life of 4 hours and 24 minutes, as strongSwan says it.
fn attributes() -> Vec<Attribute> {
    use phase1::Attribute as Kind;
    Vec::from([
        short(Kind::ENCRYPTION_ALGORITHM, 7),
        short(Kind::KEY_LENGTH, 128),
        short(Kind::HASH_ALGORITHM, 2),
        short(Kind::GROUP_DESCRIPTION, 2),
        short(Kind::AUTHENTICATION_METHOD, 1),
        short(Kind::LIFE_TYPE, 1),
        short(Kind::LIFE_DURATION, 15_840),
    ])
}

fn offer(transforms: &[Vec<Attribute>]) -> SaPayload {
    let transforms = transforms
        .iter()
        .zip(7..)
        .map(|(attributes, number)| Transform { number, id: 1, attributes: attributes.clone() })
        .collect();
    wrap(Vec::from([OfferedProposal { number: 3, protocol: Protocol::ISAKMP, spi: Vec::new(), transforms }]))
}

fn select(list: &[&str], offer: &SaPayload) -> Result<Phase1Suite, TransformMismatch> {
    select_phase1(&ike(list), &[PSK], offer, Prefer::Local).map(|(suite, _)| suite)
}

const OURS: &[&str] = &["aes128-sha1-modp1024"];

#[test]
fn the_chosen_transform_is_echoed_exactly_as_it_was_offered() {
    // The other way round, and with a duration of four octets where two would do.
    let mut second = attributes();
    second.reverse();
    second.swap(0, 1);
    second[1].value = AttributeValue::Long(Vec::from([0, 0, 0x3d, 0xe0]));
    let mut first = attributes();
    first[1] = short(phase1::Attribute::KEY_LENGTH, 256);
    let offer = offer(&[first, second]);
    let (suite, answer) = select_phase1(&ike(OURS), &[PSK], &offer, Prefer::Local).unwrap();
    assert_eq!(suite.to_string(), "aes128-sha1-modp1024 (pre-shared key)");
    assert_eq!(suite.life, Some(Duration::from_secs(15_840)));
    let [only] = answer.proposals.as_slice() else { panic!("{answer:?}") };
    assert_eq!((only.number, only.transforms.len()), (3, 1));
    assert_eq!(only.transforms[0], offer.proposals[0].transforms[1]);
    assert_eq!(confirm_phase1(&offer, &answer).unwrap(), suite);
}

#[test]
fn whoever_is_preferred_decides_among_several() {
    let theirs = ["aes256-sha256-modp2048-ecp256", "aes128-sha1-modp1024"];
    let ours = ["aes128-sha1-modp1024", "aes256-sha256-ecp256-modp2048"];
    let offer = offer_phase1(&ike(&theirs), PSK, None);
    let chosen = |prefer| select_phase1(&ike(&ours), &[PSK], &offer, prefer).unwrap().0.ike.to_string();
    assert_eq!(chosen(Prefer::Local), "aes128-sha1-modp1024");
    assert_eq!(chosen(Prefer::Peer), "aes256-sha256-modp2048");
}

#[test]
fn several_proposals_are_as_good_as_several_transforms() {
    let together = offer_phase1(&ike(&["aes256-aes128-sha1-modp2048-modp1024"]), PSK, None);
    assert_eq!(together.proposals[0].transforms.len(), 4);
    let mut apart = together.clone();
    let only = apart.proposals.remove(0);
    for (number, transform) in (1..).zip(only.transforms) {
        let transforms = Vec::from([transform]);
        apart.proposals.push(OfferedProposal { number, spi: Vec::from([1, 2]), transforms, ..only });
    }
    let of = |offer: &SaPayload| select(OURS, offer).unwrap();
    assert_eq!(of(&together), of(&apart));
}

#[test]
fn what_is_not_understood_makes_a_transform_unacceptable() {
    use phase1::Attribute as Kind;
    type Spoil = fn(&mut Vec<Attribute>);
    let spoilt: [(&str, Spoil); 9] = [
        ("Group Type = 1", |all| all.push(short(Kind::GROUP_TYPE, 1))),
        ("PRF = 1", |all| all.push(short(Kind::PRF, 1))),
        ("attribute 16385 = 5", |all| all.push(Attribute { kind: 16_385, value: AttributeValue::Short(5) })),
        ("Hash Algorithm = 4", |all| all.push(short(Kind::HASH_ALGORITHM, 4))),
        ("Life Duration = 15840", |all| {
            all.remove(5);
        }),
        ("a life type without a duration", |all| {
            all.pop();
        }),
        ("Life Type = 9", |all| all[5] = short(Kind::LIFE_TYPE, 9)),
        ("Encryption Algorithm", |all| all[0].value = AttributeValue::Long(Vec::new())),
        ("Encryption Algorithm = 65543", |all| all[0].value = AttributeValue::Long(Vec::from([1, 0, 7]))),
    ];
    for (words, spoil) in spoilt {
        let mut one = attributes();
        spoil(&mut one);
        let mismatch = select(OURS, &offer(core::slice::from_ref(&one))).unwrap_err();
        assert!(mismatch.to_string().contains(words), "{words}: {mismatch}");
        // The one beside it is not affected.
        assert!(select(OURS, &offer(&[one, attributes()])).is_ok());
    }
    // To say the same thing twice is to say it.
    let mut twice = attributes();
    twice.push(short(Kind::HASH_ALGORITHM, 2));
    assert!(select(OURS, &offer(&[twice])).is_ok());
}

#[test]
fn what_is_missing_is_not_guessed() {
    for missing in 0..5 {
        let mut one = attributes();
        one.remove(missing);
        let mismatch = select(OURS, &offer(&[one])).unwrap_err();
        assert!(mismatch.to_string().contains("offered"), "{mismatch}");
    }
    let mut without_life = attributes();
    without_life.truncate(5);
    assert_eq!(select(OURS, &offer(&[without_life])).unwrap().life, None);
}

#[test]
fn a_mismatch_says_attribute_by_attribute_what_differs() {
    let mut theirs = attributes();
    theirs[1] = short(phase1::Attribute::KEY_LENGTH, 256);
    theirs[4] = short(phase1::Attribute::AUTHENTICATION_METHOD, 65_001);
    let mismatch = select(&["aes128-sha256-modp1024", "3des-md5-modp768"], &offer(&[theirs])).unwrap_err();
    assert_eq!(mismatch.nearest_local.as_deref(), Some("aes128-sha256-modp1024"));
    let differing: Vec<&str> = mismatch.differing.iter().map(|one| one.attribute).collect();
    assert_eq!(differing, ["encryption", "hash", "authentication"]);
    assert_eq!(
        mismatch.to_string(),
        "no common transform; nearest of ours is aes128-sha256-modp1024, encryption: ours aes128, offered \
         aes256, hash: ours sha256, offered sha1, authentication: ours pre-shared key, offered \
         XAUTHInitPreShared; the peer has aes256-sha1-modp1024 (XAUTHInitPreShared)"
    );
}

#[test]
fn the_method_must_be_one_of_ours() {
    let offer = offer_phase1(&ike(OURS), XAUTH, None);
    assert!(select_phase1(&ike(OURS), &[PSK], &offer, Prefer::Local).is_err());
    let (suite, _) = select_phase1(&ike(OURS), &[PSK, XAUTH], &offer, Prefer::Local).unwrap();
    assert_eq!(suite.authentication, XAUTH);
}

#[test]
fn what_version_1_cannot_say_is_left_out() {
    let count = |list: &[&str]| offer_phase1(&ike(list), PSK, None).proposals[0].transforms.len();
    assert_eq!(count(&["aes128gcm16-prfsha256-ecp256"]), 0);
    assert_eq!(count(&["aes128-sha256-curve25519"]), 0);
    assert_eq!(count(&["aes128-sha256-prfsha1-modp2048"]), 0);
    assert_eq!(count(&["aes128-aesxcbc-modp2048"]), 0);
    assert_eq!(count(&["aes128-sha256-modp2048-ke1_mlkem768"]), 0);
    assert_eq!(count(&["aes128-aes192-sha256-sha1-modp2048-curve25519"]), 4);
    let mismatch = select(&["aes128gcm16-prfsha256-ecp256"], &offer(&[attributes()])).unwrap_err();
    assert!(mismatch.to_string().contains("hash: ours nothing, offered sha1"), "{mismatch}");
}

#[test]
fn no_more_is_offered_than_a_peer_will_read() {
    let long =
        "aes128-aes192-aes256-camellia128-3des-sha1-sha256-sha384-sha512-modp2048-modp3072-ecp256-ecp384";
    let offer = offer_phase1(&ike(&[long]), PSK, Some(Duration::from_secs(86_400)));
    assert_eq!(offer.proposals[0].transforms.len(), MOST_OFFERED);
    let numbers = offer.proposals[0].transforms.iter().map(|transform| transform.number);
    assert!(numbers.eq(1..=60));
}

#[test]
fn an_answer_must_be_one_transform_of_the_offer() {
    let offered = offer_phase1(&ike(&["aes256-aes128-sha1-modp1024"]), PSK, None);
    let refused = |answer: &SaPayload| confirm_phase1(&offered, answer).unwrap_err();
    // Two, none, two proposals.
    assert_eq!(refused(&offered).defect, Some(TransformDefect::Count));
    assert_eq!(refused(&wrap(Vec::new())).defect, Some(TransformDefect::Protocol));
    let one = offer(&[attributes()]);
    let twice = wrap([one.proposals.clone(), one.proposals.clone()].concat());
    assert_eq!(refused(&twice).defect, Some(TransformDefect::Count));
    // One that was not offered.
    let other = offer_phase1(&ike(&["aes192-sha1-modp1024"]), PSK, None);
    let mismatch = refused(&other);
    assert_eq!(mismatch.differing[0].attribute, "encryption");
    // Another number does not matter, nor does a shorter life.
    assert_eq!(confirm_phase1(&offered, &one).unwrap().life, Some(Duration::from_secs(15_840)));
    let short_lived = offer_phase1(&ike(OURS), PSK, Some(Duration::from_secs(60)));
    assert_eq!(confirm_phase1(&short_lived, &one).unwrap().life, Some(Duration::from_secs(60)));
}

#[test]
fn another_domain_situation_or_protocol_is_refused_and_named() {
    let good = offer(&[attributes()]);
    let defect = |offer: &SaPayload| select(OURS, offer).unwrap_err().defect;
    assert_eq!(defect(&SaPayload { doi: 2, ..good.clone() }), Some(TransformDefect::Situation));
    assert_eq!(defect(&SaPayload { situation: 3, ..good.clone() }), Some(TransformDefect::Situation));
    let mut esp = good;
    esp.proposals[0].protocol = Protocol::ESP;
    assert_eq!(defect(&esp), Some(TransformDefect::Protocol));
}

#[test]
fn groups_can_be_listed_and_singled_out() {
    let all = ike(&["aes128-sha256-modp2048-curve25519-ecp256", "aes256-sha256-ecp256-modp1024"]);
    let groups = phase1_groups(&all);
    assert_eq!(groups, [KeyExchangeId::MODP_2048, KeyExchangeId::ECP_256, KeyExchangeId::MODP_1024]);
    let texts: Vec<String> =
        only_group(&all, KeyExchangeId::ECP_256).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["aes128-sha256-ecp256", "aes256-sha256-ecp256"]);
    assert_eq!(only_group(&all, KeyExchangeId::MODP_1024).len(), 1);
}
