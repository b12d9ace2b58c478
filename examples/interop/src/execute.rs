//! The steps of one scenario, done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::agreement::{self, Agreed};
use crate::daemon::{Daemon, IkeSa, Plan, xfrm};
use crate::ike_scan;
use crate::lab::Lab;
use crate::ping;
use crate::place::{Place, Process};
use crate::runner::{PeerNotReady, log_since};
use crate::scenario::{Family, Mode, Scenario, Side};
use crate::step::{SaKind, Step, Wire};
use crate::wait;

/// How long both ends may take to agree after a rekey.
const REKEY_LIMIT: Duration = Duration::from_secs(20);
/// How long a counted ping may take.
const PING_LIMIT: Duration = Duration::from_secs(60);
/// How long answers to counted echo requests may take.
const LINGER_MS: u32 = 500;
/// Echo requests sent this shortly before the flood ends may still be under way.
const IN_FLIGHT_MS: u32 = 300;
/// A flood with fewer requests than this has not shown anything.
const LEAST_FLOOD: u32 = 20;

pub(crate) struct Execution<'a> {
    lab: &'a mut Lab,
    scenario: &'a Scenario,
    self_check: bool,
    log_offsets: BTreeMap<PathBuf, u64>,
    flood: Option<Flood>,
}

struct Flood {
    process: Process,
    output: PathBuf,
    interval: u32,
    /// What the peer's kernel had dropped for want of an SA before.
    without_sa: u64,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        lab: &'a mut Lab,
        scenario: &'a Scenario,
        self_check: bool,
        log_offsets: BTreeMap<PathBuf, u64>,
    ) -> Self {
        Self { lab, scenario, self_check, log_offsets, flood: None }
    }

    /// Configures both ends and does every step.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.lab.choose_peer(self.scenario.peer).context(PeerNotReady)?;
        let topology = self.lab.network.topology;
        // The responder first, so that it is there when the initiator starts.
        let order = match self.scenario.initiator {
            Side::Us => [Side::Them, Side::Us],
            Side::Them => [Side::Us, Side::Them],
        };
        for side in order {
            let plan = Plan { scenario: self.scenario, side, topology };
            let result = self.daemon(side)?.configure(&plan);
            not_ready(side, result).with_context(|| format!("configuring {side:?}"))?;
        }
        self.lab.network.reset_counters()?;
        for (index, step) in self.scenario.steps.iter().enumerate() {
            if self.self_check && step.is_about_our_gateway() {
                continue;
            }
            self.step(step).with_context(|| format!("step {} ({step:?})", index + 1))?;
        }
        if self.flood.is_some() {
            bail!("the scenario has a flood without flood-end");
        }
        Ok(())
    }

    /// Takes everything down that the scenario left up.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.flood = None;
        self.lab.network.set_link(true)?;
        for side in [Side::Us, Side::Them] {
            self.daemon(side)?.settle().with_context(|| format!("taking {side:?} down"))?;
        }
        Ok(())
    }

    fn daemon(&mut self, side: Side) -> Result<&mut (dyn Daemon + 'static)> {
        self.lab.daemon(side, self.scenario.peer)
    }

    fn sas(&mut self, side: Side) -> Result<Vec<IkeSa>> {
        self.daemon(side)?.sas().with_context(|| format!("asking {side:?} for its SAs"))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Up { seconds } => {
                self.start()?;
                self.wait_up(Duration::from_secs(*seconds))
            }
            Step::Start => self.start(),
            Step::WaitUp { seconds } => self.wait_up(Duration::from_secs(*seconds)),
            Step::WaitDown { on, seconds } => self.wait_down(*on, Duration::from_secs(*seconds)),
            Step::Ping { count, interval, size, max_lost, from, between } => {
                let (source, target) = self.route(*from);
                let route = between.clone().unwrap_or_else(|| (source.to_owned(), target.to_owned()));
                let more = (LINGER_MS / (*interval).max(1)).clamp(1, 100);
                let options = format!("-c {} -i {} -s {size}", count + more, f64::from(*interval) / 1000.0);
                self.ping(*from, &route, &options, (*count, *max_lost))
            }
            Step::Flood { interval } => self.start_flood(*interval),
            Step::FloodEnd { max_lost, peer_answers_early } => self.end_flood(*max_lost, *peer_answers_early),
            Step::Rekey { what, by } => self.rekey(*what, &[*by]),
            Step::RekeyBoth { what } => self.rekey(*what, &[Side::Us, Side::Them]),
            Step::Delete { by, comes_back } => {
                self.daemon(*by)?.delete()?;
                if *comes_back {
                    return Ok(());
                }
                self.wait_down(Side::Us, REKEY_LIMIT)?;
                self.wait_down(Side::Them, REKEY_LIMIT)
            }
            Step::Kill { who } => self.daemon(*who)?.kill(),
            Step::Stop { who } => self.daemon(*who)?.stop(),
            Step::Restart { who } => not_ready(*who, self.daemon(*who)?.restart()),
            Step::Link { up } => self.lab.network.set_link(*up),
            Step::Sleep { ms } => wait::pause(Duration::from_millis(*ms)),
            Step::ExpectSas { on, ike, child } => self.expect_sas(*on, *ike, *child),
            Step::ExpectLog { who, contains, seconds } => {
                self.expect_log(*who, contains, Duration::from_secs(*seconds))
            }
            Step::ExpectCause { contains, seconds } => {
                self.expect_cause(contains, Duration::from_secs(*seconds))
            }
            Step::ExpectStatus { path, value, seconds } => {
                let expected = serde_json::to_value(value)?;
                let what = format!("{path} = {expected}");
                self.expect_status(path, &what, *seconds, |found| found == Some(&expected))
            }
            Step::ExpectStatusAtLeast { path, value, seconds } => {
                let what = format!("{path} >= {value}");
                self.expect_status(path, &what, *seconds, |found| {
                    found.and_then(Json::as_u64).is_some_and(|found| found >= *value)
                })
            }
            Step::ExpectSuite => self.expect_suite(),
            Step::ExpectWire { kind } => self.expect_wire(*kind),
            Step::NoLeaks => self.no_leaks(),
            Step::HalfOpen => self.half_open(),
            Step::IkeScan { aggressive, count, answered } => {
                ike_scan::probe(self.lab, *aggressive, *count, *answered)
            }
        }
    }

    fn start(&mut self) -> Result<()> {
        let side = self.scenario.initiator;
        self.daemon(side)?.initiate()
    }

    /// What both ends agree on now, or why they do not.
    fn agreement(&mut self) -> Result<std::result::Result<Agreed, String>> {
        let us = self.sas(Side::Us)?;
        let them = self.sas(Side::Them)?;
        Ok(agreement::check(&us, &them, self.scenario.version == 1))
    }

    fn wait_up(&mut self, limit: Duration) -> Result<()> {
        wait::until("both ends to have the tunnel", limit, || self.agreement()).map(drop)
    }

    fn wait_down(&mut self, on: Side, limit: Duration) -> Result<()> {
        wait::until(&format!("{on:?} to have no SA"), limit, || {
            let sas = self.sas(on)?;
            Ok(if sas.is_empty() { Ok(()) } else { Err(format!("{sas:?}")) })
        })
    }

    /// Source and target of echo requests: inner hosts, or the hosts themselves in transport mode.
    fn route(&self, from: Side) -> (&'static str, &'static str) {
        let topology = self.lab.network.topology;
        let (us, them) = (topology.end(Side::Us), topology.end(Side::Them));
        let (source, target) = match from {
            Side::Us => (us, them),
            Side::Them => (them, us),
        };
        match (self.scenario.mode, self.scenario.inner) {
            (Mode::Tunnel, Family::V4) => (source.inner, target.inner),
            (Mode::Tunnel, Family::V6) => (source.inner6, target.inner6),
            (Mode::Transport, Family::V4 | Family::V6) => (source.outer, target.outer),
        }
    }

    /// Sends echo requests, of the first so many of which only so many may be lost.
    fn ping(
        &mut self,
        from: Side,
        route: &(String, String),
        options: &str,
        (count, max_lost): (u32, u32),
    ) -> Result<()> {
        let answering = match from {
            Side::Us => Side::Them,
            Side::Them => Side::Us,
        };
        let before = self.packets_in(answering)?;
        let command = format!("ping -n -W 2 {options} -I {} {}", route.0, route.1);
        let finished = self.lab.place(from)?.try_run(&command, PING_LIMIT)?;
        let tally = ping::finished(&finished.output, count)?;
        if tally.lost > max_lost {
            let witness = self.witness();
            bail!(
                "{} of {} echo requests were lost; {witness}:\n{}",
                tally.lost,
                tally.sent,
                finished.output
            );
        }
        // An answer proves only that the hosts can talk; the SA's counter proves how.
        let expected = before + u64::from(tally.sent - tally.lost);
        wait::until("the answering end's Child SA to count the packets", Duration::from_secs(5), || {
            let after = self.packets_in(answering)?;
            Ok(if after >= expected { Ok(()) } else { Err(format!("{before}, then {after}")) })
        })
    }

    fn packets_in(&mut self, side: Side) -> Result<u64> {
        let sas = self.sas(side)?;
        Ok(sas.iter().flat_map(|sa| &sa.children).map(|child| child.packets_in).sum())
    }

    fn start_flood(&mut self, interval: u32) -> Result<()> {
        let (source, target) = self.route(Side::Us);
        let folder = self.lab.folder().to_owned();
        let output = folder.join("flood.out");
        // Absent is as good as removed.
        let _ = std::fs::remove_file(&output);
        let command = format!("ping -n -i {} -I {source} {target}", f64::from(interval) / 1000.0);
        let process = self.lab.place(Side::Us)?.spawn(&folder, "flood", "", &command)?;
        self.flood = Some(Flood { process, output, interval, without_sa: self.dropped_without_sa()? });
        // Nothing is shown by a flood that begins after what it is to accompany.
        wait::pause(Duration::from_millis(200))
    }

    /// What the peer's kernel has dropped for want of an SA, if it is a kernel that counts.
    fn dropped_without_sa(&self) -> Result<u64> {
        if !self.scenario.peer.needs_guest() {
            return Ok(0);
        }
        let statistics = self.lab.place(Side::Them)?.run("cat /proc/net/xfrm_stat")?;
        xfrm::dropped_without_sa(&statistics).with_context(|| format!("no such counter in {statistics:?}"))
    }

    fn end_flood(&mut self, max_lost: u32, peer_answers_early: bool) -> Result<()> {
        let mut flood = self.flood.take().context("there is no flood")?;
        wait::pause(Duration::from_millis(300))?;
        flood.process.end("INT", Duration::from_secs(5))?;
        let output = std::fs::read_to_string(&flood.output)?;
        let tally = ping::interrupted(&output, IN_FLIGHT_MS / flood.interval.max(1))?;
        if tally.sent < LEAST_FLOOD {
            bail!("only {} echo requests were sent", tally.sent);
        }
        let without_sa = self.dropped_without_sa()?.saturating_sub(flood.without_sa);
        let excused = if peer_answers_early { u32::try_from(without_sa)? } else { 0 };
        if tally.lost > max_lost.saturating_add(excused) {
            let witness = self.witness();
            bail!(
                "{} of {} echo requests were lost during the flood; the peer's kernel dropped {without_sa} for \
                 want of an SA, {witness}",
                tally.lost,
                tally.sent
            );
        }
        if tally.lost > max_lost {
            println!("     {} requests were ahead of the peer's SA", tally.lost);
        }
        Ok(())
    }

    /// What our gateway says about packets it dropped, which tells our losses from the peer's.
    fn witness(&mut self) -> String {
        let status = self.lab.daemon(Side::Us, self.scenario.peer).and_then(|daemon| daemon.status());
        match status {
            Ok(Some(status)) => format!("our gateway dropped {}", status.get("drops").unwrap_or(&Json::Null)),
            Ok(None) => "our gateway does not run".to_owned(),
            Err(error) => format!("our gateway does not answer: {error:#}"),
        }
    }

    /// Has one or both ends rekey and waits until both have the same new SA and no other.
    fn rekey(&mut self, what: SaKind, by: &[Side]) -> Result<()> {
        let before = match self.agreement()? {
            Ok(agreed) => agreed,
            Err(why) => bail!("the ends do not agree before the rekey: {why}"),
        };
        match by {
            [side] => self.daemon(*side)?.rekey(what)?,
            _ => {
                let [us, them] = self.lab.both(self.scenario.peer)?;
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| them.rekey(what));
                    let ours = us.rekey(what);
                    let theirs = other.join().map_err(|_| anyhow::anyhow!("the peer's rekey panicked"))?;
                    ours.and(theirs)
                })?;
            }
        }
        wait::until("both ends to agree on one new SA", REKEY_LIMIT, || {
            Ok(self.agreement()?.and_then(|now| {
                if now.differs(&before, what) { Ok(()) } else { Err("still the old SA".to_owned()) }
            }))
        })
    }

    fn expect_sas(&mut self, on: Side, ike: usize, child: usize) -> Result<()> {
        wait::until(
            &format!("{on:?} to have {ike} IKE and {child} Child SAs"),
            Duration::from_secs(10),
            || {
                let sas = self.sas(on)?;
                let children: usize = sas.iter().map(|sa| sa.children.len()).sum();
                Ok(if (sas.len(), children) == (ike, child) {
                    Ok(())
                } else {
                    Err(format!("it has {} and {children}: {sas:?}", sas.len()))
                })
            },
        )
    }

    fn expect_log(&mut self, who: Side, contains: &[String], limit: Duration) -> Result<()> {
        wait::until(&format!("{contains:?} in {who:?}'s log"), limit, || {
            let logs = self.daemon(who)?.logs();
            let text: String = logs.iter().map(|log| log_since(log, &self.log_offsets)).collect();
            Ok(missing(&text, contains).map_or(Ok(()), Err))
        })
    }

    fn expect_cause(&mut self, contains: &[String], limit: Duration) -> Result<()> {
        wait::until("our status to name the cause", limit, || {
            let status = self.daemon(Side::Us)?.status()?.context("our gateway does not run")?;
            let causes: Vec<&str> = status
                .get("tunnels")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .filter_map(|tunnel| tunnel.get("cause")?.as_str())
                .collect();
            let text = causes.join("\n");
            Ok(missing(&text, contains).map_or(Ok(()), |what| Err(format!("{what} in {text:?}"))))
        })
    }

    fn expect_status(
        &mut self,
        path: &str,
        what: &str,
        seconds: u64,
        fits: impl Fn(Option<&Json>) -> bool,
    ) -> Result<()> {
        let pointer = format!("/{}", path.replace('.', "/"));
        wait::until(&format!("our status to have {what}"), Duration::from_secs(seconds), || {
            let status = self.daemon(Side::Us)?.status()?.context("our gateway does not run")?;
            let found = status.pointer(&pointer);
            Ok(if fits(found) { Ok(()) } else { Err(format!("it is {found:?}")) })
        })
    }

    fn expect_suite(&mut self) -> Result<()> {
        let (ike, (_, child_suite)) = (&self.scenario.ike, self.scenario.child_proposals());
        wait::until(&format!("our status to name {ike} and {child_suite}"), Duration::from_secs(5), || {
            let status = self.daemon(Side::Us)?.status()?.context("our gateway does not run")?;
            let text = |value: &Json, key: &str| value.pointer(key).and_then(Json::as_str).map(str::to_owned);
            let children = status.pointer("/tunnels/0/children").and_then(Json::as_array);
            let child = children
                .into_iter()
                .flatten()
                // An inbound SA that a rekey left for late packets says nothing.
                .find(|child| text(child, "/spi_out").is_some_and(|spi| !spi.is_empty()));
            let found =
                (text(&status, "/tunnels/0/ike/suite"), child.and_then(|child| text(child, "/suite")));
            let fits = found.0.as_ref() == Some(ike) && found.1.as_deref() == Some(child_suite);
            Ok(if fits { Ok(()) } else { Err(format!("it names {found:?}")) })
        })
    }

    fn expect_wire(&self, kind: Wire) -> Result<()> {
        let counters = self.lab.network.counters()?;
        let (wanted, other) = match kind {
            Wire::Esp => (counters.esp, counters.esp_in_udp + counters.ah),
            Wire::EspInUdp => (counters.esp_in_udp, counters.esp + counters.ah),
            Wire::Ah => (counters.ah, counters.esp + counters.esp_in_udp),
        };
        if wanted == 0 || other != 0 {
            bail!("the wire saw {counters:?}");
        }
        Ok(())
    }

    fn no_leaks(&self) -> Result<()> {
        let counters = self.lab.network.counters()?;
        if counters.clear != 0 {
            bail!("{} packets of the protected network tried to leave in clear", counters.clear);
        }
        Ok(())
    }

    fn half_open(&self) -> Result<()> {
        let program = std::env::current_exe()?;
        let target = self.lab.network.topology.end(Side::Them).seen_as;
        let place = match self.lab.place(Side::Us)? {
            place @ Place::Namespace { .. } => place,
            Place::Guest { .. } | Place::Container { .. } => bail!("half-open needs a namespace"),
        };
        place.run(&format!("{} half-open {target}", program.display())).map(drop)
    }
}

/// Marks it if the peer's daemon cannot be started. Only this: that it cannot be stopped, or does not bring an
/// SA up or down, may be our doing.
fn not_ready<T>(side: Side, result: Result<T>) -> Result<T> {
    match side {
        Side::Them => result.context(PeerNotReady),
        Side::Us => result,
    }
}

/// The first text that is not in the whole.
fn missing(text: &str, contains: &[String]) -> Option<String> {
    contains.iter().find(|part| !text.contains(part.as_str())).map(|part| format!("no {part:?}"))
}
