use std::os::unix::fs::PermissionsExt;

use super::*;
use ikebana::{DontFragmentPolicy, FragmentPolicy, MssPolicy};

mod ikev1;

const SMALL: &str = r#"
[[tunnel]]
name = "net"
remote = "192.0.2.2"
psk = "a-key-that-is-long-enough"
"#;

fn with(lines: &str) -> String {
    format!("{SMALL}{lines}\n")
}

fn only_tunnel(text: &str) -> Tunnel {
    let (mut config, _) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.tunnels.len(), 1);
    config.tunnels.remove(0)
}

/// The errors of a file, each as `line: message`.
fn errors(text: &str) -> Vec<String> {
    let problems = parse(text).err().unwrap_or_default();
    let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| format!("{}: {}", problem.line, problem.message)).collect()
}

fn warnings(text: &str) -> String {
    let (_, problems) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    problems.to_string()
}

#[test]
fn a_small_tunnel_gets_the_defaults_that_people_want() {
    let tunnel = only_tunnel(SMALL);
    assert_eq!(tunnel.ike, IkeVersion::V2);
    assert_eq!(tunnel.start, Start::Start);
    assert_eq!((tunnel.dpd_delay, tunnel.dpd_action), (Some(Duration::from_secs(30)), DpdAction::Restart));
    assert_eq!(tunnel.replay_window, 1024);
    assert_eq!((tunnel.path_mtu, tunnel.sizes), (1_500, SizePolicy::default()));
    assert_eq!(tunnel.lifetime.soft_time, Some(Duration::from_secs(3_600)));
    assert!(tunnel.lifetime.hard_time > tunnel.lifetime.soft_time && tunnel.lifetime.jitter_percent > 0);
    assert_eq!(tunnel.encap, Encapsulation::Auto);
    assert_eq!(tunnel.local_ts, [SelectorTemplate::DYNAMIC]);
    assert_eq!(tunnel.proposals, Preset::Modern.ike());
    assert_eq!(tunnel.line, 2);
}

#[test]
fn a_tunnel_without_a_remote_waits_for_the_peer() {
    let tunnel = only_tunnel("[[tunnel]]\nname = \"road\"\npsk = \"a-key-that-is-long-enough\"\n");
    assert_eq!((tunnel.start, tunnel.dpd_action), (Start::Passive, DpdAction::Clear));
    let found = errors("[[tunnel]]\nname = \"road\"\npsk = \"0123456789abcdef\"\nstart = \"start\"\n");
    assert_eq!(found, ["4: tunnel \"road\" cannot be started: it has no remote address"]);
}

#[test]
fn a_selector_that_is_shown_reads_back_as_the_same_selector() {
    for text in [
        "dynamic",
        "dynamic[udp/53]",
        "dynamic[icmp/0]",
        "dynamic[icmp/3(4)]",
        "dynamic[tcp/opaque]",
        "10.1.0.0/16",
    ] {
        let selector = value::selector(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value::selector(&selector_text(&selector)), Ok(selector), "{text}");
    }
}

