//! Runs the program against a responder made of the same library.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::net::UdpSocket;
use std::process::{Command, Output as Finished};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ikebana_core::datagram::{Carried, classify};
use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, IdentityPattern, Instant, Lifetime, Path, Secret, SecureRandom};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    Authentication, ChildConfig, Credentials, Encapsulation, EndpointConfig, Event, Listener, Mode, Output,
    PeerConfig, PreSharedKeyRequest, Retransmission, SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev2::Endpoint;
use ikebana_proposals::{Prefer, Preset};

/// A peer that knows everyone by the same key.
struct Open(Arc<PeerConfig>);

impl Credentials for Open {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.0.clone())
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(b"correct horse"))
    }
}

struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill_public(&mut self, out: &mut [u8]) {
        getrandom::fill(out).unwrap();
    }
    fn fill_secret(&mut self, out: &mut [u8]) {
        self.fill_public(out);
    }
}

fn responder() -> (Endpoint, Open) {
    let child = ChildConfig {
        name: "net".to_owned(),
        proposals: Preset::Modern.child(),
        prefer: Prefer::Local,
        local: vec![SelectorTemplate::DYNAMIC],
        remote: vec![SelectorTemplate::DYNAMIC],
        mode: Mode::Tunnel,
        lifetime: Lifetime::UNLIMITED,
        replay_window: 1_024,
        compress: false,
    };
    let peer = PeerConfig {
        name: "any".to_owned(),
        local_id: "@peer.example.com".parse().unwrap(),
        remote_id: IdentityPattern::Any,
        proposals: Preset::Modern.ike(),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(child)],
        lifetime: Lifetime::UNLIMITED,
        liveness: None,
        encapsulation: Encapsulation::Force,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: Vec::new(),
        assigns_addresses: false,
        uniqueness: Uniqueness::default(),
        ikev1: ikebana_ike::Ikev1Peer::default(),
    };
    let listener = Listener {
        from: Vec::new(),
        proposals: Preset::Modern.ike(),
        prefer: Prefer::Local,
        encapsulation: Encapsulation::Force,
        ikev1: ikebana_ike::Ikev1Listener::default(),
    };
    let endpoint = Endpoint::new(
        Arc::new(EndpointConfig { listeners: vec![listener], ..EndpointConfig::default() }),
        Arc::new(CryptoProvider::rust_crypto()),
        Box::new(OsRandom),
        Box::new(ShardedSpis::unsharded()),
    );
    (endpoint, Open(Arc::new(peer)))
}

/// Runs the program with this key; says how it ended, and how the responder's IKE SA did.
fn run(psk: &str) -> (Finished, &'static str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let thread = thread::spawn(move || {
        let (mut endpoint, mut keys) = responder();
        let clock = std::time::Instant::now();
        let now = || Instant::from_micros(u64::try_from(clock.elapsed().as_micros()).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut buffer = [0; 65_535];
        let mut ended = "waiting";
        while !stop.load(Ordering::Relaxed) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer)
                && let Carried::Ike(octets) = classify(buffer.get(..length).unwrap())
            {
                let datagram = Datagram { path: Path::new(address, from), encapsulated: true, octets };
                endpoint.handle_datagram(now(), datagram).unwrap();
            }
            endpoint.handle_timeout(now());
            while let Some(output) = endpoint.poll_output_with(now(), &mut keys) {
                match output {
                    Output::Transmit(transmit) => {
                        socket.send_to(&transmit.octets, transmit.path.remote).unwrap();
                    }
                    Output::Event(Event::Closed { .. }) => ended = "closed",
                    Output::Event(Event::Failed { .. }) => ended = "failed",
                    Output::Event(_) => {}
                }
            }
        }
        ended
    });
    let finished = Command::new(env!("CARGO_BIN_EXE_initiator"))
        .args([&address.to_string(), "@me.example.com", "@peer.example.com", psk])
        .output()
        .unwrap();
    done.store(true, Ordering::Relaxed);
    (finished, thread.join().unwrap())
}

#[test]
fn a_tunnel_comes_up_shows_both_sas_and_goes_down() {
    let (finished, responder) = run("correct horse");
    let text = String::from_utf8(finished.stdout).unwrap();
    assert!(finished.status.success(), "{text}\n{}", String::from_utf8_lossy(&finished.stderr));
    assert!(text.contains("peer.example.com is up with "), "{text}");
    assert!(text.contains("Inbound SA ") && text.contains("Outbound SA "), "{text}");
    assert!(text.contains("closed: "), "{text}");
    assert_eq!(responder, "closed");
}

#[test]
fn a_wrong_key_ends_in_a_message_that_says_what_to_compare() {
    let (finished, responder) = run("battery staple");
    let text = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(!finished.status.success());
    assert!(text.contains("compare the pre-shared key"), "{text}");
    assert_eq!(responder, "failed");
}
