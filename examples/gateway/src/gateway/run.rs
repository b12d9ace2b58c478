//! The gateway's main loop.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ikebana::{EngineConfig, Event, Port};
use ikebana_ike::Limits;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::inner::Inner;
use super::tunnels::Tunnels;
use super::{Node, Resolver, advice, overview};
use crate::config::{self, Config, Gateway, LogFormat};
use crate::control::{Call, Request, Response, Server};
use crate::io::{Readiness, Sockets, Waker, wait};
use crate::status::Status;

/// How long peers have to answer our farewell.
const FAREWELL: Duration = Duration::from_secs(3);
/// How many batches are taken from the TUN device before the sockets have their turn.
const TURNS: usize = 4;

/// What the command line says in place of the configuration's `[gateway]`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `tun`
    pub tun: Option<String>,
    /// `control`
    pub control: Option<PathBuf>,
    /// `log`
    pub log: Option<String>,
    /// `log_format`
    pub log_format: Option<LogFormat>,
}

impl Overrides {
    /// Changes what the configuration says.
    pub fn apply(&self, gateway: &mut Gateway) {
        let Self { tun, control, log, log_format } = self.clone();
        gateway.tun = tun.unwrap_or_else(|| std::mem::take(&mut gateway.tun));
        gateway.control = control.unwrap_or_else(|| std::mem::take(&mut gateway.control));
        gateway.log = log.unwrap_or_else(|| std::mem::take(&mut gateway.log));
        gateway.log_format = log_format.unwrap_or(gateway.log_format);
    }
}

/// Runs a gateway with `config`, which is from `file` and has been changed by `overrides`, until it is told to
/// stop.
///
/// # Errors
/// What keeps it from starting. Once it runs, it goes on.
pub fn run(file: &Path, config: Config, overrides: Overrides) -> Result<()> {
    let mut running = Running::start(file, config, overrides)?;
    running.run()
}

struct Running {
    file: PathBuf,
    overrides: Overrides,
    node: Node,
    inner: Inner,
    tunnels: Tunnels,
    server: Server,
    waker: Waker,
    stop: UnixStream,
    reload: UnixStream,
    /// Since when we are leaving.
    leaving: Option<Instant>,
    /// Something has happened that the kernel may have to follow.
    stale: bool,
}

impl Running {
    fn start(file: &Path, config: Config, overrides: Overrides) -> Result<Self> {
        let gateway = &config.gateway;
        let waker = Waker::new().context("an event descriptor")?;
        // First what tells a second gateway on the same host that it is the second one.
        let server = Server::listen(&gateway.control, waker.clone())
            .with_context(|| format!("the control socket {}", gateway.control.display()))?;
        let inner = Inner::new(gateway.clone()).with_context(|| {
            format!("the TUN device {} cannot be made (this needs root, and /dev/net/tun)", gateway.tun)
        })?;
        let sockets = listen(gateway)?;
        let resolver = Resolver::start(waker.clone()).context("a thread for name lookups")?;
        let (stop, reload) = signals().context("signal handlers")?;
        let limits = Limits::default();
        let cookie_threshold = gateway
            .half_open_limit
            .map_or(limits.cookie_threshold, |limit| usize::try_from(limit).unwrap_or(0));
        let engine = EngineConfig {
            ike_port: gateway.port,
            nat_t_port: gateway.nat_port,
            limits: Limits { cookie_threshold, ..limits },
            ..EngineConfig::default()
        };
        advice::warn(&config);
        tracing::info!(device = %gateway.tun, tunnels = config.tunnels.len(), "the gateway runs");
        Ok(Self {
            file: file.to_owned(),
            overrides,
            node: Node::new(engine, sockets),
            inner,
            tunnels: Tunnels::new(config, resolver),
            server,
            waker,
            stop,
            reload,
            leaving: None,
            stale: true,
        })
    }

    fn run(&mut self) -> Result<()> {
        loop {
            self.stale |= self.tunnels.work(&mut self.node);
            self.inner.handle_timeout();
            self.settle();
            if self.has_left() {
                return Ok(());
            }
            let [wake, stop, reload, tun, changes] = self.wait().context("waiting for packets")?;
            if tun {
                self.take_inner();
            }
            if changes {
                self.inner.look();
            }
            if wake {
                self.waker.reset();
                while let Some(call) = self.server.poll() {
                    self.answer(call);
                }
            }
            if stop && was_signalled(&mut self.stop) {
                if self.leaving.is_some() {
                    tracing::warn!("told twice to stop; leaving without a farewell");
                    return Ok(());
                }
                self.leave();
            }
            if reload && was_signalled(&mut self.reload) {
                let outcome = self.reconfigure();
                let file = self.file.display();
                match &outcome.error {
                    None => tracing::info!(%file, "reloaded"),
                    Some(problem) => tracing::error!("{problem}"),
                }
            }
        }
    }

