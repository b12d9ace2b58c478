//! What the events of IKE and of the databases lead to.

use alloc::string::ToString;

use ikebana_ike::{ChildFailure, ChildSignal, Credentials as _};
use ikebana_sa_database::SaId;

use super::book::Book;
use super::tunnel::{Activity, Ike};
use super::{Engine, Event, Output, TunnelId};

impl Engine {
    /// Acts on everything that IKE and the databases have to say, until they have no more.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some(event) = self.database.poll_event() {
                self.database_event(event);
            } else if let Some(output) = self.ike.poll_output() {
                match output {
                    ikebana_ike::Output::Transmit(transmit) => {
                        let (path, octets) = (transmit.path, transmit.octets);
                        self.out.push_back(Output::Transmit { path, octets });
                    }
                    ikebana_ike::Output::Event(event) => self.ike_event(event),
                }
            } else if let Some((id, cause)) = self.lost.pop() {
                self.look_after_loss(id, &cause);
            } else {
                return;
            }
        }
    }

    fn database_event(&mut self, event: ikebana_sa_database::Event) {
        use ikebana_sa_database::Event as E;
        match event {
            E::Acquire { tunnel, flow, .. } => {
                let id = TunnelId(tunnel.0);
                let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
                match (tunnel.activity, tunnel.ike()) {
                    (Activity::Idle, _) if tunnel.comes_up_on_traffic() => self.connect(id),
                    (Activity::Up, Some(ike)) => {
                        if let Some(config) = tunnel.child_for(&flow) {
                            // It may have ended since; then the next packet asks again.
                            let asked = self.ike.create_child(self.now, ike, config, Some(flow));
                            tunnel.child_pending |= asked.is_ok();
                        }
                    }
                    // It is being negotiated, its next attempt has its time, or it is to stay down.
                    (Activity::Idle | Activity::Connecting(_) | Activity::Up | Activity::Waiting(_), _) => {}
                }
            }
            E::SoftExpired { sa, .. } => self.signal(sa, ChildSignal::SoftExpired),
            E::HardExpired { sa, .. } => self.signal(sa, ChildSignal::HardExpired),
        }
    }

    fn signal(&mut self, sa: SaId, signal: ChildSignal) {
        let child = match sa {
            SaId::Inbound(id) => self.database.inbound_ref(id).map(|object| object.child),
            SaId::Outbound(id) => self.database.outbound_ref(id).map(|object| object.child),
        };
        if let Some(child) = child {
            self.ike.handle_child_signal(self.now, child, signal);
        }
    }

    fn ike_event(&mut self, event: ikebana_ike::Event) {
        use ikebana_ike::Event as E;
        match event {
            E::Query(query, question) => {
                let (tunnels, by_name, by_ike) = (&mut self.tunnels, &self.by_name, &mut self.by_ike);
                let answer = Book { tunnels, by_name, by_ike }.answer(&question);
                // The IKE SA may have ended while its question was in the queue.
                let _ = self.ike.answer(self.now, query, answer);
            }
            E::Established(facts) => self.established(*facts),
            E::InstallSa(params) => {
                if let Some(id) = self.by_ike.get(&params.ike).copied() {
                    self.install(id, *params);
                }
            }
            E::RemoveSa { child, direction, spi, reason } => self.uninstall(child, direction, spi, reason),
            E::UpdateSa { child, path, encapsulated } => self.move_child(child, path, encapsulated),
            E::ChildFailed { ike, config, rekeyed, reason } => {
                let cause = reason.to_string();
                if matches!(reason, ChildFailure::NoAddress(_)) && self.asks_for_addresses(ike) {
                    self.no_address(ike, cause);
                } else {
                    self.child_failed(ike, config, rekeyed.is_some(), cause);
                }
            }
            E::IkeRekeyed { ike, initiator_spi, responder_spi, suite } => {
                let Some(id) = self.by_ike.get(&ike).copied() else { return };
                let known = self.tunnels.get_mut(&id).and_then(|tunnel| tunnel.ikes.get_mut(&ike));
                if let Some(known) = known {
                    known.rekeys = known.rekeys.saturating_add(1);
                    known.facts.initiator_spi = initiator_spi;
                    known.facts.responder_spi = responder_spi;
                    known.facts.suite = suite;
                    self.event(Event::IkeRekeyed(id));
                }
            }
            E::Assigned { ike, assignment } => {
                if let Some(id) = self.by_ike.get(&ike).copied() {
                    self.event(Event::Assigned(id, assignment));
                }
            }
            E::Hint { ike, reason } => {
                let id = self.by_ike.get(&ike).copied();
                let cause = reason.to_string();
                let tunnel = id.and_then(|id| self.tunnels.get_mut(&id));
                if let Some(tunnel) = tunnel.filter(|tunnel| tunnel.activity != Activity::Up) {
                    tunnel.cause = Some(cause.clone());
                }
                self.problem(id, cause);
            }
            E::IkeRekeyFailed { ike, reason } => {
                // The endpoint tries again by itself while the old keys last.
                let id = self.by_ike.get(&ike).copied();
                self.problem(id, reason.to_string());
            }
            E::Failed { ike, reason, peer, path } => self.failed(ike, &reason, peer.as_deref(), path),
            E::Closed { ike, reason } => self.closed(ike, &reason),
            _ => {}
        }
    }

    fn established(&mut self, facts: ikebana_ike::Established) {
        let ike = facts.ike;
        // Every IKE SA is known by the question or the command that it came from.
        let Some(id) = self.by_ike.get(&ike).copied() else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let (since, initiator) = (self.now, facts.initiator);
        tunnel.ikes.insert(ike, Ike { facts: facts.clone(), since, rekeys: 0 });
        tunnel.activity = Activity::Up;
        tunnel.trapped = false;
        tunnel.failures = 0;
        tunnel.child_pending = true;
        let keeps_children = tunnel.keeps_children();
        let redundant = tunnel.redundant_ike();
        if let Some(redundant) = redundant {
            // It carries nothing from now on, whenever the peer confirms that it is gone.
            tunnel.ikes.remove(&redundant);
        }
        self.arm(id);
        self.event(Event::Established(id, facts));
        if let Some(redundant) = redundant {
            // It may be on its way out already.
            let _ = self.ike.close(self.now, redundant);
        }
        if keeps_children && !initiator {
            // The peer makes the child SAs that it wants; what we want besides is asked for a little later.
            let wait = self.config.retry.first;
            self.retry_children(id, wait);
        }
    }

    /// Says that something is wrong, unless too much has been said already.
    pub(super) fn problem(&mut self, tunnel: Option<TunnelId>, cause: alloc::string::String) {
        if self.problem_limit.allow(self.now) {
            self.event(Event::Problem { tunnel, cause });
        } else {
            self.withheld = self.withheld.saturating_add(1);
        }
    }
}
