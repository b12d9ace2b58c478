//! An engine with its sockets: what the gateway and the demo have in common.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ikebana::esp::PacketBuf;
use ikebana::{
    ArrivalFate, Arriving, Engine, EngineConfig, Event, Leaving, LeavingFate, Output, Port, Sending,
};
use ikebana_core::Path;
use ikebana_core::spi::ShardedSpis;
use ikebana_crypto::CryptoProvider;

use super::os::{Clock, OsRandom};
use crate::io::{Arrivals, PacketBatch, Sockets};

/// How many batches are taken from one socket before the others have their turn.
const TURNS: usize = 4;

/// How often the log says that the same peer cannot be reached.
const COMPLAINT: Duration = Duration::from_secs(60);
/// How soon after one such complaint another may follow.
const PAUSE: Duration = Duration::from_secs(1);

/// An engine with its sockets.
pub struct Node {
    /// The clock that the engine goes by.
    pub clock: Clock,
    /// The engine.
    pub engine: Engine,
    sockets: Sockets,
    arrivals: Arrivals,
    /// Packets that no socket could send, or that a policy wanted to go in clear.
    unsent: u64,
    /// What was complained of last, and when.
    complained: Option<((SocketAddr, ErrorKind), Instant)>,
}

impl Node {
    /// An engine that sends and receives through `sockets`.
    #[must_use]
    pub fn new(config: EngineConfig, sockets: Sockets) -> Self {
        let provider = Arc::new(CryptoProvider::fastest());
        let spis = || Box::new(ShardedSpis::unsharded());
        let engine = Engine::new(config, provider, Box::new(OsRandom), spis());
        Self {
            clock: Clock::start(),
            // Which of them speaks IKEv1, if any does, is the tunnels' to say.
            engine: engine.with_ikev1(Box::new(OsRandom), spis()),
            sockets,
            arrivals: Arrivals::default(),
            unsent: 0,
            complained: None,
        }
    }

    /// For waiting on the sockets, in their order.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.descriptors()
    }

    /// Gets ready for transport mode, where a received packet gets its IP header back.
    pub const fn expect_transport_mode(&mut self) {
        self.arrivals.keep_apart();
    }

    /// Whether native ESP can be sent from this address.
    #[must_use]
    pub fn has_native_esp(&self, local: SocketAddr) -> bool {
        self.sockets.serves(Port::Esp, local)
    }

    /// Gets ready for AH from and to this address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn expect_ah(&mut self, local: IpAddr, mark: u32) -> io::Result<()> {
        if self.sockets.serves(Port::Ah, SocketAddr::new(local, 0)) {
            return Ok(());
        }
        self.sockets.add_ah(local, Some(mark))
    }

    /// Takes in what the socket numbered `index` has; `deliver` gets the packets for the inner side.
    pub fn receive(&mut self, index: usize, mut deliver: impl FnMut(&[u8])) {
        for _ in 0..TURNS {
            let (port, number) = match self.sockets.receive(index, &mut self.arrivals) {
                Ok(Some(found)) => found,
                Ok(None) => return,
                Err(error) => {
                    // An ICMP error of something sent earlier; whoever sent it will notice the silence.
                    tracing::debug!(%error, "receiving");
                    return;
                }
            };
            if self.arrivals.is_empty() {
                return;
            }
            let mut batch: Vec<Arriving<'_>> = self
                .arrivals
                .iter_mut()
                .filter_map(|(arrived, slot, place)| {
                    let path = Path::new(SocketAddr::new(arrived.local, number), arrived.remote);
                    Some(Arriving::new(path, port, Some(arrived.ecn), PacketBuf::new(slot, place)?))
                })
                .collect();
            self.engine.handle_datagrams(self.clock.now(), &mut batch);
            for arriving in &batch {
                match arriving.fate {
                    ArrivalFate::Deliver => deliver(arriving.packet.payload()),
                    ArrivalFate::Dropped(cause) => {
                        tracing::trace!(cause = cause.name(), path = %arriving.path, "arriving packet dropped");
                    }
                    ArrivalFate::Consumed | ArrivalFate::Pending => {}
                }
            }
        }
    }

    /// Protects and sends packets of the inner side, and empties the batch.
    pub fn protect(&mut self, packets: &mut PacketBatch) {
        let mut batch: Vec<Leaving<'_>> = packets
            .slots()
            .filter_map(|(slot, place)| PacketBuf::new(slot, place).map(Leaving::new))
            .collect();
        self.engine.handle_packets(self.clock.now(), &mut batch);
        for leaving in &batch {
            match leaving.fate {
                LeavingFate::Send(how) => {
                    send(&mut self.sockets, &mut self.unsent, how, leaving.packet.payload());
                }
                LeavingFate::Clear => {
                    // What came out of the TUN device cannot go around it.
                    self.unsent += 1;
                }
                LeavingFate::Dropped(cause) => {
                    tracing::trace!(cause = cause.name(), "leaving packet dropped");
                }
                LeavingFate::Waiting | LeavingFate::Pending => {}
            }
        }
        drop(batch);
        packets.clear();
        self.flush();
    }

    /// Does what is due, and sends and tells what the engine has to say: `deliver` gets packets for the inner
    /// side, and `happened` hears of changes.
    pub fn settle(&mut self, mut deliver: impl FnMut(&[u8]), mut happened: impl FnMut(&Engine, Event)) {
        let now = self.clock.now();
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { path, octets } => {
                    let sent = [Port::Ike, Port::Shared]
                        .into_iter()
                        .any(|port| self.sockets.push(port, path, 0, &octets));
                    if !sent {
                        tracing::warn!(%path, "no socket listens on the address that IKE is to be sent from");
                        self.unsent += 1;
                    }
                }
                Output::Send { how, octets } => send(&mut self.sockets, &mut self.unsent, how, &octets),
                Output::Deliver(packet) => deliver(&packet),
                Output::Event(event) => happened(&self.engine, event),
            }
        }
        self.flush();
    }

    /// How long nothing is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.engine.poll_timeout().map(|at| at.saturating_since(self.clock.now()))
    }

    /// Packets that were lost on their way to the network: refused by the system, or without a socket.
    #[must_use]
    pub const fn unsent(&self) -> u64 {
        self.unsent + self.sockets.failures()
    }

    fn flush(&mut self) {
        let complained = &mut self.complained;
        self.sockets.flush(|run, error| {
            let to = run.destination;
            // A peer that cannot be reached from here looks like one that does not answer; the system knows better.
            let news = (to, error.kind());
            let is_news = complained.is_none_or(|(before, at)| {
                at.elapsed() >= COMPLAINT || (before != news && at.elapsed() >= PAUSE)
            });
            if is_news {
                *complained = Some((news, Instant::now()));
                tracing::warn!(%error, %to, "cannot send");
            } else {
                tracing::debug!(%error, %to, "cannot send");
            }
        });
    }
}

fn send(sockets: &mut Sockets, unsent: &mut u64, how: Sending, octets: &[u8]) {
    if !sockets.push(how.port, how.path, how.tos, octets) {
        *unsent += 1;
    }
}