#[test]
fn every_key_is_read() {
    let text = r#"
[gateway]
listen = ["192.0.2.1"]
port = 1500
nat_port = 14500
tun = "ike7"
control = "/tmp/control"
log = "debug"
log_format = "json"
install_routes = false
fwmark = 7
route_table = 77
half_open_limit = 100

[[tunnel]]
name = "net"
ike = 2
local = "192.0.2.1"
remote = "[2001:db8::2]:4501"
local_id = "moon.example.com"
remote_id = "*@example.com"
psk = "0x00112233445566778899aabbccddeeff"
proposals = ["aes128-sha1-modp2048", "aes256gcm16-prfsha384-ecp384"]
esp_proposals = ["aes128-sha1"]
local_ts = ["10.1.0.0/16[tcp/80]", "dynamic[udp/53]"]
remote_ts = ["10.2.0.1..10.2.0.9"]
mode = "tunnel"
start = "on-traffic"
rekey_time = "1h30m"
life_time = 7200
rekey_bytes = "10G"
rekey_packets = 1000000
ike_rekey_time = "8h"
dpd_delay = "10s"
dpd_action = "clear"
retransmit_tries = 3
retransmit_timeout = 4.0
retransmit_base = 1.5
encap = "force"
replay_window = 4096
mtu = 1400
path_mtu = 1480
fragment = "after"
clear_df = true
mss = 1360
vips = ["0.0.0.0", "::"]

[[pool]]
addresses = ["10.9.0.0/24"]
dns = ["10.9.0.53"]
subnets = ["10.1.0.0/16"]
tunnels = ["net"]
"#;
    let text = text.replace("local = \"192.0.2.1\"", "local = \"2001:db8::1\"");
    let (config, _) = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let gateway = &config.gateway;
    assert_eq!((gateway.port, gateway.nat_port, gateway.tun.as_str()), (1500, 14500, "ike7"));
    assert_eq!((gateway.fwmark, gateway.route_table, gateway.half_open_limit), (7, 77, Some(100)));
    assert!(!gateway.install_routes && gateway.log_format == LogFormat::Json && gateway.log == "debug");
    let tunnel = &config.tunnels[0];
    assert_eq!(tunnel.remote.to_string(), "[2001:db8::2]:4501");
    assert_eq!(tunnel.local_id, Some(Identity::Fqdn("moon.example.com".to_owned())));
    assert_eq!(tunnel.remote_id, Some(IdentityPattern::EmailAt("example.com".to_owned())));
    assert!(tunnel.psk.key().is_some_and(|key| key.len() == 16 && key.expose()[1] == 0x11));
    assert_eq!(tunnel.proposals[1].to_string(), "aes256gcm16-prfsha384-ecp384");
    let selectors: Vec<String> = tunnel.local_ts.iter().map(selector_text).collect();
    assert_eq!(selectors, ["10.1.0.0/16[tcp/80]", "dynamic[udp/53]"]);
    assert_eq!(tunnel.start, Start::OnTraffic);
    assert_eq!(tunnel.lifetime.soft_time, Some(Duration::from_secs(5_400)));
    assert_eq!(tunnel.lifetime.hard_time, Some(Duration::from_secs(7_200)));
    assert_eq!(tunnel.lifetime.soft_bytes, Some(10_000_000_000));
    assert!(tunnel.lifetime.hard_bytes > tunnel.lifetime.soft_bytes);
    assert_eq!(tunnel.lifetime.soft_packets, Some(1_000_000));
    assert_eq!(tunnel.ike_lifetime.soft_time, Some(Duration::from_secs(28_800)));
    assert_eq!((tunnel.dpd_delay, tunnel.dpd_action), (Some(Duration::from_secs(10)), DpdAction::Clear));
    assert_eq!((tunnel.encap, tunnel.replay_window, tunnel.mtu), (Encapsulation::Force, 4096, Some(1400)));
    let sizes = SizePolicy {
        fragment: FragmentPolicy::After,
        dont_fragment: DontFragmentPolicy::Clear,
        mss: MssPolicy::AtMost(1_360),
    };
    assert_eq!((tunnel.path_mtu, tunnel.sizes), (1_480, sizes));
    assert_eq!(tunnel.vips.len(), 2);
    let plan = tunnel.retransmission;
    assert_eq!((plan.tries, plan.first, plan.factor_percent), (3, Duration::from_secs(4), 150));
    assert_eq!(config.pools[0].tunnels, ["net"]);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let found = errors(&with("remot_ts = [\"10.0.0.0/8\"]"));
    assert_eq!(found, ["6: unknown key \"remot_ts\" in [[tunnel]]; did you mean \"remote_ts\"?"]);
    let found = errors("[gatway]\nport = 1\n");
    assert_eq!(found, ["1: unknown key \"gatway\" in the file; did you mean \"gateway\"?"]);
    let found = errors("[[pool]]\naddress = [\"10.0.0.0/8\"]\n");
    assert!(found.iter().any(|one| one.starts_with("2: unknown key \"address\"")), "{found:?}");
    // A dash for an underscore is the commonest of all mistakes.
    let found = errors(&with("dpd-delay = 5"));
    assert!(found[0].ends_with("did you mean \"dpd_delay\"?"), "{found:?}");
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let found = errors(&with(
        "mode = \"tunel\"\nencap = \"off\"\nreplay_window = 100\nremote_ts = [\"10.0.0.0/33\"]",
    ));
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[0], "6: \"tunel\" is none of tunnel, transport; did you mean \"tunnel\"?");
    assert!(found[2].contains("the nearest are 64 and 128"), "{found:?}");
}

