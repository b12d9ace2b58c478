//! An IKEv2 initiator over a plain UDP socket: negotiates one tunnel, shows its SAs, and takes it down.
//!
//! ```text
//! initiator 192.0.2.2:4500 @me.example.com @peer.example.com 'the pre-shared key'
//! ```
//!
//! It talks to port 4500 from the start, as RFC 7296 2.23 allows, so that one socket is enough.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ikebana_core::datagram::{Carried, classify};
use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, Instant, Lifetime, Path, Secret, SecureRandom};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    Authentication, ChildConfig, Credentials, Encapsulation, EndpointConfig, Event, Mode, Output, PeerConfig,
    PreSharedKeyRequest, Retransmission, SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev2::Endpoint;
use ikebana_proposals::{Prefer, Preset};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, local_id, remote_id, psk] = arguments.as_slice() else {
        bail!("usage: initiator ADDRESS:PORT LOCAL_ID REMOTE_ID PSK");
    };
    let remote: SocketAddr = address.parse().context("the peer's address and port")?;
    let socket = UdpSocket::bind(if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(remote)?;
    let path = Path::new(socket.local_addr()?, remote);

    let child = ChildConfig {
        name: "net".to_owned(),
        proposals: Preset::Modern.child(),
        prefer: Prefer::Local,
        local: vec![SelectorTemplate::DYNAMIC],
        remote: vec![SelectorTemplate::DYNAMIC],
        mode: Mode::Tunnel,
        lifetime: Lifetime::by_time(Duration::from_secs(3_600)),
        replay_window: 1_024,
        compress: false,
    };
    let peer = PeerConfig {
        name: "peer".to_owned(),
        local_id: local_id.parse()?,
        remote_id: remote_id.parse()?,
        proposals: Preset::Modern.ike(),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(child)],
        lifetime: Lifetime::by_time(Duration::from_secs(4 * 3_600)),
        liveness: None,
        encapsulation: Encapsulation::Force,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: Vec::new(),
        assigns_addresses: false,
        uniqueness: Uniqueness::default(),
        ikev1: ikebana_ike::Ikev1Peer::default(),
    };

    let mut endpoint = Endpoint::new(
        Arc::new(EndpointConfig::default()),
        Arc::new(CryptoProvider::fastest()),
        Box::new(OsRandom),
        Box::new(ShardedSpis::unsharded()),
    );
    let mut keys = OneKey(Secret::from_slice(psk.as_bytes()));
    let clock = std::time::Instant::now();
    let now = || Instant::from_micros(u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX));
    let ike = endpoint.initiate(now(), Arc::new(peer), path)?;

    let mut buffer = [0; 65_535];
    let mut installed = 0;
    loop {
        while let Some(output) = endpoint.poll_output_with(now(), &mut keys) {
            match output {
                Output::Transmit(transmit) => drop(socket.send(&transmit.octets)?),
                Output::Event(Event::Established(sa)) => println!("{} is up with {}", sa.remote_id, sa.suite),
                Output::Event(Event::InstallSa(sa)) => {
                    println!(
                        "{:?} SA {}: {}, {} === {}",
                        sa.direction, sa.spi, sa.suite, sa.local, sa.remote
                    );
                    installed += 1;
                    if installed == 2 {
                        endpoint.close(now(), ike)?;
                    }
                }
                Output::Event(Event::ChildFailed { reason, .. }) => bail!("no child SA: {reason}"),
                Output::Event(Event::Failed { reason, .. }) => bail!("no IKE SA: {reason}"),
                Output::Event(Event::Closed { reason, .. }) => {
                    println!("closed: {reason}");
                    return Ok(());
                }
                Output::Event(_) => {}
            }
        }
        let wait = endpoint.poll_timeout().map(|at| at.saturating_since(now()).max(Duration::from_millis(1)));
        socket.set_read_timeout(wait)?;
        // A timeout and an ICMP error are the same to us: the endpoint knows what to send again.
        if let Ok(length) = socket.recv(&mut buffer)
            && let Carried::Ike(octets) = classify(buffer.get(..length).unwrap_or_default())
        {
            // Why a datagram was dropped is counted in the endpoint's statistics.
            let _ = endpoint.handle_datagram(now(), Datagram { path, encapsulated: true, octets });
        }
        endpoint.handle_timeout(now());
    }
}

/// The one key there is.
struct OneKey(Secret);

impl Credentials for OneKey {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        None
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(self.0.duplicate())
    }
}

struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill_public(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives randomness");
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.fill_public(out);
    }
}