    /// Waits, and takes in what came from the network; says what else there is.
    fn wait(&mut self) -> io::Result<[bool; 5]> {
        let farewell = self.leaving.map(|since| FAREWELL.saturating_sub(since.elapsed()));
        let due = [self.node.timeout(), self.tunnels.timeout(), self.inner.timeout(), farewell];
        let timeout = due.into_iter().flatten().min();
        // A tunnel that was added may have brought a socket of its own.
        let sockets = self.node.descriptors().count();
        let ready = {
            let mut descriptors = vec![self.waker.as_fd(), self.stop.as_fd(), self.reload.as_fd()];
            descriptors.extend(self.node.descriptors());
            descriptors.extend(self.inner.descriptors());
            wait(&descriptors, timeout)?
        };
        let is_ready = |index: usize| ready.get(index) == Some(&Readiness::Readable);
        for index in (0..sockets).filter(|index| is_ready(index + 3)) {
            let inner = &mut self.inner;
            self.node.receive(index, |packet| inner.deliver(packet));
        }
        let inner = sockets + 3;
        Ok([is_ready(0), is_ready(1), is_ready(2), is_ready(inner), is_ready(inner + 1)])
    }

    fn take_inner(&mut self) {
        for _ in 0..TURNS {
            let packets = self.inner.receive();
            if packets.is_empty() {
                return;
            }
            self.node.protect(packets);
        }
    }

    /// Lets the engine work, and the kernel follow.
    fn settle(&mut self) {
        let mut events = Vec::new();
        let inner = &mut self.inner;
        self.node.settle(|packet| inner.deliver(packet), |_, event| events.push(event));
        for event in &events {
            self.note(event);
        }
        self.tunnels.forget_former();
        self.stale |= !events.is_empty();
        if std::mem::take(&mut self.stale) {
            self.inner.want(self.tunnels.wanted(&self.node.engine.status()));
        }
    }

    fn note(&mut self, event: &Event) {
        let name =
            |tunnels: &mut Tunnels, id| tunnels.name_of(id).map_or_else(|| format!("{id}"), str::to_owned);
        match event {
            Event::Established(id, facts) => {
                let tunnel = name(&mut self.tunnels, *id);
                let (suite, nat) = (facts.suite.to_string(), facts.nat);
                let (peer, path) = (&facts.remote_id, facts.path);
                tracing::info!(tunnel, %peer, %path, suite, nat_here = nat.local, nat_there = nat.remote, "IKE SA is up");
            }
            Event::ChildUp { tunnel, child, rekeyed } => {
                let status = self.node.engine.status();
                let pair = status.iter().flat_map(|one| &one.children).find(|pair| pair.child == *child);
                let tunnel = name(&mut self.tunnels, *tunnel);
                if let Some(pair) = pair {
                    let (suite, local, remote) = (pair.suite.to_string(), &pair.local, &pair.remote);
                    tracing::info!(tunnel, suite, %local, %remote, mtu = pair.mtu, rekeyed, "child SA is up");
                }
            }
            Event::ChildDown { tunnel, reason, .. } => {
                tracing::info!(tunnel = name(&mut self.tunnels, *tunnel), reason, "child SA is gone");
            }
            Event::IkeRekeyed(id) => {
                tracing::info!(tunnel = name(&mut self.tunnels, *id), "IKE SA has new keys");
            }
            Event::Assigned(id, assignment) => {
                let addresses = &assignment.addresses;
                tracing::info!(tunnel = name(&mut self.tunnels, *id), ?addresses, dns = ?assignment.dns, "assigned");
                if let Some(entry) = self.tunnels.with_id(*id) {
                    entry.assigned.clone_from(addresses);
                }
            }
            Event::Down { tunnel, cause, retry } => {
                tracing::warn!(tunnel = name(&mut self.tunnels, *tunnel), cause, retry_in = ?retry, "tunnel is down");
                if let Some(entry) = self.tunnels.with_id(*tunnel) {
                    entry.assigned.clear();
                }
            }
            Event::PathMtu { tunnel, remote, mtu } => {
                tracing::info!(tunnel = name(&mut self.tunnels, *tunnel), %remote, mtu, "path MTU has changed");
            }
            Event::Problem { tunnel, cause } => {
                let tunnel = tunnel.map(|id| name(&mut self.tunnels, id));
                tracing::warn!(tunnel, cause, "problem");
            }
            _ => {}
        }
    }