#[test]
fn a_bad_value_is_an_error_with_its_line() {
    for (line, part) in [
        ("rekey_time = \"1 parsec\"", "is no time"),
        ("rekey_time = -1", "negative"),
        ("rekey_time = 1.5", "float"),
        ("rekey_bytes = \"10Q\"", "none of K, M, G"),
        ("life_time = \"10s\"\nrekey_time = \"20s\"", "must be longer than rekey_time"),
        ("dpd_timeout = \"20s\"\ndpd_delay = \"20s\"", "at least 2s longer than dpd_delay"),
        ("dpd_timeout = 2", "at least 2s longer than dpd_delay"),
        ("dpd_delay = \"1ms\"", "shorter than a second"),
        ("rekey_time = \"10ms\"", "shorter than a second"),
        ("mtu = 9217", "not from 576 to 9216"),
        ("path_mtu = 575", "not from 576 to 9216"),
        ("fragment = \"never\"", "none of before, after"),
        ("clear_df = 1", "boolean"),
        ("mss = 9177", "not from 500 to 9176"),
        ("local = \"2001:db8::g\"", "is no IPv6 address"),
        ("vips = [5]", "integer, expected"),
        ("dpd_timeout = 0", "longer than 0"),
        ("dpd_timeout = 30\ndpd_delay = 0", "never asked"),
        ("dpd_timeout = 30\nretransmit_tries = 3", "give either"),
        ("retransmit_tries = 0", "not from 1 to 20"),
        ("retransmit_timeout = \"10ms\"", "not from 100ms to 60s"),
        ("retransmit_timeout = -1", "negative"),
        ("retransmit_timeout = nan", "no time in seconds"),
        ("retransmit_timeout = -inf", "no time in seconds"),
        ("retransmit_base = 0.5", "not from 1.0 to 10.0"),
        ("retransmit_base = nan", "not from 1.0 to 10.0"),
        ("retransmit_base = \"2\"", "f64"),
        ("dpd_action = \"reboot\"", "none of clear, trap, restart"),
        ("proposals = [\"aes128-sha1-modp2408\"]", "modp2048"),
        ("esp_proposals = [\"aes127\"]", "aes127"),
        ("preset = \"amazon\"", "none of modern, aws"),
        ("preset = \"aws\"\nproposals = [\"aes128-sha1-modp2048\"]", "a preset stands for"),
        ("local_id = \"\"", "empty"),
        ("local = \"10.0.0.300\"", "neither an IP address nor a host name"),
        ("local = \"host:0\"", "no port from 1 to 65535"),
        ("local = \"2001:db8::1\"", "two address families"),
        ("local_ts = [\"10.0.0.0/8[tpc]\"]", "tpc"),
        ("local_ts = [\"::/0\"]\nremote_ts = [\"10.0.0.0/8\"]", "no address family in common"),
        ("mtu = 100", "not from 576"),
        ("vips = [\"any\"]", "no IP address"),
        ("ike = 3", "not from 1 to 2"),
        ("psk_file = \"other\"", "exclude each other"),
        ("name = \"twice\"", "duplicate key"),
        ("remote_ts = \"10.0.0.0/8\"", "sequence"),
    ] {
        let found = errors(&with(line));
        let hit = found.iter().any(|one| one.contains(part));
        assert!(hit, "{line}: expected {part:?} in {found:?}");
        assert!(found.iter().all(|one| !one.starts_with("0:")), "{found:?}");
    }
}

#[test]
fn a_silent_peer_is_given_up_within_the_time_that_was_asked_for() {
    for (lines, asked_after, most) in [
        ("dpd_timeout = \"30s\"", 10.0, 30.0),
        ("dpd_timeout = 30\ndpd_delay = 10", 10.0, 30.0),
        ("dpd_timeout = 30\ndpd_delay = \"27s\"", 27.0, 30.0),
        ("dpd_timeout = 3", 1.0, 3.0),
        ("dpd_timeout = 60", 20.0, 60.0),
        ("dpd_timeout = 120", 30.0, 120.0),
        ("dpd_timeout = 130", 30.0, 130.0),
        ("dpd_timeout = \"10m\"", 30.0, 600.0),
        ("dpd_timeout = \"2d\"", 30.0, 172_800.0),
    ] {
        let tunnel = only_tunnel(&with(lines));
        assert_eq!(tunnel.dpd_delay, Some(Duration::from_secs_f64(asked_after)), "{lines}");
        let patience = tunnel.patience().unwrap().as_secs_f64();
        // Not later, and not so much sooner that a short outage costs the tunnel.
        assert!(patience <= most && (patience > 0.85 * most || most > 1e4), "{lines}: {patience}");
        let plan = tunnel.retransmission;
        assert!(plan.tries >= 2 && plan.first <= Duration::from_secs(4), "{lines}: {plan:?}");
    }
    let spelled_out =
        only_tunnel(&with("retransmit_tries = 2\nretransmit_timeout = \"1s\"\nretransmit_base = 2"));
    // 30 s, then waits of 1, 2 and 4 s, each up to a tenth longer.
    assert_eq!(spelled_out.patience(), Some(Duration::from_millis(37_700)));
    assert_eq!(only_tunnel(&with("dpd_delay = 0")).patience(), None);
}

