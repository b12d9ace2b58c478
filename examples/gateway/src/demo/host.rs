//! A host behind a gateway: an IP stack that pings and moves data.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, tcp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};

use super::link::Link;
use crate::io::PacketBatch;

/// The port that data goes to.
const PORT: u16 = 5_001;
/// In flight at most; what the receive buffer of an ordinary UDP socket holds even as small packets.
const WINDOW: usize = 64 * 1_024;
const PING_IDENT: u16 = 0x1ce;
const PING_PAYLOAD: [u8; 56] = [0x5a; 56];

/// Pings that were sent and answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Pings {
    pub(super) sent: u32,
    /// Round trip of each answer, as it came.
    pub(super) times: Vec<Duration>,
}

/// A host.
pub(super) struct Host {
    link: Link,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
    icmp: SocketHandle,
    start: Instant,
    peer: Ipv4Addr,
    under_way: BTreeMap<u16, Instant>,
    pub(super) pings: Pings,
    sending: bool,
    /// Octets handed to TCP.
    pub(super) octets_sent: u64,
    /// Octets that TCP handed over, all of them as they were sent.
    pub(super) octets_received: u64,
    /// Octets that were not what was sent.
    pub(super) octets_wrong: u64,
}

impl Host {
    pub(super) fn new(address: Ipv4Addr, peer: Ipv4Addr, mtu: usize) -> Self {
        let start = Instant::now();
        let mut link = Link::new(mtu);
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut link, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // There is room for at least one.
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(address), 24));
        });
        // On a link without neighbours, any router will do.
        let _ = interface.routes_mut().add_default_ipv4_route(peer);
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
        let tcp = sockets.add(tcp::Socket::new(buffer(), buffer()));
        let packets = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 32], vec![0; 8 * 1_024]);
        let mut socket = icmp::Socket::new(packets(), packets());
        // An identifier of our own on a fresh socket is always free.
        let _ = socket.bind(icmp::Endpoint::Ident(PING_IDENT));
        let icmp = sockets.add(socket);
        Self {
            link,
            interface,
            sockets,
            tcp,
            icmp,
            start,
            peer,
            under_way: BTreeMap::new(),
            pings: Pings::default(),
            sending: false,
            octets_sent: 0,
            octets_received: 0,
            octets_wrong: 0,
        }
    }

    /// A packet came out of the tunnel.
    pub(super) fn handle_packet(&mut self, packet: &[u8]) {
        self.link.deliver(packet);
    }

    /// Sends a ping to the peer.
    pub(super) fn ping(&mut self) {
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.icmp);
        let sequence = u16::try_from(self.pings.sent % 65_536).unwrap_or(0);
        let request = Icmpv4Repr::EchoRequest { ident: PING_IDENT, seq_no: sequence, data: &PING_PAYLOAD };
        // With pings this far apart, the socket's buffer always has room.
        if let Ok(octets) = socket.send(request.buffer_len(), self.peer.into()) {
            request.emit(&mut Icmpv4Packet::new_unchecked(octets), &ChecksumCapabilities::default());
            self.pings.sent += 1;
            self.under_way.insert(sequence, Instant::now());
        }
    }

    /// Waits for the peer's data.
    pub(super) fn listen(&mut self) {
        // Only fails on an open socket, and this one is fresh.
        let _ = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp).listen(PORT);
    }

    /// Connects to the peer and sends data until [`Host::finish`].
    pub(super) fn send_data(&mut self) {
        let context = self.interface.context();
        // Only fails on an open socket or a bad address, and these are neither.
        let _ = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp).connect(
            context,
            (IpAddress::Ipv4(self.peer), PORT),
            49_152,
        );
        self.sending = true;
    }

    /// Sends what is on its way and nothing more.
    pub(super) fn finish(&mut self) {
        self.sending = false;
        self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp).close();
    }

    /// Whether everything sent by TCP has been acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.sockets.get::<tcp::Socket<'_>>(self.tcp).send_queue() == 0 && self.under_way.is_empty()
    }

    /// Lets the stack work: what arrived, what is due, what it wants to send. To be called until
    /// [`Host::leaving`] stays empty.
    pub(super) fn work(&mut self) {
        let now = self.now();
        // Each poll of the stack yields at most one packet of a socket; a batch takes many.
        loop {
            self.fill();
            let result = self.interface.poll(now, &mut self.link, &mut self.sockets);
            self.drain();
            if result == PollResult::None || self.link.leaving().is_full() {
                break;
            }
        }
        self.answers();
    }

    /// The packets that want into the tunnel, to be cleared when they are.
    pub(super) const fn leaving(&mut self) -> &mut PacketBatch {
        self.link.leaving()
    }

    /// How long nothing is due.
    pub(super) fn poll_delay(&mut self) -> Option<Duration> {
        let now = self.now();
        self.interface.poll_delay(now, &self.sockets).map(Into::into)
    }

    /// Packets that went into and came out of the tunnel.
    pub(super) const fn packets(&self) -> (u64, u64) {
        (self.link.sent, self.link.received)
    }

    fn now(&self) -> StackInstant {
        StackInstant::from_micros(i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn fill(&mut self) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        while self.sending && socket.can_send() {
            let from = self.octets_sent;
            // Only fails when it cannot send.
            let written = socket.send(|room| {
                for (octet, at) in room.iter_mut().zip(from..) {
                    *octet = pattern(at);
                }
                (room.len(), room.len())
            });
            self.octets_sent += written.map_or(0, |count| u64::try_from(count).unwrap_or(0));
        }
    }

    fn drain(&mut self) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        let (received, wrong) = (&mut self.octets_received, &mut self.octets_wrong);
        while socket.can_recv() {
            // Only fails when it cannot receive.
            let _ = socket.recv(|octets| {
                for octet in octets.iter() {
                    *wrong += u64::from(*octet != pattern(*received));
                    *received += 1;
                }
                (octets.len(), ())
            });
        }
    }

    fn answers(&mut self) {
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.icmp);
        while let Ok((octets, _)) = socket.recv() {
            let packet = Icmpv4Packet::new_checked(octets);
            let checksums = ChecksumCapabilities::default();
            let answer = packet.and_then(|packet| {
                let answer = Icmpv4Repr::parse(&packet, &checksums)?;
                let Icmpv4Repr::EchoReply { seq_no, data, .. } = answer else { return Ok(None) };
                Ok((*data == PING_PAYLOAD).then_some(seq_no))
            });
            if let Some(sent) = answer.ok().flatten().and_then(|sequence| self.under_way.remove(&sequence)) {
                self.pings.times.push(sent.elapsed());
            }
        }
    }
}

