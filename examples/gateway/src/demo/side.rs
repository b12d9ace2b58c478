//! One side of the demo: a gateway with a host behind it, in a thread of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ikebana::{EngineConfig, Event, Port, TunnelConfig, TunnelId};

use super::host::{Host, Pings};
use crate::gateway::Node;
use crate::io::{Readiness, Sockets, Waker, wait};

/// Inner packets of this length fit the path with every suite.
const MTU: usize = 1_400;

/// What a side is to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// One ping.
    Ping,
    /// Wait for the peer's data.
    Listen,
    /// Send data until told otherwise.
    SendData,
    /// Send no more.
    Finish,
    /// New keys for the child SA.
    RekeyChild,
    /// New keys for the IKE SA.
    RekeyIke,
    /// Take the tunnel down.
    Close,
    /// Leave.
    Leave,
}

/// How a side is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// IKE and ESP suites, once there is a tunnel, and how long that took.
    pub(super) tunnel: Option<(String, String, Duration)>,
    pub(super) mtu: usize,
    pub(super) child_rekeys: u32,
    pub(super) ike_rekeys: u32,
    /// The last thing that went wrong.
    pub(super) problem: Option<String>,
    pub(super) pings: Pings,
    pub(super) octets_sent: u64,
    pub(super) octets_received: u64,
    pub(super) octets_wrong: u64,
    /// Packets that the host put into the tunnel, and that came out of it.
    pub(super) packets: (u64, u64),
    pub(super) idle: bool,
    pub(super) quiet: bool,
}

/// A running side.
pub(super) struct Side {
    orders: Sender<Order>,
    waker: Waker,
    progress: Arc<Mutex<Progress>>,
    thread: Option<JoinHandle<()>>,
}

impl Side {
    /// Starts a side whose host has `address` and talks to `peer`.
    pub(super) fn start(
        name: &str,
        sockets: Sockets,
        shared: SocketAddr,
        tunnel: TunnelConfig,
        (address, peer): (Ipv4Addr, Ipv4Addr),
    ) -> Result<Self> {
        let (orders, ordered) = channel();
        let waker = Waker::new()?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let config = EngineConfig { nat_t_port: shared.port(), ..EngineConfig::default() };
        let mut worker = Worker {
            node: Node::new(config, sockets),
            host: Host::new(address, peer, MTU),
            tunnel: None,
            began: Instant::now(),
            state: Progress::default(),
            published: progress.clone(),
            waker: waker.clone(),
        };
        let now = worker.node.clock.now();
        worker.tunnel = Some(worker.node.engine.add_tunnel(now, tunnel).context("the demo's tunnel")?);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || worker.run(&ordered))?;
        Ok(Self { orders, waker, progress, thread: Some(thread) })
    }

    pub(super) fn order(&self, order: Order) {
        // Only fails once the thread has left, and then there is nothing to order.
        let _ = self.orders.send(order);
        self.waker.wake();
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.order(Order::Leave);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    node: Node,
    host: Host,
    tunnel: Option<TunnelId>,
    began: Instant,
    state: Progress,
    published: Arc<Mutex<Progress>>,
    waker: Waker,
}

impl Worker {
    fn run(&mut self, ordered: &Receiver<Order>) {
        loop {
            self.settle();
            self.publish();
            let due = [self.node.timeout(), self.host.poll_delay()];
            let timeout = due.into_iter().flatten().min();
            let (orders, sockets) = {
                let mut descriptors = vec![self.waker.as_fd()];
                descriptors.extend(self.node.descriptors());
                match wait(&descriptors, timeout) {
                    Ok(ready) => {
                        let sockets = ready.iter().skip(1).map(|ready| *ready == Readiness::Readable);
                        (ready.first() == Some(&Readiness::Readable), sockets.collect::<Vec<_>>())
                    }
                    Err(error) => {
                        tracing::error!(%error, "waiting");
                        return;
                    }
                }
            };
            for (index, _) in sockets.iter().enumerate().filter(|(_, ready)| **ready) {
                let host = &mut self.host;
                self.node.receive(index, |packet| host.handle_packet(packet));
            }
            if orders {
                self.waker.reset();
                while let Ok(order) = ordered.try_recv() {
                    if !self.obey(order) {
                        return;
                    }
                }
            }
        }
    }

    /// Does what it is told; false for leaving.
    fn obey(&mut self, order: Order) -> bool {
        let Some(tunnel) = self.tunnel else { return false };
        let (now, engine) = (self.node.clock.now(), &mut self.node.engine);
        let result = match order {
            Order::Ping => {
                self.host.ping();
                Ok(())
            }
            Order::Listen => {
                self.host.listen();
                Ok(())
            }
            Order::SendData => {
                self.host.send_data();
                Ok(())
            }
            Order::Finish => {
                self.host.finish();
                Ok(())
            }
            Order::RekeyChild => engine.rekey_children(now, tunnel).map_err(|error| error.to_string()),
            Order::RekeyIke => engine.rekey_ike(now, tunnel).map_err(|error| error.to_string()),
            Order::Close => engine.stop(now, tunnel).map_err(|error| error.to_string()),
            Order::Leave => return false,
        };
        if let Err(problem) = result {
            self.state.problem = Some(problem);
        }
        true
    }

    /// Lets host and engine work until neither has anything more to say.
    fn settle(&mut self) {
        loop {
            self.host.work();
            let packets = self.host.leaving();
            let more = packets.is_full();
            if !packets.is_empty() {
                self.node.protect(packets);
            }
            let (host, state, began) = (&mut self.host, &mut self.state, self.began);
            let mut delivered = false;
            self.node.settle(
                |packet| {
                    host.handle_packet(packet);
                    delivered = true;
                },
                |engine, event| note(state, engine, event, began),
            );
            if !more && !delivered {
                return;
            }
        }
    }

    fn publish(&mut self) {
        let (host, state) = (&self.host, &mut self.state);
        state.pings.clone_from(&host.pings);
        state.octets_sent = host.octets_sent;
        state.octets_received = host.octets_received;
        state.octets_wrong = host.octets_wrong;
        state.packets = host.packets();
        state.idle = host.is_idle();
        state.quiet = self.node.engine.is_quiet();
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone_from(state);
    }
}

/// Keeps in mind what the report will say.
fn note(state: &mut Progress, engine: &ikebana::Engine, event: Event, began: Instant) {
    match event {
        Event::ChildUp { rekeyed: true, .. } => state.child_rekeys += 1,
        Event::ChildUp { child, .. } => {
            let status = engine.status();
            let tunnel = status.iter().find(|tunnel| tunnel.children.iter().any(|one| one.child == child));
            let suites = tunnel.and_then(|tunnel| {
                let child = tunnel.children.iter().find(|one| one.child == child)?;
                state.mtu = child.mtu;
                Some((tunnel.ikes.first()?.suite.to_string(), child.suite.to_string()))
            });
            if let Some((ike, esp)) = suites {
                state.tunnel = Some((ike, esp, began.elapsed()));
            }
        }
        Event::IkeRekeyed(_) => state.ike_rekeys += 1,
        Event::Down { cause, .. } | Event::Problem { cause, .. } => state.problem = Some(cause),
        Event::Established(..) | Event::ChildDown { .. } | Event::Assigned(..) | _ => {}
    }
}

/// The sockets of a side, and the address that its peer reaches it at.
pub(super) fn sockets() -> Result<(Sockets, SocketAddr)> {
    let mut sockets = Sockets::default();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let shared = sockets.add_udp(Port::Shared, loopback, None).context("a UDP socket on loopback")?;
    Ok((sockets, shared))
}
