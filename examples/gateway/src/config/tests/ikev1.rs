//! The keys of IKEv1, and what IKEv1 cannot say.

use ikebana_ike::config::{Fragmentation, ModeConfig, Phase1Mode};
use ikebana_proposals::Preset;

use super::super::*;

/// What is wrong with an IKEv1 tunnel of these lines.
fn ikev1_problems(lines: &str) -> String {
    let text = format!(
        "[[tunnel]]\nname = \"old\"\nremote = \"192.0.2.2\"\npsk = \"correct horse battery staple\"\nike = 1\n{lines}\n"
    );
    match parse(&text) {
        Ok((_, problems)) | Err(problems) => problems.to_string(),
    }
}

#[test]
fn ikev1_has_keys_of_its_own() {
    let text = "[[tunnel]]\nname = \"old\"\nremote = \"192.0.2.2\"\npsk = \"correct horse battery staple\"\n\
                ike = 1\naggressive = true\nxauth = \"server\"\nxauth_users = { alice = \"wonderland\", bob = \"0x00ff\" }\n\
                mode_config = \"push\"\nfragmentation = \"force\"\n";
    let (config, problems) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let tunnel = &config.tunnels[0];
    assert_eq!(tunnel.ike, IkeVersion::V1);
    assert_eq!(tunnel.ikev1.phase1, Phase1Mode::Aggressive);
    assert_eq!(tunnel.ikev1.mode_config, ModeConfig::Push);
    assert_eq!(tunnel.ikev1.fragmentation, Fragmentation::Force);
    let Some(Xauth::Server(Users::Here(users))) = &tunnel.ikev1.xauth else { panic!("no users") };
    let names: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert!(users[0].1.ct_eq(b"wonderland") && users[1].1.ct_eq(&[0x00, 0xff]));
    // What is weak about it is said.
    assert!(problems.to_string().contains("RFC 9395"), "{problems}");
    assert!(problems.to_string().contains("guessed at leisure"), "{problems}");
    // And the same file is the same tunnel, with another password another one.
    let (again, _) = parse(text).unwrap();
    assert!(tunnel.is_same(&again.tunnels[0]));
    let (other, _) = parse(&text.replace("wonderland", "underland")).unwrap();
    assert!(!tunnel.is_same(&other.tunnels[0]));
}

#[test]
fn every_preset_has_something_to_say_in_ikev1() {
    for preset in Preset::ALL {
        let problems = ikev1_problems(&format!("preset = \"{preset}\"\nrekey_time = \"1h\""));
        assert!(!problems.contains("error"), "{problems}");
        assert!(!problems.contains("has no words"), "{problems}");
    }
}

#[test]
fn what_cannot_be_said_in_ikev1_is_an_error_or_a_warning_with_its_line() {
    for (lines, part) in [
        (
            "proposals = [\"aes256gcm16-prfsha384-curve25519\"]",
            "error: tunnel \"old\": IKEv1 has no words for aes256gcm16",
        ),
        (
            "proposals = [\"aes256-sha256-modp2048\", \"aes256gcm16-prfsha384-ecp384\"]",
            "warning: tunnel \"old\": IKEv1 has no words for aes256gcm16-prfsha384-ecp384",
        ),
        ("esp_proposals = [\"chacha20poly1305\"]", "error: tunnel \"old\": IKEv1 has no words for chacha20"),
        ("local_ts = [\"10.1.0.0/16[tcp/1000-2000]\"]\nremote_ts = [\"10.2.0.0/16\"]", "no range as in"),
        ("local_ts = [\"10.1.0.0/16\", \"10.3.0.0/16\"]\nremote_ts = [\"10.2.0.0/16\"]", "become 2 SAs"),
        ("esp_proposals = [\"aes128gcm16-ecp256-modp2048\"]", "we start with ECP_256"),
        ("xauth = \"sever\"", "did you mean \"server\"?"),
        ("xauth_usr = \"x\"", "did you mean \"xauth_user\"?"),
        ("xauth = \"client\"", "has no xauth_user and xauth_password"),
        ("xauth = \"client\"\nxauth_user = \"a\"", "has no xauth_password and no xauth_password_file"),
        ("xauth = \"client\"\nxauth_password = \"a\"", "has no xauth_user"),
        ("xauth = \"server\"", "has no xauth_users"),
        ("xauth = \"server\"\nxauth_users = {}", "there is no user"),
        ("xauth = \"server\"\nxauth_users = 5", "a table as in"),
        ("xauth_user = \"a\"", "takes xauth = \"client\""),
        ("xauth_users = \"users\"", "takes xauth = \"server\""),
        ("mode_config = \"pul\"", "did you mean \"pull\"?"),
        ("fragmentation = \"auto\"", "none of yes, force, no"),
        ("aggressive = \"yes\"", "expected a boolean"),
    ] {
        let problems = ikev1_problems(lines);
        assert!(problems.contains(part), "{lines}: {problems}");
    }
    // None of it means anything to IKEv2.
    let text = "[[tunnel]]\nname = \"new\"\nremote = \"192.0.2.2\"\npsk = \"correct horse battery staple\"\naggressive = true\n";
    let Err(problems) = parse(text) else { panic!("it was taken") };
    assert!(problems.to_string().contains("5:14: error: aggressive is IKEv1's"), "{problems}");
}

#[test]
fn two_keys_for_one_address_are_too_many_in_main_mode() {
    let second = "[[tunnel]]\nname = \"two\"\nike = 1\nremote = \"192.0.2.2\"\npsk = \"another horse battery staple\"\n\
                  local_ts = [\"10.7.0.0/16\"]\nremote_ts = [\"10.8.0.0/16\"]";
    let problems = ikev1_problems(second);
    assert!(problems.contains("only one of them can work"), "{problems}");
    let same = second.replace("another", "correct");
    assert!(!ikev1_problems(&same).contains("only one of them"), "{problems}");
}

#[test]
fn users_and_their_passwords_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let head = "[[tunnel]]\nname = \"old\"\nremote = \"192.0.2.2\"\npsk = \"correct horse battery staple\"\nike = 1\n";
    write("gateway.toml", &format!("{head}xauth = \"server\"\nxauth_users = \"users\"\n"));
    write("users", "# who may come in\nalice:wonderland\n\nbob: with : colons \n");
    let (config, _) = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
    let Some(Xauth::Server(Users::Here(users))) = &config.tunnels[0].ikev1.xauth else { panic!("no users") };
    assert!(users[0].1.ct_eq(b"wonderland") && users[1].1.ct_eq(b"with : colons"));
    write("users", "alice:wonderland\nsecretsecret\n");
    let Err(problems) = load(&file) else { panic!("it was taken") };
    assert!(problems.to_string().contains("users:2: not as in name:password"), "{problems}");
    assert!(!problems.to_string().contains("secretsecret"), "{problems}");
    write(
        "gateway.toml",
        &format!("{head}xauth = \"client\"\nxauth_user = \"alice\"\nxauth_password_file = \"pw\"\n"),
    );
    write("pw", "wonderland\n");
    let (config, _) = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
    let Some(Xauth::Client { password, .. }) = &config.tunnels[0].ikev1.xauth else { panic!("no client") };
    assert!(password.key().unwrap().ct_eq(b"wonderland"));
}

#[test]
fn the_example_for_old_devices_is_in_order() {
    let text = include_str!("../../../config/legacy.toml");
    let (config, problems) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.tunnels.len(), 2);
    // Only that IKEv1 is old is said of it.
    assert!(problems.0.iter().all(|problem| problem.message.contains("RFC 9395")), "{problems}");
}