/// The octet at a place in the data: no two packets of it are alike.
const fn pattern(at: u64) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries packets both ways, `lose` saying which are lost, until `done`.
    fn run(
        left: &mut Host,
        right: &mut Host,
        done: impl Fn(&Host, &Host) -> bool,
        lose: impl Fn(u64) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut carried = 0;
        while !done(left, right) {
            assert!(Instant::now() < deadline, "the hosts do not get done");
            for _ in 0..2 {
                left.work();
                let mut packets = Vec::new();
                packets.extend(left.leaving().slots().map(|(slot, place)| slot[place].to_vec()));
                left.leaving().clear();
                for packet in packets {
                    carried += 1;
                    if !lose(carried) {
                        right.handle_packet(&packet);
                    }
                }
                std::mem::swap(left, right);
            }
        }
    }

    fn pair() -> (Host, Host) {
        let (left, right) = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1));
        (Host::new(left, right, 1_400), Host::new(right, left, 1_400))
    }

    #[test]
    fn pings_are_answered() {
        let (mut left, mut right) = pair();
        for count in 1..=5 {
            left.ping();
            run(&mut left, &mut right, |left, _| left.pings.times.len() == count, |_| false);
        }
        assert_eq!(left.pings.sent, 5);
        assert_eq!((left.packets(), right.packets()), ((5, 5), (5, 5)));
    }

    #[test]
    fn data_arrives_whole_and_stops_when_told() {
        let (mut left, mut right) = pair();
        right.listen();
        left.send_data();
        run(&mut left, &mut right, |_, right| right.octets_received > 3_000_000, |_| false);
        left.finish();
        run(&mut left, &mut right, |left, _| left.is_idle(), |_| false);
        right.work();
        assert_eq!((right.octets_received, right.octets_wrong), (left.octets_sent, 0));
        assert_eq!(left.packets().0, right.packets().1);
    }

    #[test]
    fn lost_packets_show_in_the_counters_and_not_in_the_data() {
        let (mut left, mut right) = pair();
        right.listen();
        left.send_data();
        run(&mut left, &mut right, |_, right| right.octets_received > 100_000, |packet| packet % 50 == 9);
        assert_eq!(right.octets_wrong, 0);
        assert!(left.packets().0 > right.packets().1);
    }
}
