//! Identities on the wire, as text, and against patterns.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

use ikebana_core::identity::{IdentityError, IdentityProblem, MAX_IDENTITY_OCTETS};
use ikebana_core::{IdType, Identity, IdentityPattern};
use proptest::collection::vec;
use proptest::prelude::*;

/// `C=CH, O=Linux strongSwan, CN=moon.strongswan.org` as openssl encodes it with `string_mask = nombstr`.
const MOON: &str = "3046310b300906035504061302434831193017060355040a13104c696e7578207374726f6e675377\
     616e311c301a060355040313136d6f6f6e2e7374726f6e677377616e2e6f7267";

/// The same name as openssl encodes it by default, with UTF8String.
const MOON_UTF8: &str = "3046310b300906035504061302434831193017060355040a0c104c696e7578207374726f6e675377\
     616e311c301a06035504030c136d6f6f6e2e7374726f6e677377616e2e6f7267";

fn parse(text: &str) -> Identity {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn pattern(text: &str) -> IdentityPattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn problem(text: &str) -> IdentityProblem {
    text.parse::<Identity>().unwrap_err().problem
}

fn on_wire(identity: &Identity) -> Identity {
    Identity::from_wire(identity.id_type(), &identity.data()).unwrap()
}

fn identity() -> impl Strategy<Value = Identity> {
    let types = prop_oneof![
        Just(IdType::FQDN),
        Just(IdType::RFC822_ADDR),
        Just(IdType::KEY_ID),
        Just(IdType::DER_ASN1_GN),
        any::<u8>().prop_map(IdType),
    ];
    let texts = "[ -~]{1,40}".prop_map(String::into_bytes);
    let distinguished = vec(("(C|O|OU|CN|DC|E|UID|SN)", "[ -~äöü€\u{7f}\u{202e}]{1,12}"), 1..5);
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Identity::Ipv4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Identity::Ipv6(octets.into())),
        (types, prop_oneof![texts, vec(any::<u8>(), 1..40)])
            .prop_filter_map("no such identity", |(kind, data)| Identity::from_wire(kind, &data).ok()),
        distinguished.prop_filter_map("no such name", |parts| {
            let escape = |value: &str| value.chars().map(|char| format!("\\{char}")).collect::<String>();
            // A backslash before two hexadecimal digits would be an octet, so only others are escaped.
            let quote = |value: &str| match value.chars().any(|char| char.is_ascii_hexdigit()) {
                true => value.replace(['\\', '"', ',', '#', '*'], "x"),
                false => escape(value),
            };
            let parts: Vec<_> =
                parts.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
            parts.join(", ").parse().ok()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_identity_survives_the_wire(identity in identity()) {
        prop_assert_eq!(on_wire(&identity), identity);
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same_identity(identity in identity()) {
        let text = identity.to_string();
        let back: Identity = text.parse().map_err(|error: IdentityError| {
            TestCaseError::fail(format!("{identity:?} printed {text:?}: {error}"))
        })?;
        prop_assert!(back.is_same(&identity), "{:?} printed {:?} read {:?}", identity, text, back);
        prop_assert!(pattern(&text).matches(&identity));
    }

    #[test]
    fn nothing_that_is_printed_can_control_a_terminal(kind in any::<u8>(), data in vec(any::<u8>(), 0..60)) {
        if let Ok(identity) = Identity::from_wire(IdType(kind), &data) {
            let text = identity.to_string();
            prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
            prop_assert!(text.is_ascii());
        }
    }

    #[test]
    fn no_octets_make_the_reader_panic(kind in 0_u8..12, data in vec(any::<u8>(), 0..80)) {
        let _ = Identity::from_wire(IdType(kind), &data);
    }

    #[test]
    fn damaged_names_do_not_panic_and_stay_printable(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut der = hex(MOON);
        *at.get_mut(&mut der) = value;
        if let Ok(identity) = Identity::from_wire(IdType::DER_ASN1_DN, &der) {
            prop_assert!(!identity.to_string().chars().any(char::is_control));
            prop_assert!(identity.is_same(&identity));
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}", like in "[a-z]{0,6}[:=@#*.,\\\\\"/]{1,3}[0-9a-f=*\\\\\"]{0,9}") {
        for text in [text, like] {
            let _ = text.parse::<Identity>();
            let _ = text.parse::<IdentityPattern>();
        }
    }
}

#[test]
fn identities_read_as_swanctl_users_write_them() {
    for (text, kind, data) in [
        ("192.0.2.1", IdType::IPV4_ADDR, &[192, 0, 2, 1][..]),
        ("fe80::1", IdType::IPV6_ADDR, &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("moon.example.com", IdType::FQDN, b"moon.example.com"),
        ("@moon.example.com", IdType::FQDN, b"moon.example.com"),
        ("@192.0.2.1", IdType::FQDN, b"192.0.2.1"),
        ("carol@example.com", IdType::RFC822_ADDR, b"carol@example.com"),
        ("@@carol", IdType::RFC822_ADDR, b"carol"),
        ("@#0a0B", IdType::KEY_ID, &[10, 11]),
        ("keyid:branch-7", IdType::KEY_ID, b"branch-7"),
        ("keyid:#0a:0b", IdType::KEY_ID, &[10, 11]),
        ("fqdn:moon", IdType::FQDN, b"moon"),
        ("dns:moon", IdType::FQDN, b"moon"),
        ("email:carol@x", IdType::RFC822_ADDR, b"carol@x"),
        ("userfqdn:carol@x", IdType::RFC822_ADDR, b"carol@x"),
        ("ipv4:192.0.2.1", IdType::IPV4_ADDR, &[192, 0, 2, 1]),
        ("ipv4:#c0000201", IdType::IPV4_ADDR, &[192, 0, 2, 1]),
        ("{2}:#6d6f6f6e", IdType::FQDN, b"moon"),
        ("{200}:#00", IdType(200), &[0]),
        ("{13}:#", IdType(13), &[]),
        ("  moon  ", IdType::FQDN, b"moon"),
    ] {
        let identity = parse(text);
        assert_eq!((identity.id_type(), identity.data().as_slice()), (kind, data), "{text}");
    }
}

#[test]
fn a_text_that_is_no_identity_says_why() {
    assert_eq!(problem(" "), IdentityProblem::Empty);
    for wildcard in ["%any", "*", "*.example.com", "*@example.com", "C=CH, CN=*", "0.0.0.0", "::"] {
        assert_eq!(problem(wildcard), IdentityProblem::Wildcard, "{wildcard}");
    }
    assert_eq!(problem("fe80::1::2"), IdentityProblem::UnknownType);
    assert_eq!(problem("ipv4:fe80::1"), IdentityProblem::BadAddress);
    assert_eq!(problem("ipv6:#00"), IdentityProblem::BadAddress);
    assert_eq!(problem("@#0"), IdentityProblem::BadHex);
    assert_eq!(problem("keyid:"), IdentityProblem::Empty);
    assert_eq!(problem("asn1dn:#3000ff"), IdentityProblem::BadDer);
    assert_eq!(problem("C=CH, XYZ=1"), IdentityProblem::UnknownAttribute("XYZ".into()));
    assert_eq!(problem("C=CH, O"), IdentityProblem::NoAttributeValue);
    assert_eq!(problem("C=CH, O="), IdentityProblem::NoAttributeValue);
    assert_eq!(problem("O=\"open"), IdentityProblem::UnfinishedValue);
    assert_eq!(problem("möön.example.com"), IdentityProblem::NotText);
    assert_eq!(problem(&"a".repeat(MAX_IDENTITY_OCTETS + 1)), IdentityProblem::TooLong);
}

#[test]
fn wrong_lengths_are_errors_and_unknown_types_are_kept() {
    for (kind, lengths) in [
        (IdType::IPV4_ADDR, &[0, 3, 5, 16][..]),
        (IdType::IPV6_ADDR, &[0, 4, 15, 17]),
        (IdType::FQDN, &[0]),
        (IdType::RFC822_ADDR, &[0]),
        (IdType::KEY_ID, &[0]),
        (IdType::DER_ASN1_DN, &[0]),
    ] {
        for length in lengths {
            assert!(Identity::from_wire(kind, &vec![1; *length]).is_err(), "{kind} {length}");
        }
    }
    for kind in [0, 4, 6, 200, 255] {
        let identity = Identity::from_wire(IdType(kind), &[1, 2]).unwrap();
        assert_eq!(identity, Identity::Other(IdType(kind), vec![1, 2]));
        assert_eq!(identity.to_string(), format!("{{{kind}}}:#0102"));
    }
    assert!(Identity::from_wire(IdType::FQDN, &vec![b'a'; 65_535]).is_err());
}

#[test]
fn a_name_with_a_hidden_tail_matches_nothing_that_was_configured() {
    let trick = Identity::from_wire(IdType::FQDN, b"moon.example.com\0.evil.org").unwrap();
    assert_eq!(trick.data(), b"moon.example.com\0.evil.org");
    assert!(!pattern("moon.example.com").matches(&trick));
    let trick = Identity::from_wire(IdType::FQDN, b"evil.org\0.example.com").unwrap();
    assert!(!pattern("*.example.com").matches(&trick));
    assert!(pattern("%any").matches(&trick));
}

#[test]
fn what_a_peer_sends_is_never_a_pattern() {
    for sent in
        ["*", "%any", "*.example.com", "*@example.com", "10.1.0.0/16", "10.0.0.1-10.0.0.9", "fd00::/8"]
    {
        for kind in [IdType::FQDN, IdType::RFC822_ADDR, IdType::KEY_ID] {
            let identity = Identity::from_wire(kind, sent.as_bytes()).unwrap();
            assert!(!pattern("moon.example.com").matches(&identity));
            assert!(pattern(&identity.to_string()).as_exact().is_some(), "{identity}");
        }
    }
}

#[test]
fn names_that_look_like_something_else_are_printed_with_their_type() {
    for (identity, printed) in [
        (Identity::Fqdn("moon".into()), "moon"),
        (Identity::Fqdn("192.0.2.1".into()), "@192.0.2.1"),
        (Identity::Fqdn("10.1.0.0/16".into()), "@10.1.0.0/16"),
        (Identity::Fqdn("10.0.0.1-10.0.0.9".into()), "@10.0.0.1-10.0.0.9"),
        (Identity::Fqdn("branch-7".into()), "branch-7"),
        (Identity::Fqdn("C=CH".into()), "@C=CH"),
        (Identity::Fqdn("@moon".into()), "{2}:#406d6f6f6e"),
        (Identity::Fqdn("\u{1b}[2J".into()), "{2}:#1b5b324a"),
        (Identity::Email("carol@x".into()), "carol@x"),
        (Identity::Email("carol".into()), "@@carol"),
        (Identity::KeyId(b"branch-7".to_vec()), "keyid:branch-7"),
        (Identity::KeyId(vec![0, 1]), "keyid:#0001"),
        (Identity::Ipv4([0, 0, 0, 0].into()), "ipv4:0.0.0.0"),
    ] {
        assert_eq!(identity.to_string(), printed);
    }
}

#[test]
fn a_pattern_that_is_printed_reads_back_as_the_same_pattern() {
    for text in [
        "%any",
        "*.example.com",
        "*@example.com",
        "*.it's-\"odd\".\\example",
        "10.1.0.0/16",
        "@10.1.0.0/16",
        "10.0.0.1-10.0.0.9",
        "fd00::1..fd00::9",
        "C=CH, O=strongSwan, CN=*",
    ] {
        assert_eq!(pattern(&pattern(text).to_string()), pattern(text), "{text}");
    }
    let range = pattern("10.0.0.1..10.0.0.9");
    assert!(range.matches(&parse("10.0.0.5")) && !range.matches(&parse("@10.0.0.1..10.0.0.9")));
    let built = IdentityPattern::FqdnBelow("\u{1b}[2J".into());
    assert_eq!(built.to_string(), "*.\\u{1b}[2J");
}

#[test]
fn domains_match_without_regard_to_case_and_mailboxes_with_it() {
    assert!(pattern("moon.Example.com").matches(&parse("MOON.example.COM")));
    assert!(!pattern("moon.example.com").matches(&parse("sun.example.com")));
    assert!(pattern("carol@Example.com").matches(&parse("carol@example.COM")));
    assert!(!pattern("carol@example.com").matches(&parse("Carol@example.com")));
    assert!(!pattern("moon").matches(&parse("keyid:moon")), "types are part of an identity");
}

#[test]
fn wildcards_match_below_their_domain_only() {
    let below = pattern("*.example.com");
    for (name, fits) in [
        ("moon.example.com", true),
        ("a.b.EXAMPLE.com", true),
        ("example.com", false),
        ("@.example.com", false),
        ("notexample.com", false),
        ("moon.example.com.evil.org", false),
        ("carol@moon.example.com", false),
    ] {
        assert_eq!(below.matches(&parse(name)), fits, "{name}");
    }
    let at = pattern("*@example.com");
    for (name, fits) in [
        ("carol@example.com", true),
        ("carol@EXAMPLE.com", true),
        ("@@@example.com", false),
        ("carol@sub.example.com", false),
        ("carol@example.com@evil.org", false),
        ("example.com", false),
    ] {
        assert_eq!(at.matches(&parse(name)), fits, "{name}");
    }
    let within = pattern("10.1.0.0/16");
    assert!(within.matches(&parse("10.1.2.3")) && !within.matches(&parse("10.2.0.1")));
    assert!(!within.matches(&parse("fe80::1")));
    assert_eq!(pattern("branch-7.example.com").as_exact(), Some(&parse("branch-7.example.com")));
    assert!("*.*.example.com".parse::<IdentityPattern>().is_err());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

#[test]
fn a_distinguished_name_has_the_encoding_that_certificates_have() {
    let moon = parse("C=CH, O=Linux strongSwan, CN=moon.strongswan.org");
    assert_eq!(moon.data(), hex(MOON));
    assert_eq!(moon.to_string(), "C=CH, O=Linux strongSwan, CN=moon.strongswan.org");
    assert_eq!(parse("/C=CH/O=Linux strongSwan/CN=moon.strongswan.org"), moon);
    assert_eq!(parse("asn1dn:C=CH,O=Linux strongSwan,CN=moon.strongswan.org"), moon);
    assert_eq!(parse(&format!("asn1dn:#{MOON}")), moon);
    assert_eq!(parse("2.5.4.6=CH, o=Linux strongSwan, cn=moon.strongswan.org"), moon);
}

#[test]
fn distinguished_names_are_compared_as_text_and_in_order() {
    let moon = pattern("C=CH, O=Linux strongSwan, CN=moon.strongswan.org");
    assert!(moon.matches(&parse("C=ch, O=LINUX strongswan, CN=Moon.strongSwan.org")));
    let utf8 = Identity::from_wire(IdType::DER_ASN1_DN, &hex(MOON_UTF8)).unwrap();
    assert!(moon.matches(&utf8));
    assert_eq!(utf8.to_string(), "C=CH, O=Linux strongSwan, CN=moon.strongswan.org");
    assert!(moon.matches(&parse("C=#0c024348, O=Linux strongSwan, CN=moon.strongswan.org")));
    assert!(!moon.matches(&parse("O=Linux strongSwan, C=CH, CN=moon.strongswan.org")));
    assert!(!moon.matches(&parse("C=CH, O=Linux strongSwan")));
    assert!(!moon.matches(&parse("C=CH, O=Linux strongSwan, CN=sun.strongswan.org")));
}

#[test]
fn an_open_value_stands_for_one_attribute_and_no_more() {
    let any = pattern("C=CH, O=*, CN=*");
    assert!(any.matches(&parse("C=CH, O=Linux strongSwan, CN=moon")));
    assert!(!any.matches(&parse("C=DE, O=Linux strongSwan, CN=moon")));
    assert!(!any.matches(&parse("C=CH, O=Linux strongSwan, OU=Sales, CN=moon")));
    assert!(!any.matches(&parse("C=CH, O=Linux strongSwan")));
    assert_eq!(any.to_string(), "C=CH, O=*, CN=*");
    // A quoted star is a star.
    assert!(pattern("CN=\"*\"").as_exact().is_some());
}

#[test]
fn escapes_and_quotes_in_distinguished_names_keep_their_characters() {
    let name = parse("O=\"Smith, Jones + Co\", CN=a\\=b\\20");
    assert_eq!(name.to_string(), "O=Smith\\, Jones \\+ Co, CN=a\\=b\\20");
    assert_eq!(parse(&name.to_string()), name);
    assert_eq!(parse("CN=\\41bc").to_string(), "CN=Abc");
}

#[test]
fn names_without_a_readable_form_are_printed_in_hex() {
    // Two attributes in one set: CN=a and O=b.
    let multi = "3016311430080603550403130161300806035504 0a130162";
    let identity = Identity::from_wire(IdType::DER_ASN1_DN, &hex(multi)).unwrap();
    assert_eq!(identity.to_string(), format!("asn1dn:#{}", multi.replace(' ', "")));
    assert!(!pattern("CN=a, O=b").matches(&identity));
    assert!(!pattern("CN=*").matches(&identity));
}

#[test]
fn malformed_distinguished_names_are_errors() {
    for der in
        ["30", "3080", "3001", "300131", "3003310130", "310b300906035504061302434a", "30800000", "04020000"]
    {
        assert!(Identity::from_wire(IdType::DER_ASN1_DN, &hex(der)).is_err(), "{der}");
    }
}