#[test]
fn what_makes_a_tunnel_another_one_includes_how_long_its_peer_is_waited_for() {
    let tunnel = only_tunnel(SMALL);
    assert!(tunnel.is_same(&only_tunnel(&with("\nretransmit_tries = 5"))));
    assert!(!tunnel.is_same(&only_tunnel(&with("retransmit_tries = 4"))));
}

#[test]
fn a_tunnel_without_key_or_name_is_an_error() {
    assert_eq!(errors("[[tunnel]]\npsk = \"x\"\n"), ["1: this [[tunnel]] has no name"]);
    assert_eq!(errors("\n[[tunnel]]\nname = \"a\"\n"), ["2: tunnel \"a\" has no psk and no psk_file"]);
    let found = errors(&format!("{SMALL}{SMALL}"));
    assert_eq!(found, ["7: there are two tunnels named \"net\"; the first is in line 2"]);
    let found = errors("[[pool]]\naddresses = [\"10.0.0.0/24\"]\ntunnels = [\"met\"]\n");
    assert!(found[0].contains("there is no tunnel \"met\""), "{found:?}");
}

#[test]
fn text_that_is_no_toml_is_an_error_with_its_line() {
    let found = errors("[[tunnel]]\nname = \n");
    assert!(found[0].starts_with("2: "), "{found:?}");
    assert!(!errors("tunnel = 5\n").is_empty());
    assert!(!errors("[tunnel]\nname = \"a\"\n").is_empty());
}

#[test]
fn keys_may_be_text_hex_or_base64() {
    let key = |text: &str| value::psk(text).map(|secret| secret.expose().to_vec());
    assert_eq!(key("secret"), Ok(b"secret".to_vec()));
    assert_eq!(key("0x6b6579"), Ok(b"key".to_vec()));
    assert_eq!(key("0sa2V5IQ=="), Ok(b"key!".to_vec()));
    assert_eq!(key("0sa2V5IQ"), Ok(b"key!".to_vec()));
    assert!(key("0x6b6").is_err() && key("0s!").is_err() && key("").is_err() && key("0x").is_err());
}

#[test]
fn what_aws_would_refuse_is_warned_of() {
    let text = with("preset = \"aws\"\nvips = [\"169.254.5.2\"]\nike_rekey_time = \"12h\"");
    let found = warnings(&text.replace("a-key-that-is-long-enough", "0Short key"));
    for part in ["does not start with 0", "only letters", "169.254.5.0/30", "28800"] {
        assert!(found.contains(part), "{part:?} is not in {found}");
    }
    let fine = with("preset = \"aws\"\nlocal_ts = [\"0.0.0.0/0\"]\nremote_ts = [\"0.0.0.0/0\"]");
    assert_eq!(warnings(&fine.replace('-', "_")), "");
}

#[test]
fn weak_choices_are_warned_of() {
    let found = warnings(&with("proposals = [\"aes128-sha1-modp1024\"]\ndpd_delay = 0"));
    assert!(found.contains("1024-bit Diffie-Hellman"), "{found}");
    assert!(found.contains("never noticed"), "{found}");
    assert!(warnings(&SMALL.replace("a-key-that-is-long-enough", "guess")).contains("5 octets"));
}

#[test]
fn overlapping_tunnels_are_warned_of() {
    let one = with("local_ts = [\"10.1.0.0/16\"]\nremote_ts = [\"10.2.0.0/16\"]");
    let two = one.replace("\"net\"", "\"other\"").replace("10.2.0.0/16", "10.2.9.0/24");
    let found = warnings(&format!("{one}{two}"));
    assert!(found.contains("remote_ts 10.2.9.0/24 of tunnel \"other\" overlaps 10.2.0.0/16"), "{found}");
    let apart = two.replace("10.1.0.0/16", "10.7.0.0/16");
    assert!(!warnings(&format!("{one}{apart}")).contains("overlaps"));
}

