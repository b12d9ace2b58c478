//! The security databases as lists that are scanned from the front.

use ikebana_core::{EspSpi, Flow, Instant, Lifetime};
use ikebana_sa_database::{
    Action, DiscardReason, Limit, NotUsable, SaProtocol, SaState, Selectors, TunnelId,
};

/// SAs and policies are known by the number of the operation that made them.
pub(crate) type Number = usize;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Protect(Number),
    Bypass,
    Discard(DiscardReason),
    Acquire(Number, TunnelId),
}

pub(crate) struct ModelPolicy {
    pub(crate) number: Number,
    pub(crate) priority: u32,
    pub(crate) selectors: Selectors,
    pub(crate) action: Action,
}

pub(crate) struct ModelSa {
    pub(crate) number: Number,
    pub(crate) inbound: bool,
    pub(crate) tunnel: TunnelId,
    pub(crate) protocol: SaProtocol,
    pub(crate) spi: EspSpi,
    pub(crate) selectors: Selectors,
    pub(crate) lifetime: Lifetime,
    pub(crate) installed: Instant,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) last_used: Option<Instant>,
    pub(crate) state: SaState,
    pub(crate) retired: bool,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) bypass_unmatched: bool,
    /// By priority, and in the order of addition among equals.
    pub(crate) policies: Vec<ModelPolicy>,
    /// In the order of installation.
    pub(crate) sas: Vec<ModelSa>,
    /// What was asked for and not reported yet.
    pub(crate) asked: Vec<(Number, TunnelId, Flow)>,
    /// Which SA has reached which limit, hard or not, and was not reported yet.
    pub(crate) expired: Vec<(Number, Limit, bool)>,
    pub(crate) now: Instant,
}

impl Model {
    pub(crate) fn add_policy(&mut self, policy: ModelPolicy) {
        self.policies.push(policy);
        self.policies.sort_by_key(|policy| policy.priority);
    }

    pub(crate) fn remove_policy(&mut self, number: Number) -> bool {
        let before = self.policies.len();
        self.policies.retain(|policy| policy.number != number);
        self.asked.retain(|(policy, ..)| *policy != number);
        self.policies.len() < before
    }

    /// Whether there is a place for it.
    pub(crate) fn install(&mut self, now: Instant, mut sa: ModelSa) -> bool {
        if sa.inbound && !self.is_free(sa.protocol, sa.spi) {
            return false;
        }
        self.now = self.now.max(now);
        sa.installed = self.now;
        self.sas.push(sa);
        true
    }

    pub(crate) fn is_free(&self, protocol: SaProtocol, spi: EspSpi) -> bool {
        !self.sas.iter().any(|sa| sa.inbound && sa.protocol == protocol && sa.spi == spi)
    }

    pub(crate) fn sa(&self, number: Number) -> Option<&ModelSa> {
        self.sas.iter().find(|sa| sa.number == number)
    }

    pub(crate) fn remove(&mut self, number: Number) -> bool {
        let before = self.sas.len();
        self.sas.retain(|sa| sa.number != number);
        self.expired.retain(|(gone, ..)| *gone != number);
        self.sas.len() < before
    }

    pub(crate) fn members(&self, tunnel: TunnelId, inbound: bool) -> Vec<Number> {
        let members = self.sas.iter().filter(|sa| sa.tunnel == tunnel && sa.inbound == inbound);
        members.map(|sa| sa.number).collect()
    }

    pub(crate) fn retire(&mut self, number: Number) {
        for sa in self.sas.iter_mut().filter(|sa| sa.number == number) {
            sa.retired = true;
        }
    }

    pub(crate) fn age(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for sa in &mut self.sas {
            let past = |age: Option<_>| age.is_some_and(|age| sa.installed + age <= self.now);
            if past(sa.lifetime.hard_time) && sa.state != SaState::HardExpired {
                sa.state = SaState::HardExpired;
                self.expired.push((sa.number, Limit::Time, true));
            } else if past(sa.lifetime.soft_time) && sa.state == SaState::Usable {
                sa.state = SaState::SoftExpired;
                self.expired.push((sa.number, Limit::Time, false));
            }
        }
    }

    pub(crate) fn account(
        &mut self,
        now: Instant,
        number: Number,
        packets: u64,
        octets: u64,
    ) -> Result<(), NotUsable> {
        self.age(now);
        let sa = self.sas.iter_mut().find(|sa| sa.number == number).ok_or(NotUsable::Removed)?;
        if sa.state == SaState::HardExpired {
            return Err(NotUsable::Expired);
        }
        let (packets, octets) = (sa.packets + packets, sa.octets + octets);
        let limits = &sa.lifetime;
        let over = |limit: Option<u64>, value| limit.is_some_and(|limit| value > limit);
        let reached = |limit: Option<u64>, value| limit.is_some_and(|limit| value >= limit);
        let kind = |octets, packets| match (octets, packets) {
            (true, _) => Some(Limit::Bytes),
            (_, true) => Some(Limit::Packets),
            _ => None,
        };
        if let Some(limit) = kind(over(limits.hard_bytes, octets), over(limits.hard_packets, packets)) {
            sa.state = SaState::HardExpired;
            self.expired.push((number, limit, true));
            return Err(NotUsable::Expired);
        }
        (sa.packets, sa.octets, sa.last_used) = (packets, octets, Some(self.now));
        let soft = kind(reached(limits.soft_bytes, octets), reached(limits.soft_packets, packets));
        if let (Some(limit), SaState::Usable) = (soft, sa.state) {
            sa.state = SaState::SoftExpired;
            self.expired.push((number, limit, false));
        }
        Ok(())
    }

    fn policy_for(&self, flow: &Flow) -> Option<&ModelPolicy> {
        self.policies.iter().find(|policy| policy.selectors.cover(flow))
    }

    pub(crate) fn outbound(&mut self, now: Instant, flow: &Flow) -> Verdict {
        self.age(now);
        let Some(policy) = self.policy_for(flow) else {
            return match self.bypass_unmatched {
                true => Verdict::Bypass,
                false => Verdict::Discard(DiscardReason::NoPolicy),
            };
        };
        match policy.action {
            Action::Bypass => Verdict::Bypass,
            Action::Discard => Verdict::Discard(DiscardReason::Policy),
            Action::Protect { tunnel, on_demand } => {
                let newest = self.sas.iter().rev().find(|sa| {
                    !sa.inbound
                        && sa.tunnel == tunnel
                        && sa.state != SaState::HardExpired
                        && !sa.retired
                        && sa.selectors.cover(flow)
                });
                match newest {
                    Some(sa) => Verdict::Protect(sa.number),
                    None if on_demand => Verdict::Acquire(policy.number, tunnel),
                    None => Verdict::Discard(DiscardReason::NoSa),
                }
            }
        }
    }

    pub(crate) fn cleartext(&self, flow: &Flow) -> Result<(), DiscardReason> {
        match self.policy_for(flow).map(|policy| policy.action) {
            Some(Action::Bypass) => Ok(()),
            Some(Action::Discard) => Err(DiscardReason::Policy),
            Some(Action::Protect { .. }) => Err(DiscardReason::MustBeProtected),
            None if self.bypass_unmatched => Ok(()),
            None => Err(DiscardReason::NoPolicy),
        }
    }

    pub(crate) fn inbound(&self, protocol: SaProtocol, spi: EspSpi) -> Option<Number> {
        let usable = |sa: &&ModelSa| {
            sa.inbound && sa.protocol == protocol && sa.spi == spi && sa.state != SaState::HardExpired
        };
        self.sas.iter().find(usable).map(|sa| sa.number)
    }
}
