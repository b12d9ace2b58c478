//! Tunnels that are to be kept are never given up.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::random::jitter;
use ikebana_core::{Flow, Path};
use ikebana_ike::{ChildConfig, CloseReason, FailReason, IkeSaHandle, RemoveReason};

use super::tunnel::{Activity, Tunnel};
use super::{DeadPeerAction, Engine, Event, Start, TunnelId};

impl Engine {
    /// An attempt to negotiate an IKE SA came to nothing.
    pub(super) fn failed(&mut self, ike: IkeSaHandle, reason: &FailReason, peer: Option<&str>, path: Path) {
        let cause = reason.to_string();
        let known = self.by_ike.remove(&ike);
        if let Some(tunnel) = known.and_then(|id| self.tunnels.get_mut(&id)) {
            tunnel.assigned.remove(&ike);
        }
        let ours = known.filter(|id| {
            self.tunnels.get(id).is_some_and(|tunnel| tunnel.activity == Activity::Connecting(ike))
        });
        if let Some(id) = ours {
            self.attempt_failed(id, &cause);
            return;
        }
        // The peer's attempt: it concerns the tunnel, if there is one, and that stays as it is.
        let by_name = peer.and_then(|name| {
            self.tunnels.iter().find(|(_, tunnel)| tunnel.peer.name == name).map(|(id, _)| *id)
        });
        let by_address = || {
            let from = path.remote.ip();
            let here = |tunnel: &Tunnel| tunnel.config.remote.is_some_and(|remote| remote.ip() == from);
            self.tunnels.iter().find(|(_, tunnel)| here(tunnel)).map(|(id, _)| *id)
        };
        let tunnel = known.or(by_name).or_else(by_address);
        if let Some(tunnel) = tunnel.and_then(|id| self.tunnels.get_mut(&id))
            && tunnel.activity != Activity::Up
        {
            tunnel.cause = Some(cause.clone());
        }
        let cause = alloc::format!("{} from {}", cause, path.remote);
        self.event(Event::Problem { tunnel, cause });
    }