#[test]
fn key_files_are_read_beside_the_configuration_and_must_be_private() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let key = folder.path().join("net.psk");
    std::fs::write(&file, SMALL.replace("psk = \"a-key-that-is-long-enough\"", "psk_file = \"net.psk\""))
        .unwrap();
    let missing = load(&file).err().unwrap();
    assert!(missing.render(&file).contains("net.psk cannot be read"), "{missing}");

    std::fs::write(&key, "correct-horse-battery\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (config, problems) = load(&file).unwrap();
    assert!(config.tunnels[0].psk.key().unwrap().ct_eq(b"correct-horse-battery"));
    assert!(problems.to_string().contains("others may read it (mode 644)"), "{problems}");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (_, problems) = load(&file).unwrap();
    assert_eq!(problems.to_string(), "");
}

#[test]
fn a_bad_setting_of_the_gateway_is_an_error_with_its_line() {
    for (line, part) in [
        ("control = \"\"", "needs a path"),
        ("log = \"info,ikebana=loud\"", "neither a level"),
        ("port = 4500", "both 4500"),
        ("nat_port = 500", "both 500"),
        ("route_table = 254", "the kernel has 253 to 255"),
        ("route_table = 252", "the kernel has 253 to 255"),
        ("route_table = 4294967295", "not from 1"),
        ("tun = \"\"", "cannot be a device's name"),
    ] {
        let found = errors(&format!("[gateway]\n{line}\n{SMALL}"));
        assert!(found.len() == 1 && found[0].contains(part), "{line}: {found:?}");
    }
    for remote in ["224.0.0.5", "255.255.255.255", "[ff02::1]:500"] {
        let found = errors(&SMALL.replace("192.0.2.2", remote));
        assert!(found[0].contains("no host's address"), "{found:?}");
    }
    let any = only_tunnel(&SMALL.replace("192.0.2.2", "0.0.0.0:4500"));
    assert_eq!((any.remote.host, any.start), (Host::Any, Start::Passive));
}

#[test]
fn a_list_that_no_message_could_carry_is_an_error() {
    let many = |count: usize| {
        let networks: Vec<String> = (0..count).map(|at| format!("\"10.0.{at}.0/24\"")).collect();
        with(&format!("remote_ts = [{}]", networks.join(", ")))
    };
    assert_eq!(errors(&many(128)), [""; 0]);
    assert_eq!(errors(&many(129)), ["6: this list is longer than 128 entries"]);
}

#[test]
fn a_key_file_is_one_line_and_no_endless_device() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let with_key = |path: &str| {
        let text = SMALL.replace("psk = \"a-key-that-is-long-enough\"", &format!("psk_file = {path:?}"));
        std::fs::write(&file, text).unwrap();
        load(&file).err().unwrap().to_string()
    };
    std::fs::write(folder.path().join("two"), "first-line-secret\nsecond\n").unwrap();
    let found = with_key("two");
    assert!(found.contains("more than one line") && !found.contains("secret"), "{found}");
    assert!(with_key("/dev/zero").contains("longer than"));
}

#[test]
fn a_key_without_quotes_is_not_repeated() {
    for key in ["123456789", "12345.6789", "[\"secret\", \"12345\"]", "{ secret = 12345 }"] {
        let found = errors(&SMALL.replace("\"a-key-that-is-long-enough\"", key)).join("\n");
        assert!(found.contains("expected a string"), "{found}");
        assert!(!found.contains("secret") && !found.contains("12345"), "{found}");
    }
}

#[test]
fn a_secret_never_appears_in_a_message() {
    let text = with("mode = \"x\"").replace("a-key-that-is-long-enough", "0xTOPSECRET");
    let found = errors(&text).join("\n");
    assert!(found.contains("hex digits") && !found.contains("TOPSECRET"), "{found}");
}

#[test]
fn the_example_files_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (config, _) = parse(&text).unwrap_or_else(|problems| panic!("{}", problems.render(&path)));
        assert!(!config.tunnels.is_empty());
        if path.ends_with("aws.toml") {
            // AWS notices within 30 s, and so do we.
            assert!(config.tunnels.iter().all(|tunnel| tunnel.patience() <= Some(Duration::from_secs(30))));
        }
        count += 1;
    }
    assert!(count >= 3);
}