    fn answer(&mut self, call: Call) {
        let response = match &call.request {
            Request::Status => Response::status(self.status()),
            Request::Reload => self.reconfigure(),
            Request::Up { tunnel } => {
                self.stale = true;
                match self.tunnels.bring_up(&mut self.node, tunnel) {
                    Some(Ok(())) => Response::done(),
                    Some(Err(problem)) => Response::failed(problem),
                    None => self.unknown(tunnel),
                }
            }
            Request::Down { tunnel } => {
                self.stale = true;
                match self.tunnels.take_down(&mut self.node, tunnel) {
                    Some(()) => Response::done(),
                    None => self.unknown(tunnel),
                }
            }
            Request::Rekey { tunnel, ike } => {
                let ike = *ike;
                self.rekey(tunnel, ike)
            }
        };
        call.answer(response);
    }

    fn rekey(&mut self, name: &str, ike: bool) -> Response {
        let Some(entry) = self.tunnels.named(name) else { return self.unknown(name) };
        let Some(id) = entry.id else { return Response::failed(format!("tunnel {name:?} is not up")) };
        let (now, engine) = (self.node.clock.now(), &mut self.node.engine);
        let result = if ike { engine.rekey_ike(now, id) } else { engine.rekey_children(now, id) };
        result.map_or_else(|error| Response::failed(error.to_string()), |()| Response::done())
    }

    fn unknown(&self, name: &str) -> Response {
        let names: Vec<&str> = self.tunnels.entries.iter().map(|entry| entry.config.name.as_str()).collect();
        Response::failed(format!("there is no tunnel {name:?}{}", config::hint(name, &names)))
    }

    fn status(&self) -> Status {
        let engine = &self.node.engine;
        let all = engine.status();
        let tunnels = self.tunnels.entries.iter().map(|entry| {
            let found = all.iter().find(|tunnel| Some(tunnel.id) == entry.id);
            overview::tunnel(entry, found)
        });
        let others = [("NotSent", self.node.unsent()), ("NotDelivered", self.inner.refused())];
        Status { tunnels: tunnels.collect(), drops: overview::drops(engine, others) }
    }

    fn reconfigure(&mut self) -> Response {
        match config::load(&self.file) {
            Ok((mut config, warnings)) => {
                self.overrides.apply(&mut config.gateway);
                for warning in &warnings.0 {
                    tracing::warn!("{}:{warning}", self.file.display());
                }
                self.tunnels.reconfigure(&mut self.node, config);
                self.stale = true;
                Response::done()
            }
            Err(problems) => {
                let problems = problems.render(&self.file);
                Response::failed(format!("the configuration stays as it was: {}", problems.trim_end()))
            }
        }
    }

    /// Takes leave of all peers.
    fn leave(&mut self) {
        tracing::info!("leaving");
        self.leaving = Some(Instant::now());
        for id in self.tunnels.entries.iter().filter_map(|entry| entry.id) {
            // It is in the engine, since it has an id.
            let _ = self.node.engine.stop(self.node.clock.now(), id);
        }
    }

    fn has_left(&self) -> bool {
        self.leaving.is_some_and(|since| since.elapsed() >= FAREWELL || self.node.engine.is_quiet())
    }
}

/// Opens every socket of the outer side.
fn listen(gateway: &Gateway) -> Result<Sockets> {
    let mut sockets = Sockets::default();
    let mark = Some(gateway.fwmark);
    for address in &gateway.listen {
        for (port, number) in [(Port::Ike, gateway.port), (Port::Shared, gateway.nat_port)] {
            let bound = SocketAddr::new(*address, number);
            match sockets.add_udp(port, bound, mark) {
                Ok(_) => {}
                // A host without IPv6 is no reason not to start, unless IPv6 was asked for.
                Err(error)
                    if address.is_unspecified() && gateway.listen.len() > 1 && is_missing_family(&error) =>
                {
                    tracing::info!(%error, %bound, "not listening");
                }
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("cannot listen on {bound} (does another IKE daemon run, are we root?)")
                    });
                }
            }
        }
        if let Err(error) = sockets.add_esp(*address, mark) {
            tracing::warn!(%error, %address, "no native ESP here; ESP will travel in UDP");
        }
    }
    Ok(sockets)
}

fn is_missing_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .map(Errno::raw_os_error)
        .map(Some)
        .contains(&error.raw_os_error())
}

/// Streams that become readable when the process is told to stop, and to reload.
fn signals() -> io::Result<(UnixStream, UnixStream)> {
    let (stop, stopper) = UnixStream::pair()?;
    let (reload, reloader) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, stopper.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, stopper)?;
    signal_hook::low_level::pipe::register(SIGHUP, reloader)?;
    stop.set_nonblocking(true)?;
    reload.set_nonblocking(true)?;
    Ok((stop, reload))
}

/// Whether a signal came; several at once count as one.
fn was_signalled(stream: &mut UnixStream) -> bool {
    stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
}
