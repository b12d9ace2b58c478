//! The kernel's routes, against a real kernel, in a network namespace of the test's own.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use ikebana::Port;
use ikebana_core::Path;
use ikebana_gateway::io::{Arrivals, PacketBatch, PacketIo, Sockets, Tun, source_address, wait};
use ikebana_gateway::network::{Network, Routes};

const MARK: u32 = 0x1ce;

/// Runs one of the ignored tests below in a user and network namespace of its own.
fn in_namespace(test: &str) {
    let can = Command::new("unshare").args(["-rn", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        assert!(std::env::var_os("CI").is_none(), "unshare -rn must work where CI is set");
        eprintln!("did not run: unshare -rn is missing or not permitted here");
        return;
    }
    let output = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the inner test did not run");
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn routes_addresses_and_mtu_are_set_and_removed() {
    in_namespace("inner_routes_addresses_and_mtu");
}

#[test]
#[ignore = "run in a namespace by the test above"]
fn inner_routes_addresses_and_mtu() {
    let before = ip("rule show");
    let tun = Tun::create("ike9").unwrap();
    let mut network = Network::new("ike9", MARK, 4500).unwrap();
    network.set_mtu(1_380).unwrap();
    let addresses = BTreeSet::from(["10.9.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
    assert!(network.set_addresses(&addresses).is_empty());
    let routes = Routes::from([
        (("10.2.0.0".parse().unwrap(), 16), Some("10.9.0.1".parse().unwrap())),
        (("0.0.0.0".parse().unwrap(), 0), None),
        (("fd01::".parse().unwrap(), 64), None),
    ]);
    let problems = network.set_routes(&routes);
    assert!(problems.is_empty(), "{problems:?}");
    assert!(network.host_addresses().unwrap().is_superset(&addresses));

    let link = ip("addr show ike9");
    assert!(
        link.contains("mtu 1380") && link.contains("10.9.0.1/32") && link.contains("fd00::1/128"),
        "{link}"
    );
    let to_network = ip("route get 10.2.3.4");
    assert!(to_network.contains("dev ike9") && to_network.contains("src 10.9.0.1"), "{to_network}");
    assert!(ip("route get 192.0.2.1").contains("dev ike9"));
    assert!(ip("-6 route get fd01::7").contains("dev ike9"));
    // Marked packets, our own IKE and ESP, do not go into the tunnel.
    assert!(
        !Command::new("ip").args(["route", "get", "10.2.3.4", "mark", "0x1ce"]).status().unwrap().success()
    );
    assert!(source_address("10.2.3.4:500".parse().unwrap(), Some(MARK)).is_err());

    assert!(network.set_routes(&Routes::new()).is_empty());
    assert_eq!(ip("rule show"), before);
    assert!(network.set_routes(&routes).is_empty());
    drop(network);
    assert_eq!(ip("rule show"), before);
    assert_eq!(ip("route show table all dev ike9 proto static"), "");
    drop(tun);
    assert!(!ip("link show").contains("ike9"));
}

#[test]
fn a_start_after_a_crash_leaves_no_second_rule() {
    in_namespace("inner_start_after_crash");
}

#[test]
#[ignore = "run in a namespace by the test above"]
fn inner_start_after_crash() {
    let routes = Routes::from([(("10.2.0.0".parse().unwrap(), 16), None)]);
    let run = |crash: bool| {
        let _tun = Tun::create("ike9").unwrap();
        let mut network = Network::new("ike9", MARK, 4500).unwrap();
        assert!(network.set_routes(&routes).is_empty());
        assert_eq!(ip("rule show").matches("4500:").count(), 1);
        if crash {
            std::mem::forget(network);
        }
    };
    run(true);
    assert_eq!(ip("rule show").matches("4500:").count(), 1);
    run(false);
    assert_eq!(ip("rule show").matches("4500:").count(), 0);
}

#[test]
fn packets_cross_the_device_both_ways() {
    in_namespace("inner_packets_cross");
}

#[test]
#[ignore = "run in a namespace by the test above"]
fn inner_packets_cross() {
    let mut tun = Tun::create("ike9").unwrap();
    let mut network = Network::new("ike9", MARK, 4500).unwrap();
    assert!(network.set_addresses(&BTreeSet::from(["10.9.0.1".parse().unwrap()])).is_empty());
    assert!(network.set_routes(&Routes::from([(("10.2.0.0".parse().unwrap(), 16), None)])).is_empty());

    let host = UdpSocket::bind("10.9.0.1:7000").unwrap();
    host.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    host.send_to(b"out", "10.2.0.9:7001").unwrap();
    let mut batch = PacketBatch::new(1_500);
    let packet = loop {
        wait(&[tun.as_fd()], Some(Duration::from_secs(5))).unwrap();
        assert!(tun.receive(&mut batch).unwrap() > 0, "no packet came out of the device");
        let packets = batch.slots().map(|(slot, place)| slot[place].to_vec());
        if let Some(packet) = packets.into_iter().find(|packet| packet[0] == 0x45) {
            break packet;
        }
    };
    assert_eq!(&packet[28..], b"out");
    // The same packet with its ends exchanged is the answer; neither checksum changes.
    let mut answer = packet;
    let (left, right) = answer.split_at_mut(16);
    left[12..16].swap_with_slice(&mut right[..4]);
    answer[20..24].rotate_left(2);
    tun.send(&answer).unwrap();
    let mut received = [0; 16];
    let (length, from) = host.recv_from(&mut received).unwrap();
    assert_eq!((&received[..length], from), (&b"out"[..], "10.2.0.9:7001".parse().unwrap()));
}

#[test]
fn native_esp_travels_without_its_ip_header() {
    in_namespace("inner_native_esp");
}

#[test]
#[ignore = "run in a namespace by the test above"]
fn inner_native_esp() {
    ip("link set lo up");
    for there in ["127.0.0.2", "::1"] {
        let there: IpAddr = there.parse().unwrap();
        let mut sockets = Sockets::default();
        sockets.add_esp(there, Some(MARK)).unwrap();
        let path = Path::new(SocketAddr::new(there, 500), SocketAddr::new(there, 500));
        assert!(sockets.push(Port::Esp, path, 0, b"one, long enough"));
        assert!(sockets.push(Port::Esp, path, 0, b"two, long enough"));
        sockets.flush(|_, error| panic!("{error}"));
        let mut arrivals = Arrivals::default();
        let mut found = Vec::new();
        while found.len() < 2 {
            wait(&sockets.descriptors().collect::<Vec<_>>(), Some(Duration::from_secs(5))).unwrap();
            sockets.receive(0, &mut arrivals).unwrap();
            assert!(!arrivals.is_empty(), "nothing came");
            for (arrived, slot, place) in arrivals.iter_mut() {
                assert_eq!((arrived.remote, arrived.local), (SocketAddr::new(there, 0), there));
                found.push(slot[place].to_vec());
            }
        }
        assert_eq!(found, [b"one, long enough", b"two, long enough"]);
    }
}