    /// An attempt of ours came to nothing; the next one is due after a while, if the tunnel is to be kept.
    pub(super) fn attempt_failed(&mut self, id: TunnelId, cause: &str) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.cause = Some(String::from(cause));
        tunnel.failures = tunnel.failures.saturating_add(1);
        tunnel.waiting.clear();
        if tunnel.ike().is_some() {
            // The peer was faster, and the tunnel is up.
            tunnel.activity = Activity::Up;
            return;
        }
        let kept = tunnel.wanted && tunnel.config.start == Start::Start;
        let failures = tunnel.failures;
        let retry = kept.then(|| self.backoff(failures));
        self.go_down(id, cause, retry);
    }

    fn go_down(&mut self, id: TunnelId, cause: &str, retry: Option<Duration>) {
        let until = retry.map(|wait| self.now + wait);
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.cause = Some(String::from(cause));
        tunnel.activity = until.map_or(Activity::Idle, Activity::Waiting);
        tunnel.child_retry = None;
        self.event(Event::Down { tunnel: id, cause: String::from(cause), retry });
    }

    /// An established IKE SA is gone.
    pub(super) fn closed(&mut self, ike: IkeSaHandle, reason: &CloseReason) {
        let Some(id) = self.by_ike.remove(&ike) else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.ikes.remove(&ike);
        tunnel.assigned.remove(&ike);
        if tunnel.ike().is_some() || tunnel.activity != Activity::Up {
            // Another one carries the tunnel, or is about to.
            return;
        }
        let retry = match (reason, tunnel.config.on_dead_peer, tunnel.config.start) {
            (CloseReason::Local, ..) => None,
            (CloseReason::PeerDead { .. }, DeadPeerAction::Clear | DeadPeerAction::Trap, _) => None,
            (CloseReason::PeerDead { .. }, DeadPeerAction::Restart, _) => Some(Duration::ZERO),
            // The peer has ended it on purpose, or it has run out: leave it a moment.
            (_, _, Start::Start) => Some(self.config.retry.first),
            (_, _, Start::OnTraffic | Start::Passive) => None,
        };
        let reachable = tunnel.wanted && tunnel.config.remote.is_some();
        let cause = reason.to_string();
        self.go_down(id, &cause, retry.filter(|_| reachable));
    }

    /// A child SA did not come about.
    pub(super) fn child_failed(&mut self, ike: IkeSaHandle, rekey: bool, cause: &str) {
        let id = self.by_ike.get(&ike).copied();
        self.event(Event::Problem { tunnel: id, cause: String::from(cause) });
        let Some(tunnel) = id.and_then(|id| self.tunnels.get_mut(&id)) else { return };
        tunnel.cause = Some(String::from(cause));
        if rekey {
            // The endpoint tries again by itself while the old pair lasts.
            return;
        }
        tunnel.waiting.clear();
        tunnel.child_failures = tunnel.child_failures.saturating_add(1);
        let (kept, failures) = (tunnel.keeps_children(), tunnel.child_failures);
        if let Some(id) = id.filter(|_| kept) {
            let wait = self.backoff(failures);
            self.retry_children(id, wait);
        }
    }

    /// A pair of child SAs is gone. If nothing has taken its place, it is asked for again.
    pub(super) fn child_gone(&mut self, id: TunnelId, reason: RemoveReason) {
        let replaced = matches!(
            reason,
            RemoveReason::Rekeyed | RemoveReason::Redundant | RemoveReason::IkeSaGone | RemoveReason::Local
        );
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        if !replaced && tunnel.keeps_children() && !tunnel.missing_children().is_empty() {
            let wait = self.config.retry.first;
            self.retry_children(id, wait);
        }
    }

    fn retry_children(&mut self, id: TunnelId, wait: Duration) {
        let at = self.now + wait;
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.child_retry = Some(tunnel.child_retry.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// Takes up what is due again.
    pub(super) fn retry_due(&mut self) {
        let now = self.now;
        let due: Vec<TunnelId> = self
            .tunnels
            .iter()
            .filter(|(_, tunnel)| tunnel.deadline().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(tunnel) = self.tunnels.get_mut(&id) else { continue };
            if matches!(tunnel.activity, Activity::Waiting(until) if until <= now) {
                tunnel.activity = Activity::Idle;
                tunnel.retries = tunnel.retries.saturating_add(1);
                self.connect(id);
                continue;
            }
            if tunnel.child_retry.is_some_and(|at| at <= now) {
                tunnel.child_retry = None;
                tunnel.retries = tunnel.retries.saturating_add(1);
                let (ike, missing) = (tunnel.ike(), tunnel.missing_children());
                for config in missing {
                    if let Some(ike) = ike {
                        // If the IKE SA is on its way out, so is this tunnel, and it is taken up as a whole.
                        let _ = self.ike.create_child(now, ike, config, None);
                    }
                }
            }
        }
    }

    /// The wait after `failures` failures in a row.
    fn backoff(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.config.retry.first.saturating_mul(1 << doublings).min(self.config.retry.longest);
        let quarter = wait / 4;
        wait.saturating_sub(quarter).saturating_add(jitter(self.ike.rng(), quarter))
    }
}

impl Tunnel {
    /// Whether missing child SAs are asked for again without anybody asking for them.
    fn keeps_children(&self) -> bool {
        self.wanted && self.config.start == Start::Start && self.activity == Activity::Up
    }

    /// The child that would carry a packet.
    pub(super) fn child_for(&self, flow: &Flow) -> Option<Arc<ChildConfig>> {
        self.peer
            .children
            .iter()
            .find(|child| {
                self.known_traffic(child).is_some_and(|(local, remote)| {
                    local.matches(flow.local, flow.protocol, flow.local_port)
                        && remote.matches(flow.remote, flow.protocol, flow.remote_port)
                })
            })
            .cloned()
    }

    /// When both sides have initiated at once there are two IKE SAs between the same two. Both sides see the
    /// same two; the one with the higher initiator SPI goes, and the side that started it closes it.
    pub(super) fn redundant_ike(&self) -> Option<IkeSaHandle> {
        let keeps_several = self.peer.uniqueness == ikebana_ike::Uniqueness::Keep;
        let newest = self.ikes.values().next_back()?;
        let rival = self.ikes.values().rev().nth(1)?;
        let same = rival.facts.remote_id == newest.facts.remote_id;
        if keeps_several || !same || rival.facts.initiator == newest.facts.initiator {
            return None;
        }
        let loser = if rival.facts.initiator_spi > newest.facts.initiator_spi { rival } else { newest };
        loser.facts.initiator.then_some(loser.facts.ike)
    }

    /// Addresses for a peer that asks: the first of the pool that nobody else has.
    pub(super) fn assign(&mut self, ike: IkeSaHandle) -> Option<ikebana_ike::Assignment> {
        let free =
            (0..self.config.assign.len()).find(|index| !self.assigned.values().any(|used| used == index))?;
        self.assigned.insert(ike, free);
        self.config.assign.get(free).cloned()
    }
}
