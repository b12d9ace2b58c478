//! Addresses for peers that ask for one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ikebana_core::{AddressRange, Identity};
use ikebana_ike::Assignment;

use crate::config::Pool;

/// A free address is looked for at most this far into a pool.
const MOST_TRIED: u32 = 1 << 20;

/// The pools of a configuration, and who has which address.
pub(super) struct Pools<K> {
    pools: Vec<Pool>,
    leases: BTreeMap<IpAddr, Lease<K>>,
}

struct Lease<K> {
    who: Identity,
    /// The IKE SAs that use it; it is free when there are none.
    holders: BTreeSet<K>,
}

impl<K: Ord + Copy> Pools<K> {
    pub(super) const fn new(pools: Vec<Pool>) -> Self {
        Self { pools, leases: BTreeMap::new() }
    }

    /// Takes new pools; leases go on.
    pub(super) fn reconfigure(&mut self, pools: Vec<Pool>) {
        self.pools = pools;
    }

    /// Whether a tunnel's peers may ask for addresses.
    pub(super) fn serve(&self, tunnel: &str) -> bool {
        self.pools.iter().any(|pool| serves(pool, tunnel))
    }

    /// Addresses for `who`, one for each one wanted, on behalf of the IKE SA `holder`. Someone who comes back
    /// gets the same address. `None` if there is none to give.
    pub(super) fn assign(
        &mut self,
        tunnel: &str,
        who: &Identity,
        wanted: &[IpAddr],
        holder: K,
    ) -> Option<Assignment> {
        let mut assignment = Assignment::default();
        for wish in wanted {
            let found = self.pools.iter().filter(|pool| serves(pool, tunnel)).find_map(|pool| {
                let ranges = pool.addresses.iter().filter(|range| range.is_ipv4() == wish.is_ipv4());
                ranges.clone().find_map(|range| self.pick(range, who, *wish)).map(|address| (pool, address))
            });
            let Some((pool, address)) = found else { continue };
            for server in &pool.dns {
                if !assignment.dns.contains(server) {
                    assignment.dns.push(*server);
                }
            }
            assignment.subnets.extend(pool.subnets.iter().copied());
            assignment.addresses.push(address);
            let lease = || Lease { who: who.clone(), holders: BTreeSet::new() };
            self.leases.entry(address).or_insert_with(lease).holders.insert(holder);
        }
        assignment.subnets.dedup();
        (!assignment.addresses.is_empty()).then_some(assignment)
    }

    /// The IKE SA `holder` is gone.
    pub(super) fn release(&mut self, holder: K) {
        self.leases.retain(|_, lease| {
            lease.holders.remove(&holder);
            !lease.holders.is_empty()
        });
    }

    /// The address in `range` for `who`: the one it has, the one it wishes, or the first free one.
    fn pick(&self, range: &AddressRange, who: &Identity, wish: IpAddr) -> Option<IpAddr> {
        let kept = self.leases.iter().find(|(address, lease)| lease.who == *who && range.contains(**address));
        if let Some((address, _)) = kept {
            return Some(*address);
        }
        let free = |address: &IpAddr| !self.leases.contains_key(address);
        if range.contains(wish) && free(&wish) {
            return Some(wish);
        }
        // The first and last address of a block are the network's own on many a router.
        let spare =
            u32::from(range.first() != range.last() && range.prefix().is_some_and(|prefix| prefix < 127));
        (spare..MOST_TRIED).map_while(|step| nth(range, step, spare)).find(free)
    }
}

fn serves(pool: &Pool, tunnel: &str) -> bool {
    pool.tunnels.is_empty() || pool.tunnels.iter().any(|name| name == tunnel)
}

/// The address `step` after the range's first, if it is at least `spare` before its last.
fn nth(range: &AddressRange, step: u32, spare: u32) -> Option<IpAddr> {
    match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let bits = first.to_bits().checked_add(step)?;
            (bits <= last.to_bits().checked_sub(spare)?).then_some(std::net::Ipv4Addr::from_bits(bits).into())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let bits = first.to_bits().checked_add(step.into())?;
            (bits <= last.to_bits().checked_sub(spare.into())?)
                .then_some(std::net::Ipv6Addr::from_bits(bits).into())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn pools(addresses: &str) -> Pools<u32> {
        let pool = Pool {
            addresses: vec![addresses.parse().unwrap()],
            dns: vec!["10.9.0.53".parse().unwrap()],
            subnets: vec!["10.1.0.0/16".parse().unwrap()],
            tunnels: vec!["road".to_owned()],
        };
        Pools::new(vec![pool])
    }

    fn one(pools: &mut Pools<u32>, who: &str, holder: u32) -> Option<String> {
        let who = Identity::Fqdn(who.to_owned());
        let assignment = pools.assign("road", &who, &[Ipv4Addr::UNSPECIFIED.into()], holder)?;
        assert_eq!((assignment.dns.len(), assignment.subnets.len()), (1, 1));
        Some(assignment.addresses[0].to_string())
    }

    #[test]
    fn everyone_gets_an_address_of_their_own_until_there_are_none() {
        let mut pools = pools("10.9.0.0/29");
        for (holder, expected) in (1..=6).zip(1..) {
            assert_eq!(one(&mut pools, &format!("host{holder}"), holder), Some(format!("10.9.0.{expected}")));
        }
        assert_eq!(one(&mut pools, "late", 9), None);
        pools.release(3);
        assert_eq!(one(&mut pools, "late", 9).as_deref(), Some("10.9.0.3"));
    }

    #[test]
    fn whoever_comes_back_before_the_old_sa_is_gone_keeps_the_address() {
        let mut pools = pools("10.9.0.10..10.9.0.20");
        assert_eq!(one(&mut pools, "carol", 1).as_deref(), Some("10.9.0.10"));
        assert_eq!(one(&mut pools, "dave", 2).as_deref(), Some("10.9.0.11"));
        assert_eq!(one(&mut pools, "carol", 3).as_deref(), Some("10.9.0.10"));
        pools.release(1);
        assert_eq!(one(&mut pools, "erin", 4).as_deref(), Some("10.9.0.12"));
        pools.release(3);
        assert_eq!(one(&mut pools, "frank", 5).as_deref(), Some("10.9.0.10"));
    }

    #[test]
    fn a_wish_is_granted_where_it_can_be() {
        let mut pools = pools("10.9.0.0/24");
        let who = Identity::Fqdn("carol".to_owned());
        let wish: IpAddr = "10.9.0.77".parse().unwrap();
        assert_eq!(pools.assign("road", &who, &[wish], 1).unwrap().addresses, [wish]);
        let other = Identity::Fqdn("dave".to_owned());
        let first: IpAddr = "10.9.0.1".parse().unwrap();
        assert_eq!(pools.assign("road", &other, &[wish], 2).unwrap().addresses, [first]);
    }

    #[test]
    fn nothing_is_given_to_other_tunnels_or_of_another_family() {
        let mut pools = pools("10.9.0.0/24");
        let who = Identity::Fqdn("carol".to_owned());
        assert!(pools.serve("road") && !pools.serve("office"));
        assert_eq!(pools.assign("office", &who, &[Ipv4Addr::UNSPECIFIED.into()], 1), None);
        assert_eq!(pools.assign("road", &who, &["::".parse().unwrap()], 1), None);
    }
}
