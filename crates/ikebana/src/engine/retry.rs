//! Tunnels that are to be kept are never given up.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::Path;
use ikebana_core::random::jitter;
use ikebana_ike::{CloseReason, FailReason, IkeSaHandle, RemoveReason};

use super::tunnel::{Activity, Tunnel};
use super::{DeadPeerAction, DropCause, Engine, Event, Start, TunnelId};

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
        if matches!(reason, FailReason::Cancelled | FailReason::Joined(_)) {
            // Whoever closed it knows; and an IKEv1 peer's new phase 1 goes on under its IKE SA's old name.
            return;
        }
        // The peer's attempt: it concerns the tunnel, if there is one, and that stays as it is.
        let by_name = peer.and_then(|name| self.by_name.get(name).copied());
        let by_address = || {
            let from = path.remote.ip();
            let here = |tunnel: &Tunnel| tunnel.config.remote.is_some_and(|remote| remote.ip() == from);
            self.tunnels.iter().find(|(_, tunnel)| here(tunnel)).map(|(id, _)| *id)
        };
        let tunnel = known.or(by_name);
        if tunnel.is_none() && !self.stranger_limit.allow(self.now) {
            self.withheld = self.withheld.saturating_add(1);
            return;
        }
        let tunnel = tunnel.or_else(by_address);
        if let Some(tunnel) = tunnel.and_then(|id| self.tunnels.get_mut(&id))
            && tunnel.activity != Activity::Up
        {
            tunnel.cause = Some(cause.clone());
        }
        self.problem(tunnel, alloc::format!("{} from {}", cause, path.remote));
    }

    /// An attempt of ours came to nothing; the next one is due after a while, if the tunnel is to be kept.
    pub(super) fn attempt_failed(&mut self, id: TunnelId, cause: &str) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.failures = tunnel.failures.saturating_add(1);
        let kept = tunnel.wanted && tunnel.config.start == Start::Start;
        let failures = tunnel.failures;
        let retry = kept.then(|| self.backoff(failures));
        self.go_down(id, cause, retry);
    }

    /// The tunnel is down, and is taken up again after `retry`, if that is given.
    pub(super) fn go_down(&mut self, id: TunnelId, cause: &str, retry: Option<Duration>) {
        let until = retry.map(|wait| self.now + wait);
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.cause = Some(String::from(cause));
        tunnel.activity = until.map_or(Activity::Idle, Activity::Waiting);
        tunnel.child_retry = None;
        tunnel.child_pending = false;
        tunnel.told_up = false;
        self.drop_waiting(id, None);
        self.arm(id);
        self.event(Event::Down { tunnel: id, cause: String::from(cause), retry });
    }

    /// An established IKE SA is gone.
    pub(super) fn closed(&mut self, ike: IkeSaHandle, reason: &CloseReason) {
        let Some(id) = self.by_ike.remove(&ike) else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.assigned.remove(&ike);
        if tunnel.ikes.remove(&ike).is_none() {
            // It has been out of use since its end began; only now it is known why.
            if matches!(tunnel.activity, Activity::Waiting(_)) {
                tunnel.cause = Some(reason.to_string());
            }
            return;
        }
        let dead = matches!(reason, CloseReason::PeerDead { .. });
        self.without_ike(id, dead, &reason.to_string());
    }

    /// A tunnel may have lost its last IKE SA. If so, it is down.
    fn without_ike(&mut self, id: TunnelId, dead: bool, cause: &str) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        // One whose peer has not confirmed its end yet is of no use any more.
        tunnel.ikes.retain(|ike, _| self.ike.path(*ike).is_some());
        if !tunnel.ikes.is_empty() || tunnel.activity != Activity::Up {
            // Another one carries the tunnel, or is about to, or it has been stopped.
            return;
        }
        tunnel.trapped = dead && tunnel.config.on_dead_peer == DeadPeerAction::Trap;
        let reachable = tunnel.wanted && tunnel.config.remote.is_some();
        let retry = match (dead, tunnel.config.on_dead_peer, tunnel.config.start) {
            (true, DeadPeerAction::Clear | DeadPeerAction::Trap, _) => None,
            (true, DeadPeerAction::Restart, _) => Some(Duration::ZERO),
            // The peer has ended it on purpose, or it has run out: leave it a moment.
            (false, _, Start::Start) => Some(self.backoff(1)),
            (false, _, Start::OnTraffic | Start::Passive) => None,
        };
        self.go_down(id, cause, retry.filter(|_| reachable));
    }

    /// A child SA did not come about. `config` names it, if that far it came.
    pub(super) fn child_failed(
        &mut self,
        ike: IkeSaHandle,
        config: Option<String>,
        rekey: bool,
        cause: String,
    ) {
        let id = self.by_ike.get(&ike).copied();
        self.problem(id, cause.clone());
        let Some((id, tunnel)) = id.and_then(|id| self.tunnels.get_mut(&id).map(|tunnel| (id, tunnel)))
        else {
            return;
        };
        if rekey {
            // The endpoint tries again by itself while the old pair lasts.
            tunnel.cause = Some(cause);
            return;
        }
        tunnel.child_failures = tunnel.child_failures.saturating_add(1);
        tunnel.child_pending = false;
        let (kept, failures) = (tunnel.keeps_children(), tunnel.child_failures);
        match &config {
            Some(child) if tunnel.peer.children.iter().any(|known| known.name == *child) => {
                tunnel.child_causes.insert(child.clone(), cause);
            }
            _ if !tunnel.carries() => tunnel.cause = Some(cause),
            _ => {}
        }
        if let Some(child) = &config {
            self.drop_waiting(id, Some(child));
        }
        if kept {
            let wait = self.backoff(failures);
            self.retry_children(id, wait);
        }
    }

    /// Whether this IKE SA was to bring us inner addresses.
    pub(super) fn asks_for_addresses(&self, ike: IkeSaHandle) -> bool {
        let tunnel = self.by_ike.get(&ike).and_then(|id| self.tunnels.get(id));
        tunnel.is_some_and(|tunnel| !tunnel.peer.request.is_empty())
    }

    /// The peer has no address for us. They are asked for only when an IKE SA begins (RFC 7296 2.19), so this
    /// one is of no use, and another one is tried like after any failure.
    pub(super) fn no_address(&mut self, ike: IkeSaHandle, cause: String) {
        let Some(id) = self.by_ike.get(&ike).copied() else { return };
        self.problem(Some(id), cause.clone());
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.ikes.remove(&ike);
        tunnel.child_failures = tunnel.child_failures.saturating_add(1);
        let (last, failures) = (tunnel.ikes.is_empty(), tunnel.child_failures);
        let kept = tunnel.wanted && tunnel.config.start == Start::Start;
        // It may be on its way out already.
        let _ = self.ike.close(self.now, ike);
        if last {
            let retry = kept.then(|| self.backoff(failures));
            self.go_down(id, &cause, retry);
        }
    }

    /// A pair of child SAs is gone. If nothing has taken its place, it is asked for again.
    pub(super) fn child_gone(&mut self, id: TunnelId, reason: RemoveReason) {
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        let expected = matches!(reason, RemoveReason::IkeSaGone | RemoveReason::Local);
        if !expected && tunnel.keeps_children() && !tunnel.missing_children().is_empty() {
            let wait = self.config.retry.first;
            self.retry_children(id, wait);
        }
    }

    /// After everything that was to be done has been: does a tunnel that lost an SA still carry packets?
    pub(super) fn look_after_loss(&mut self, id: TunnelId, cause: &str) {
        let now = self.now;
        if self.tunnels.get(&id).is_none_or(Tunnel::carries) {
            return;
        }
        self.without_ike(id, false, cause);
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        if !tunnel.told_up || tunnel.activity != Activity::Up {
            return;
        }
        tunnel.told_up = false;
        tunnel.cause = Some(String::from(cause));
        let retry = tunnel.child_retry.map(|at| at.saturating_since(now));
        self.event(Event::Down { tunnel: id, cause: String::from(cause), retry });
    }

    pub(super) fn retry_children(&mut self, id: TunnelId, wait: Duration) {
        let at = self.now + wait;
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.child_retry = Some(tunnel.child_retry.map_or(at, |earlier| earlier.min(at)));
        }
        self.arm(id);
    }

    /// Takes up what is due again.
    pub(super) fn retry_due(&mut self) {
        while let Some(id) = self.timers.pop_expired(self.now) {
            let now = self.now;
            self.widen_paths(id);
            let Some(tunnel) = self.tunnels.get_mut(&id) else { continue };
            if matches!(tunnel.activity, Activity::Waiting(until) if until <= now) {
                tunnel.activity = Activity::Idle;
                tunnel.retries = tunnel.retries.saturating_add(1);
                self.connect(id);
            } else if tunnel.child_retry.is_some_and(|at| at <= now) {
                tunnel.child_retry = None;
                self.ask_for_children(id);
            }
            self.arm(id);
        }
    }

    pub(super) fn ask_for_children(&mut self, id: TunnelId) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let Some(ike) = tunnel.ike() else { return };
        let missing = tunnel.missing_children();
        if missing.is_empty() {
            return;
        }
        tunnel.retries = tunnel.retries.saturating_add(1);
        let mut all = true;
        for config in missing {
            let asked = self.ike.create_child(self.now, ike, config, None).is_ok();
            tunnel.child_pending |= asked;
            all &= asked;
        }
        if !all {
            // Too many exchanges wait already. Or the IKE SA is on its way out, and this tunnel with it: it will
            // be taken up as a whole.
            let wait = self.config.retry.first;
            self.retry_children(id, wait);
        }
    }

    /// Gives up packets that wait: all of a tunnel, or those that one child would have carried.
    fn drop_waiting(&mut self, id: TunnelId, child: Option<&str>) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let waiting = core::mem::take(&mut tunnel.waiting);
        let kept = |packet: &Vec<u8>| {
            child.is_some_and(|child| tunnel.child_of_packet(packet).is_none_or(|of| of.name != *child))
        };
        let (kept, dropped): (Vec<_>, Vec<_>) = waiting.into_iter().partition(kept);
        tunnel.waiting = kept.into();
        for _ in dropped {
            self.drops.count(DropCause::TunnelDown);
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
    pub(super) fn keeps_children(&self) -> bool {
        self.wanted && self.config.start == Start::Start && self.activity == Activity::Up
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
}
