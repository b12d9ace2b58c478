//! Two dialogues with each other, and one with what recorded and imagined peers say.

use alloc::vec;

use ikebana_core::AddressRange;

use super::*;
use crate::wire::{self, AttributeValue, ConfigAttribute};

fn terms(xauth: Option<XauthRole>) -> Terms {
    Terms { xauth, ..Terms::default() }
}

fn payload(kind: ConfigType, attributes: Vec<Attribute>) -> ConfigPayload {
    ConfigPayload { kind, identifier: 7, attributes }
}

fn credentials(user: &str, password: &[u8]) -> Answer {
    Answer::Xauth(Some(XauthCredentials { user: user.into(), password: Secret::from_slice(password) }))
}

fn subnet(text: &str, prefix: u8) -> AddressRange {
    AddressRange::block(text.parse().unwrap(), prefix).unwrap()
}

fn assignment() -> Assignment {
    Assignment {
        addresses: vec!["10.33.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        dns: vec!["10.22.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
        subnets: vec![subnet("10.22.0.0", 16), subnet("10.0.0.0", 8), subnet("2001:db8::", 32)],
        prefix_ipv4: Some(28),
    }
}

/// What came of a dialogue on one side.
#[derive(Default)]
struct Outcome {
    assigned: Option<Assignment>,
    given: Option<Assignment>,
    settled: usize,
    failed: Option<(String, String)>,
    asked: usize,
}

/// Plays both sides to the end, the client's user having `passwords` in this order.
fn play(client: Terms, server: Terms, passwords: &[&str]) -> [(Dialogue, Outcome); 2] {
    let mut sides =
        [(Dialogue::new(client), Outcome::default()), (Dialogue::new(server), Outcome::default())];
    let mut passwords = passwords.iter();
    let mut todo: VecDeque<(usize, Act)> = VecDeque::new();
    for (side, (dialogue, _)) in sides.iter_mut().enumerate() {
        todo.extend(dialogue.start().into_iter().map(|act| (side, act)));
    }
    let mut steps = 0;
    while let Some((side, act)) = todo.pop_front() {
        steps += 1;
        assert!(steps < 200);
        let (this, that) = (side, 1 - side);
        let (at, acts) = match act {
            Act::Open(kind, attributes) => (that, sides[that].0.asked(&mut payload(kind, attributes))),
            Act::Answer(kind, attributes) => (that, sides[that].0.replied(&mut payload(kind, attributes))),
            Act::AskCredentials { wants_passcode, .. } => {
                assert!(!wants_passcode);
                sides[this].1.asked += 1;
                let answer = match passwords.next() {
                    Some(password) => credentials("alice", password.as_bytes()),
                    None => Answer::Xauth(None),
                };
                (this, sides[this].0.answered(answer).unwrap())
            }
            Act::AskVerdict { user, password } => {
                sides[this].1.asked += 1;
                let verdict = user == "alice" && password.ct_eq(b"Wonder1and");
                (this, sides[this].0.answered(Answer::XauthVerdict(verdict)).unwrap())
            }
            Act::AskAddress(wanted) => {
                assert!(!wanted.is_empty());
                (this, sides[this].0.answered(Answer::Address(Some(assignment()))).unwrap())
            }
            Act::Assigned(assignment) => {
                sides[this].1.assigned = Some(assignment);
                continue;
            }
            Act::Given(assignment) => {
                sides[this].1.given = Some(assignment);
                continue;
            }
            Act::Settled => {
                sides[this].1.settled += 1;
                continue;
            }
            Act::Failed { user, detail } => {
                sides[this].1.failed = Some((user, detail));
                continue;
            }
        };
        todo.extend(acts.into_iter().map(|act| (at, act)));
    }
    sides
}

#[test]
fn nothing_to_settle_is_settled_at_once() {
    let mut dialogue = Dialogue::new(Terms::default());
    assert!(matches!(dialogue.start().as_slice(), [Act::Settled]));
    assert!(dialogue.is_settled() && !dialogue.waits_for_peer());
}

#[test]
fn a_user_proves_who_they_are_and_gets_addresses() {
    let request = vec![AddressRequest::Ipv4, AddressRequest::DnsIpv4, AddressRequest::Subnets];
    for mode in [ModeConfig::Pull, ModeConfig::Push] {
        let client = Terms { request: request.clone(), mode, ..terms(Some(XauthRole::Client)) };
        let server = Terms { assigns: true, mode, ..terms(Some(XauthRole::Server)) };
        let [(client, at_client), (server, at_server)] = play(client, server, &["Wonder1and"]);
        assert!(client.is_settled() && server.is_settled(), "{mode:?}");
        assert_eq!((at_client.settled, at_server.settled), (1, 1));
        assert_eq!(client.user().map(String::as_str), Some("alice"));
        assert_eq!(server.user().map(String::as_str), Some("alice"));
        // No address of the family that was not asked for.
        let expected = Assignment { addresses: vec!["10.33.0.1".parse().unwrap()], ..assignment() };
        let got = at_client.assigned.unwrap();
        assert_eq!(got.addresses, expected.addresses);
        assert_eq!((got.prefix_ipv4, &got.dns), (Some(28), &expected.dns));
        let mut subnets = got.subnets.clone();
        subnets.sort();
        let mut wanted = expected.subnets.clone();
        wanted.sort();
        assert_eq!(subnets, wanted);
        assert_eq!(at_server.given, Some(assignment()));
    }
}

#[test]
fn a_wrong_password_may_be_mended_three_times_at_most() {
    let play =
        |passwords: &[&str]| play(terms(Some(XauthRole::Client)), terms(Some(XauthRole::Server)), passwords);
    let [(client, _), (server, _)] = play(&["wrong", "Wonder1and"]);
    assert!(client.is_settled() && server.is_settled());

    let [(client, at_client), (server, at_server)] = play(&["wrong", "wronger", "wrongest", "Wonder1and"]);
    assert!(!client.is_settled() && !server.is_settled());
    assert_eq!((at_client.asked, at_server.asked), (3, 3));
    assert_eq!(at_client.failed.unwrap().0, "alice");
    assert_eq!(at_server.failed.unwrap().0, "alice");

    let [(client, at_client), (server, at_server)] = play(&[]);
    assert!(!client.is_settled() && !server.is_settled());
    assert!(at_client.failed.is_some() && at_server.failed.is_some());
}

#[test]
fn after_a_renewal_only_the_same_user_is_taken_and_keeps_the_addresses() {
    let server = Terms { user: Some("bob".into()), ..terms(Some(XauthRole::Server)) };
    let three = ["Wonder1and"; 3];
    let [(client, _), (server, at_server)] = play(terms(Some(XauthRole::Client)), server, &three);
    assert!(!client.is_settled() && !server.is_settled());
    assert!(at_server.failed.is_some());

    let request = vec![AddressRequest::Ipv4];
    let given = Some(Assignment { addresses: vec!["10.33.0.9".parse().unwrap()], ..Assignment::default() });
    let client = Terms { request, ..Terms::default() };
    let server = Terms { assigns: true, given, ..Terms::default() };
    let [(_, at_client), (_, at_server)] = play(client, server, &[]);
    assert_eq!(at_client.assigned.unwrap().addresses, ["10.33.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!(at_server.given, None, "nothing new");
}

#[test]
fn no_address_is_given_before_the_user_is_known() {
    let mut server = Dialogue::new(Terms { assigns: true, ..terms(Some(XauthRole::Server)) });
    server.start();
    let ask = addresses::request(&[AddressRequest::Ipv4], &[]);
    let acts = server.asked(&mut payload(ConfigType::REQUEST, ask));
    assert!(matches!(acts.as_slice(), [Act::Answer(ConfigType::REPLY, nothing)] if nothing.is_empty()));
    // And nobody becomes known by saying so.
    for kind in [ConfigType::SET, ConfigType::REQUEST] {
        let acts = server.asked(&mut payload(kind, user::status(true)));
        assert!(!acts.iter().any(|act| matches!(act, Act::Settled)));
    }
    assert!(!server.is_settled());
}

#[test]
fn a_code_is_asked_for_as_such_and_after_the_password() {
    let mut client = Dialogue::new(terms(Some(XauthRole::Client)));
    client.start();
    assert!(client.waits_for_peer());
    let ask = vec![
        Attribute { kind: ConfigAttribute::XAUTH_TYPE.0, value: AttributeValue::Short(0) },
        user::value(ConfigAttribute::XAUTH_USER_NAME.0, vec![]),
        user::value(ConfigAttribute::XAUTH_PASSCODE.0, vec![]),
        user::value(ConfigAttribute::XAUTH_USER_PASSWORD.0, vec![]),
        user::value(ConfigAttribute::XAUTH_MESSAGE.0, b"Hello\x1b[2J, you".to_vec()),
    ];
    let acts = client.asked(&mut payload(ConfigType::REQUEST, ask));
    let [Act::AskCredentials { message: Some(message), wants_passcode: false }] = acts.as_slice() else {
        panic!("no question")
    };
    assert_eq!(message, "Hello [2J, you");
    assert_eq!(client.answered(Answer::XauthVerdict(true)).err(), Some(ApiError::WrongAnswer));
    let acts = client.answered(credentials("alice", b"secret")).unwrap();
    assert!(matches!(acts.as_slice(), [Act::AskCredentials { wants_passcode: true, .. }]));
    let acts = client.answered(credentials("alice", b"123456")).unwrap();
    let [Act::Answer(ConfigType::REPLY, reply)] = acts.as_slice() else { panic!("no answer") };
    let expected = [
        Attribute { kind: ConfigAttribute::XAUTH_TYPE.0, value: AttributeValue::Short(0) },
        user::value(ConfigAttribute::XAUTH_USER_NAME.0, b"alice".to_vec()),
        user::value(ConfigAttribute::XAUTH_USER_PASSWORD.0, b"secret".to_vec()),
        user::value(ConfigAttribute::XAUTH_PASSCODE.0, b"123456".to_vec()),
    ];
    assert_eq!(reply.as_slice(), expected);
}

#[test]
fn kinds_of_proof_that_are_not_known_are_refused() {
    let mut client = Dialogue::new(terms(Some(XauthRole::Client)));
    client.start();
    let chap = Attribute { kind: ConfigAttribute::XAUTH_TYPE.0, value: AttributeValue::Short(1) };
    let acts = client.asked(&mut payload(ConfigType::REQUEST, vec![chap]));
    assert!(matches!(acts.as_slice(), [Act::Answer(ConfigType::REPLY, _), Act::Failed { .. }]));
    assert!(!client.is_settled());
}

#[test]
fn values_that_make_no_sense_are_left_out() {
    let attribute = |kind: ConfigAttribute, octets: &[u8]| user::value(kind.0, octets.to_vec());
    let many: Vec<Attribute> =
        (0..100).map(|last| attribute(ConfigAttribute::INTERNAL_IP4_DNS, &[10, 0, 0, last])).collect();
    let mut set = vec![
        attribute(ConfigAttribute::INTERNAL_IP4_ADDRESS, &[10, 0, 0, 1]),
        attribute(ConfigAttribute::INTERNAL_IP4_ADDRESS, &[10, 0, 0]),
        attribute(ConfigAttribute::INTERNAL_IP4_NETMASK, &[255, 0, 255, 0]),
        attribute(ConfigAttribute::INTERNAL_IP4_SUBNET, &[10, 0, 0, 0, 255, 0, 255, 0]),
        attribute(ConfigAttribute::UNITY_SPLIT_INCLUDE, &[10, 1, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        attribute(ConfigAttribute::UNITY_BANNER, b"hello"),
        attribute(ConfigAttribute::INTERNAL_IP6_SUBNET, &[1, 2, 3]),
    ];
    set.extend(many);
    let given = addresses::accepted(&[AddressRequest::Ipv4], &set).unwrap();
    assert_eq!(given.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((given.prefix_ipv4, given.dns.len()), (None, 16));
    assert_eq!(given.subnets, [subnet("10.1.0.0", 16)]);
    assert_eq!(addresses::accepted(&[], &set), None);
}

/// The attributes of the recorded session's transactions, in order, with who sent them.
fn recorded() -> Vec<ConfigPayload> {
    let text = include_str!("../../tests/captures/v1-main-xauth-psk-modecfg.json");
    let root: serde_json::Value = serde_json::from_str(text).unwrap();
    let frames = root["frames"].as_array().unwrap().iter();
    let transactions = frames.filter(|frame| frame["hdr"]["xchg"] == 6);
    transactions
        .map(|frame| {
            let digits = frame["plaintext"].as_str().unwrap();
            let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let text: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
            let (payloads, _) = wire::parse_chain(wire::PayloadType::HASH, &text).unwrap();
            payloads
                .into_iter()
                .find_map(|payload| {
                    let wire::Payload::Config(payload) = payload else { return None };
                    Some(payload)
                })
                .unwrap()
        })
        .collect()
}

#[test]
fn a_recorded_server_is_content_with_our_client() {
    let [mut ask, reply, mut set, ack, request, mut given] = recorded().try_into().unwrap();
    let request_list = vec![AddressRequest::Ipv4, AddressRequest::DnsIpv4];
    let mut client = Dialogue::new(Terms { request: request_list, ..terms(Some(XauthRole::Client)) });
    assert!(client.start().is_empty());
    assert!(matches!(client.asked(&mut ask).as_slice(), [Act::AskCredentials { wants_passcode: false, .. }]));
    let acts = client.answered(credentials("alice", b"Wonder1and")).unwrap();
    let [Act::Answer(ConfigType::REPLY, attributes)] = acts.as_slice() else { panic!("no reply") };
    assert_eq!(*attributes, reply.attributes, "what the recorded client said");
    let acts = client.asked(&mut set);
    let [Act::Answer(ConfigType::ACK, attributes), Act::Open(ConfigType::REQUEST, ours)] = acts.as_slice()
    else {
        panic!("no acknowledgement")
    };
    assert_eq!(*attributes, ack.attributes);
    assert_eq!(ours[0], request.attributes[0]);
    let acts = client.replied(&mut given);
    let [Act::Assigned(assignment), Act::Settled] = acts.as_slice() else { panic!("no addresses") };
    assert_eq!(assignment.addresses, ["10.33.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(assignment.dns, ["10.22.0.53".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_recorded_client_is_content_with_our_server() {
    let [ask, mut reply, set, mut ack, mut request, given] = recorded().try_into().unwrap();
    let mut server = Dialogue::new(Terms { assigns: true, ..terms(Some(XauthRole::Server)) });
    let acts = server.start();
    let [Act::Open(ConfigType::REQUEST, attributes)] = acts.as_slice() else { panic!("no request") };
    assert_eq!(*attributes, ask.attributes, "what the recorded server said");
    let acts = server.replied(&mut reply);
    let [Act::AskVerdict { user, password }] = acts.as_slice() else { panic!("no question") };
    assert!(user == "alice" && password.ct_eq(b"Wonder1and"));
    let acts = server.answered(Answer::XauthVerdict(true)).unwrap();
    let [Act::Open(ConfigType::SET, attributes)] = acts.as_slice() else { panic!("no status") };
    assert_eq!(*attributes, set.attributes);
    assert!(matches!(server.replied(&mut ack).as_slice(), [Act::Settled]));
    let acts = server.asked(&mut request);
    assert!(matches!(acts.as_slice(), [Act::AskAddress(wanted)] if wanted.len() == 1));
    let chosen = Assignment {
        addresses: vec!["10.33.0.1".parse().unwrap()],
        dns: vec!["10.22.0.53".parse().unwrap()],
        ..Assignment::default()
    };
    let acts = server.answered(Answer::Address(Some(chosen))).unwrap();
    let [Act::Given(_), Act::Answer(ConfigType::REPLY, attributes)] = acts.as_slice() else {
        panic!("no addresses")
    };
    assert_eq!(*attributes, given.attributes);
}

#[test]
fn a_client_that_goes_on_before_its_acknowledgement_arrives_is_served() {
    let mut server = Dialogue::new(Terms { assigns: true, ..terms(Some(XauthRole::Server)) });
    server.start();
    let claim = vec![
        user::value(ConfigAttribute::XAUTH_USER_NAME.0, b"alice".to_vec()),
        user::value(ConfigAttribute::XAUTH_USER_PASSWORD.0, b"Wonder1and".to_vec()),
    ];
    server.replied(&mut payload(ConfigType::REPLY, claim));
    server.answered(Answer::XauthVerdict(true)).unwrap();
    assert!(!server.is_settled());
    let ask = addresses::request(&[AddressRequest::Ipv4], &[]);
    let acts = server.asked(&mut payload(ConfigType::REQUEST, ask));
    assert!(matches!(acts.as_slice(), [Act::AskAddress(_), Act::Settled]));
    assert_eq!(server.user().map(String::as_str), Some("alice"));
    // The acknowledgement changes nothing any more.
    let late = server.replied(&mut payload(ConfigType::ACK, user::status(true)));
    assert!(late.is_empty());
}
