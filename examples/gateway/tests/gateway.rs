//! The gateway against another one, over a real kernel's sockets, TUN devices and routes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

mod lab;

use std::fs::File;
use std::thread;
use std::time::Duration;

use lab::{Lab, Side, in_namespace, tunnel, until};

macro_rules! in_namespaces {
    ($($outer:ident, $inner:ident => $body:expr;)*) => { $(
        #[test]
        fn $outer() {
            in_namespace(stringify!($inner));
        }

        #[test]
        #[ignore = "run in a namespace by the test of the same name"]
        fn $inner() {
            ($body)(Lab::new());
        }
    )* };
}

in_namespaces! {
    pings_cross_a_tunnel_and_rekeys_lose_none, inner_pings_cross => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        assert_eq!(lab.tunnel(Side::Left)["ike"]["encap"], false, "between these two nothing needs UDP");
        let answered = thread::scope(|scope| {
            let pings = scope.spawn(|| lab.ping(150, &[], "10.2.0.1"));
            for command in [["rekey", "net", ""], ["rekey", "net", "--ike"]] {
                for side in [Side::Left, Side::Right] {
                    thread::sleep(Duration::from_millis(300));
                    let arguments: Vec<&str> = command.into_iter().filter(|part| !part.is_empty()).collect();
                    lab.ask(side, &arguments).unwrap();
                }
            }
            pings.join().unwrap()
        });
        assert_eq!(answered, 150);
        let status = lab.tunnel(Side::Left);
        assert_eq!((&status["ike"]["rekeys"], &status["children"][0]["rekeys"]), (&2.into(), &2.into()));
        assert!(lab.ip(Side::Left, "link show ike0").contains("mtu 1446"));
    };

    a_stopped_gateway_says_goodbye_and_leaves_nothing_in_the_kernel, inner_goodbye => |mut lab: Lab| {
        let rules = lab.ip(Side::Left, "rule show");
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        assert_ne!(lab.ip(Side::Left, "rule show"), rules);
        lab.signal(Side::Left, "-TERM");
        assert!(lab.wait(Side::Left));
        assert_eq!(lab.ip(Side::Left, "rule show"), rules);
        assert!(!lab.ip(Side::Left, "link show").contains("ike0"));
        until("the peer to hear of it", || lab.tunnel(Side::Right)["cause"] == "deleted by the peer");
    };

    down_stays_down_and_up_comes_up, inner_down_up => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        lab.ask(Side::Left, &["down", "net"]).unwrap();
        until("down", || lab.tunnel(Side::Left)["state"] == "down" && lab.tunnel(Side::Right)["state"] == "waiting");
        assert_eq!(lab.ip(Side::Left, "route show table 4500"), "");
        lab.ask(Side::Left, &["up", "net"]).unwrap();
        lab.until_up();
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
        let refusal = lab.ask(Side::Left, &["rekey", "nat"]).unwrap_err();
        assert!(refusal.contains("did you mean \"net\"?"), "{refusal}");
    };

    down_stays_down_however_often_the_peer_knocks, inner_down_stays => |mut lab: Lab| {
        let impatient = "retransmit_tries = 1\nretransmit_timeout = 0.1\nretransmit_base = 1";
        lab.start(Side::Right, &tunnel(Side::Right, "start", impatient));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        lab.ask(Side::Left, &["down", "net"]).unwrap();
        let knocked = || lab.log(Side::Right).matches("tunnel is down").count() >= 3;
        until("the peer to have knocked", knocked);
        assert_eq!((&lab.tunnel(Side::Left)["state"], &lab.tunnel(Side::Left)["ike"]), (&"down".into(), &serde_json::Value::Null));
        // Not even a reload that changes it brings it up.
        lab.configure(Side::Left, &tunnel(Side::Left, "start", "dpd_delay = 17"));
        lab.signal(Side::Left, "-HUP");
        until("the reload", || lab.log(Side::Left).contains("reloaded"));
        assert_eq!(lab.tunnel(Side::Left)["state"], "down");
        lab.ask(Side::Left, &["up", "net"]).unwrap();
        lab.until_up();
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
    };

    a_server_that_was_taken_down_waits_for_its_peer_again_after_up, inner_up_passive => |mut lab: Lab| {
        let server = "remote = \"%any\"\nremote_id = \"*.example.net\"";
        lab.start(Side::Right, &tunnel(Side::Right, "passive", server));
        lab.ask(Side::Right, &["down", "net"]).unwrap();
        assert_eq!(lab.tunnel(Side::Right)["state"], "down");
        lab.ask(Side::Right, &["up", "net"]).unwrap();
        until("waiting", || lab.tunnel(Side::Right)["state"] == "waiting");
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
    };

    a_pool_for_others_is_no_reason_to_drop_a_tunnel, inner_pools => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        let with_pool = |addresses: &str| {
            let other = "[[tunnel]]\nname = \"others\"\npsk = \"correct horse battery staple\"\nremote_id = \"*@example.net\"";
            let pool = format!("[[pool]]\naddresses = [{addresses:?}]\ntunnels = [\"others\"]");
            format!("{}\n{other}\n{pool}\n", tunnel(Side::Left, "start", ""))
        };
        lab.start(Side::Left, &with_pool("10.9.0.0/24"));
        lab.until_up();
        let spi = lab.tunnel(Side::Left)["ike"]["spi_i"].clone();
        lab.configure(Side::Left, &with_pool("10.8.0.0/24"));
        lab.signal(Side::Left, "-HUP");
        until("the reload", || lab.log(Side::Left).contains("reloaded"));
        assert_eq!(lab.tunnel(Side::Left)["ike"]["spi_i"], spi);
        assert!(!lab.log(Side::Right).contains("deleted by the peer"));
    };

    what_others_remove_from_the_kernel_is_set_again, inner_disturbed => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        let rules = lab.ip(Side::Left, "rule show");
        let routes = lab.ip(Side::Left, "route show table 4500");
        assert!(routes.contains("10.2.0.0"), "{routes}");
        for disturbance in ["rule del priority 4500", "route flush table 4500", "link set ike0 down"] {
            lab.ip(Side::Left, disturbance);
            until(disturbance, || {
                lab.ip(Side::Left, "rule show") == rules && lab.ip(Side::Left, "route show table 4500") == routes
            });
            assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5, "{disturbance}");
        }
        // It noticed three times, and not its own work.
        thread::sleep(Duration::from_millis(600));
        assert_eq!(lab.log(Side::Left).matches("somebody has removed").count(), 3);
    };

    a_reload_takes_up_what_has_changed_and_keeps_what_has_not, inner_reload => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        let good = tunnel(Side::Left, "start", "");
        lab.start(Side::Left, &good);
        lab.until_up();
        let spi = lab.tunnel(Side::Left)["ike"]["spi_i"].clone();
        lab.configure(Side::Left, &format!("# The same, with a comment.\n{good}"));
        lab.signal(Side::Left, "-HUP");
        until("the reload", || lab.log(Side::Left).contains("reloaded"));
        assert_eq!(lab.tunnel(Side::Left)["ike"]["spi_i"], spi);

        lab.configure(Side::Left, &good.replace("psk", "pks"));
        lab.signal(Side::Left, "-HUP");
        until("the refusal", || lab.log(Side::Left).contains("did you mean \"psk\"?"));
        assert_eq!(lab.tunnel(Side::Left)["state"], "up");

        lab.configure(Side::Left, &good.replace("battery", "badger"));
        lab.signal(Side::Left, "-HUP");
        until("the wrong key", || {
            lab.tunnel(Side::Left)["cause"].as_str().is_some_and(|cause| cause.contains("compare the pre-shared key"))
        });
    };

    a_vanished_tun_device_is_made_again, inner_vanished_tun => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        lab.until_up();
        lab.ip(Side::Left, "link del ike0");
        until("the device", || lab.ip(Side::Left, "route show table 4500").contains("ike0"));
        assert!(lab.log(Side::Left).contains("vanished"));
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
    };

    a_full_disk_under_the_log_stops_nothing, inner_full_disk => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        let full = File::options().write(true).open("/dev/full").unwrap();
        lab.start_logging_to(Side::Left, &tunnel(Side::Left, "start", ""), full);
        lab.until_up();
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
    };

    a_peer_that_comes_late_is_waited_for, inner_late_peer => |mut lab: Lab| {
        lab.start(Side::Left, &tunnel(Side::Left, "start", ""));
        // Nobody listens over there: the kernel says so, and nothing comes of it.
        thread::sleep(Duration::from_millis(1_500));
        assert_eq!(lab.tunnel(Side::Left)["state"], "connecting");
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.until_up();
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
    };

    a_peer_that_no_route_leads_to_is_named_in_the_log, inner_unreachable => |mut lab: Lab| {
        let ends = "local = \"192.0.2.1\"\nremote = \"198.51.100.9\"";
        lab.start(Side::Left, &tunnel(Side::Left, "start", ends));
        until("the complaint", || lab.log(Side::Left).contains("cannot send"));
        assert!(lab.log(Side::Left).contains("Network is unreachable"), "{}", lab.log(Side::Left));
        assert_eq!(lab.tunnel(Side::Left)["state"], "connecting");
    };

    traffic_brings_a_tunnel_up, inner_on_traffic => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", ""));
        lab.start(Side::Left, &tunnel(Side::Left, "on-traffic", ""));
        assert_eq!(lab.tunnel(Side::Left)["state"], "waiting");
        // The first packet waits while the tunnel comes up, and is not lost.
        assert_eq!(lab.ping(3, &[], "10.2.0.1"), 3);
        assert_eq!(lab.tunnel(Side::Left)["state"], "up");
    };

    a_tunnel_may_take_the_default_route, inner_default_route => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", "local_ts = [\"0.0.0.0/0\"]"));
        lab.start(Side::Left, &tunnel(Side::Left, "start", "remote_ts = [\"0.0.0.0/0\"]"));
        lab.until_up();
        lab.ip(Side::Right, "addr add 198.51.100.1/32 dev lo");
        assert_eq!(lab.ping(5, &["-I", "10.1.0.1"], "198.51.100.1"), 5);
        // The peer itself is a neighbour, and stays one.
        assert!(lab.ip(Side::Left, "route get 192.0.2.2").contains("dev left"));
        let before = lab.tunnel(Side::Left)["children"][0]["packets_out"].clone();
        assert_eq!(lab.ping(5, &[], "192.0.2.2"), 5);
        assert_eq!(lab.tunnel(Side::Left)["children"][0]["packets_out"], before);
    };

    transport_mode_protects_what_the_hosts_say_to_each_other, inner_transport => |mut lab: Lab| {
        let lines = "mode = \"transport\"\nlocal_ts = [\"dynamic\"]\nremote_ts = [\"dynamic\"]";
        lab.start(Side::Right, &tunnel(Side::Right, "passive", lines));
        lab.start(Side::Left, &tunnel(Side::Left, "start", lines));
        lab.until_up();
        assert_eq!(lab.tunnel(Side::Left)["children"][0]["mode"], "transport");
        assert_eq!(lab.ping(20, &[], "192.0.2.2"), 20);
        assert_eq!(lab.tunnel(Side::Left)["children"][0]["packets_in"], 20);
    };

    ipv6_inside_and_outside, inner_ipv6 => |mut lab: Lab| {
        let ends = |us, them| format!("local = \"2001:db8::{us}\"\nremote = \"2001:db8::{them}\"");
        let networks = |us, them| format!("local_ts = [\"fd0{us}::/64\"]\nremote_ts = [\"fd0{them}::/64\"]");
        for (outer, inner) in [(true, true), (true, false), (false, true)] {
            let lines = |us, them| {
                let outer = if outer { ends(us, them) } else { String::new() };
                let inner = if inner { networks(us, them) } else { String::new() };
                format!("{outer}\n{inner}\n")
            };
            lab.start(Side::Right, &tunnel(Side::Right, "passive", &lines(2, 1)));
            lab.start(Side::Left, &tunnel(Side::Left, "start", &lines(1, 2)));
            lab.until_up();
            let address = if inner { "fd02::1" } else { "10.2.0.1" };
            assert_eq!(lab.ping(10, &[], address), 10, "IPv6 outside: {outer}, inside: {inner}");
            for side in [Side::Left, Side::Right] {
                lab.signal(side, "-TERM");
                assert!(lab.wait(side));
            }
        }
    };

    encapsulation_can_be_forced, inner_encapsulation => |mut lab: Lab| {
        lab.start(Side::Right, &tunnel(Side::Right, "passive", "encap = \"force\""));
        lab.start(Side::Left, &tunnel(Side::Left, "start", "encap = \"force\""));
        lab.until_up();
        let status = lab.tunnel(Side::Left);
        assert_eq!(status["ike"]["encap"], true);
        assert_eq!(status["ike"]["local"], "192.0.2.1:4500");
        assert_eq!(lab.ping(10, &[], "10.2.0.1"), 10);
    };

    a_client_gets_an_address_and_loses_it_with_the_tunnel, inner_virtual_address => |mut lab: Lab| {
        let server = "remote = \"%any\"\nremote_id = \"*.example.net\"\nremote_ts = [\"dynamic\"]\n\
                      [[pool]]\naddresses = [\"10.9.0.0/24\"]\n";
        lab.start(Side::Right, &tunnel(Side::Right, "passive", server));
        let client = "vips = [\"0.0.0.0\"]\nlocal_ts = [\"dynamic\"]";
        lab.start(Side::Left, &tunnel(Side::Left, "start", client));
        lab.until_up();
        until("the address", || lab.ip(Side::Left, "addr show ike0").contains("10.9.0.1/32"));
        assert_eq!(lab.ping(5, &[], "10.2.0.1"), 5);
        lab.ask(Side::Left, &["down", "net"]).unwrap();
        until("the address to go", || !lab.ip(Side::Left, "addr show ike0").contains("10.9.0.1"));
    };
}
