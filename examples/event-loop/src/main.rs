//! An engine in an event loop of one's own; here it is mio's, but epoll, io_uring or a game's main loop will do.
//!
//! What an engine asks of a loop is this: give it what arrives, drain what it says, and come back at the time it
//! names. To have somebody to talk to, two engines share this loop. The left one brings the tunnel up and sends
//! a packet through it; when the right one has it, both go home.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail};
use ikebana::core::spi::ShardedSpis;
use ikebana::core::{Instant, Path, SecureRandom};
use ikebana::crypto::CryptoProvider;
use ikebana::esp::PacketBuf;
use ikebana::ike::Encapsulation;
use ikebana::{
    ArrivalFate, Arriving, Engine, EngineConfig, Event, Leaving, LeavingFate, Output, Port, Start,
    TunnelConfig, TunnelId,
};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

/// An echo request from 10.1.0.1 to 10.2.0.1.
const PING: [u8; 28] = [
    0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x26, 0xdc, 10, 1, 0, 1, 10, 2, 0, 1, // IPv4
    8, 0, 0xf7, 0xfd, 0, 1, 0, 1, // ICMP
];

/// Free octets on either side of a packet, for what sealing adds.
const ROOM: usize = 64;

fn main() -> Result<()> {
    let mut poll = Poll::new()?;
    let clock = std::time::Instant::now();
    let now = || Instant::from_micros(u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX));

    let mut right = Node::new("right", &poll, Token(1))?;
    let right_address = right.socket.local_addr()?;
    let mut left = Node::new("left", &poll, Token(0))?;
    right.tunnel = Some(right.engine.add_tunnel(now(), tunnel(2, None)?)?);
    left.tunnel = Some(left.engine.add_tunnel(now(), tunnel(1, Some(right_address))?)?);
    let mut nodes = [left, right];

    let mut events = Events::with_capacity(8);
    loop {
        for node in &mut nodes {
            node.settle(now())?;
        }
        let [left, right] = &mut nodes;
        if right.delivered && left.tunnel.is_some() {
            left.stop(now())?;
            continue;
        }
        if right.delivered && left.engine.is_quiet() && right.engine.is_quiet() {
            return Ok(());
        }

        let deadline = nodes.iter().filter_map(|node| node.engine.poll_timeout()).min();
        poll.poll(&mut events, deadline.map(|at| at.saturating_since(now())))?;
        for event in &events {
            if let Some(node) = nodes.get_mut(event.token().0) {
                node.receive(now())?;
            }
        }
        for node in &mut nodes {
            node.engine.handle_timeout(now());
        }
    }
}

struct Node {
    name: &'static str,
    engine: Engine,
    socket: UdpSocket,
    tunnel: Option<TunnelId>,
    delivered: bool,
}

impl Node {
    fn new(name: &'static str, poll: &Poll, token: Token) -> Result<Self> {
        let mut socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        poll.registry().register(&mut socket, token, Interest::READABLE)?;
        let config = EngineConfig { nat_t_port: socket.local_addr()?.port(), ..EngineConfig::default() };
        let provider = Arc::new(CryptoProvider::fastest());
        let spis = Box::new(ShardedSpis::unsharded());
        let engine = Engine::new(config, provider, Box::new(OsRandom), spis);
        Ok(Self { name, engine, socket, tunnel: None, delivered: false })
    }

    /// Everything that the engine has to say.
    fn settle(&mut self, now: Instant) -> Result<()> {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { path, octets } => drop(self.socket.send_to(&octets, path.remote)?),
                Output::Send { how, octets } => drop(self.socket.send_to(&octets, how.path.remote)?),
                Output::Deliver(_) => {}
                Output::Event(Event::ChildUp { .. }) => {
                    println!("{}: the tunnel is up", self.name);
                    if self.name == "left" {
                        self.send(now, &PING)?;
                    }
                }
                Output::Event(Event::Down { cause, retry: None, .. }) => println!("{}: {cause}", self.name),
                Output::Event(Event::Down { cause, .. } | Event::Problem { cause, .. }) => bail!("{cause}"),
                Output::Event(_) => {}
            }
        }
        Ok(())
    }

    /// Takes in what the socket has. mio tells of news once, so it is read until it has no more.
    fn receive(&mut self, now: Instant) -> Result<()> {
        let mut buffer = [0; 65_535];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let path = Path::new(self.socket.local_addr()?, from);
            let Some(packet) = PacketBuf::new(&mut buffer, 0..length) else { continue };
            let mut batch = [Arriving::new(path, Port::Shared, None, packet)];
            self.engine.handle_datagrams(now, &mut batch);
            let [arrived] = &batch;
            if arrived.fate == ArrivalFate::Deliver && arrived.packet.payload() == PING {
                println!("{}: the packet is here", self.name);
                self.delivered = true;
            }
        }
    }

    /// Sends a packet of the inner side.
    fn send(&mut self, now: Instant, packet: &[u8]) -> Result<()> {
        let mut buffer = [&[0; ROOM], packet, &[0; ROOM]].concat();
        let Some(packet) = PacketBuf::new(&mut buffer, ROOM..ROOM + packet.len()) else { return Ok(()) };
        let mut batch = [Leaving::new(packet)];
        self.engine.handle_packets(now, &mut batch);
        let [leaving] = &batch;
        let LeavingFate::Send(how) = leaving.fate else {
            bail!("the packet cannot leave: {:?}", leaving.fate)
        };
        let sealed = leaving.packet.payload();
        println!("{}: {} octets leave as {} octets of ESP", self.name, PING.len(), sealed.len());
        self.socket.send_to(sealed, how.path.remote)?;
        Ok(())
    }

    fn stop(&mut self, now: Instant) -> Result<()> {
        match self.tunnel.take() {
            Some(tunnel) => Ok(self.engine.stop(now, tunnel)?),
            None => Ok(()),
        }
    }
}

/// The tunnel between networks 10.1.0.0/16 and 10.2.0.0/16, seen from the side that has `us`.
fn tunnel(us: u8, remote: Option<SocketAddr>) -> Result<TunnelConfig> {
    let them = 3 - us;
    let mut tunnel = TunnelConfig::site_to_site(
        "office",
        (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
        (&format!("gw{us}.example.net"), &format!("gw{them}.example.net")),
        (&format!("10.{us}.0.0/16"), &format!("10.{them}.0.0/16")),
        b"correct horse battery staple",
    )?;
    tunnel.remote = remote;
    tunnel.start = if remote.is_some() { Start::Start } else { Start::Passive };
    // One socket for everything: ESP travels in UDP too.
    tunnel.peer.encapsulation = Encapsulation::Force;
    Ok(tunnel)
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
