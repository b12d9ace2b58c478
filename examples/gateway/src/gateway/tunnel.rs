//! From a tunnel as the configuration has it to a tunnel as the engine takes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ikebana::esp::OuterPolicy;
use ikebana::{DeadPeerAction, TunnelConfig};
use ikebana_core::datagram::IKE_PORT;
use ikebana_core::{AddressRange, Identity, IdentityPattern, Secret};
use ikebana_ike::{
    AddressRequest, Assignment, Authentication, ChildConfig, Encapsulation, Ikev1Peer, Liveness, PeerConfig,
    Uniqueness, XauthCredentials,
};
use ikebana_proposals::Prefer;

use crate::config::{DpdAction, IkeVersion, Pool, Psk, Start, Tunnel, Users, Xauth};

/// RFC 3948 4 suggests it.
const NAT_KEEPALIVE: Duration = Duration::from_secs(20);
/// More addresses than this are not handed out of one pool.
const MOST_ASSIGNMENTS: usize = 4_096;

/// The tunnel for the engine, once both ends' addresses are known. `native` says whether ESP can travel
/// without UDP.
pub(super) fn for_engine(
    tunnel: &Tunnel,
    local: IpAddr,
    remote: Option<IpAddr>,
    pools: &[Pool],
    native: bool,
) -> TunnelConfig {
    let own = |address: IpAddr| match address {
        IpAddr::V4(v4) => Identity::Ipv4(v4),
        IpAddr::V6(v6) => Identity::Ipv6(v6),
    };
    let assign = assignments(&tunnel.name, pools);
    let child = ChildConfig {
        name: tunnel.name.clone(),
        proposals: tunnel.child_proposals.clone(),
        prefer: Prefer::Local,
        local: tunnel.local_ts.clone(),
        remote: tunnel.remote_ts.clone(),
        mode: tunnel.mode,
        lifetime: tunnel.lifetime,
        replay_window: tunnel.replay_window,
        compress: tunnel.compress,
    };
    let remote_id = match (&tunnel.remote_id, remote) {
        (Some(pattern), _) => pattern.clone(),
        (None, Some(address)) => IdentityPattern::Exact(own(address)),
        (None, None) => IdentityPattern::Any,
    };
    let mut request: Vec<AddressRequest> = tunnel
        .vips
        .iter()
        .flat_map(|address| match address {
            IpAddr::V4(_) => [AddressRequest::Ipv4, AddressRequest::DnsIpv4],
            IpAddr::V6(_) => [AddressRequest::Ipv6, AddressRequest::DnsIpv6],
        })
        .collect();
    request.sort_unstable();
    request.dedup();
    let peer = PeerConfig {
        name: tunnel.name.clone(),
        local_id: tunnel.local_id.clone().unwrap_or_else(|| own(local)),
        remote_id,
        proposals: tunnel.proposals.clone(),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(child)],
        lifetime: tunnel.ike_lifetime,
        liveness: tunnel.dpd_delay.map(|delay| Liveness { delay }),
        encapsulation: match tunnel.encap {
            // Without a raw socket, ESP has no other way than UDP.
            Encapsulation::Auto if !native && !tunnel.is_ah() => Encapsulation::Force,
            Encapsulation::Auto | Encapsulation::Force | Encapsulation::Never => tunnel.encap,
        },
        nat_keepalive: NAT_KEEPALIVE,
        retransmission: tunnel.retransmission,
        request,
        assigns_addresses: !assign.is_empty(),
        uniqueness: Uniqueness::InitialContact,
        ikev1: Ikev1Peer {
            phase1: tunnel.ikev1.phase1,
            xauth: tunnel.ikev1.xauth_role(),
            mode_config: tunnel.ikev1.mode_config,
            fragmentation: tunnel.ikev1.fragmentation,
        },
    };
    let (xauth, xauth_users) = users(tunnel);
    TunnelConfig {
        version: match tunnel.ike {
            IkeVersion::V1 => ikebana::IkeVersion::V1,
            IkeVersion::V2 => ikebana::IkeVersion::V2,
        },
        peer,
        pre_shared_key: secret(&tunnel.psk),
        local,
        remote: remote.map(|address| SocketAddr::new(address, tunnel.remote.port.unwrap_or(IKE_PORT))),
        // From its remote address, wherever that moves, or from anywhere.
        accepted_from: Vec::new(),
        start: match tunnel.start {
            Start::Start => ikebana::Start::Start,
            Start::OnTraffic => ikebana::Start::OnTraffic,
            Start::Passive => ikebana::Start::Passive,
        },
        on_dead_peer: match tunnel.dpd_action {
            DpdAction::Clear => DeadPeerAction::Clear,
            DpdAction::Trap => DeadPeerAction::Trap,
            DpdAction::Restart => DeadPeerAction::Restart,
        },
        path_mtu: tunnel.path_mtu.into(),
        outer: OuterPolicy::default(),
        tfc: tunnel.tfc,
        sizes: tunnel.sizes,
        assign,
        xauth,
        xauth_users,
    }
}

fn secret(key: &Psk) -> Secret {
    match key {
        Psk::Key(key) => key.duplicate(),
        // The configuration was loaded, so key files have been read; without a key nothing authenticates.
        Psk::File(_) => Secret::new(Vec::new()),
    }
}

/// Who we are for XAUTH, and whom we let in.
fn users(tunnel: &Tunnel) -> (Option<XauthCredentials>, Vec<XauthCredentials>) {
    let credentials = |user: &str, password| XauthCredentials { user: user.to_owned(), password };
    match &tunnel.ikev1.xauth {
        Some(Xauth::Client { user, password }) => (Some(credentials(user, secret(password))), Vec::new()),
        Some(Xauth::Server(Users::Here(users))) => {
            let users = users.iter().map(|(user, password)| credentials(user, password.duplicate()));
            (None, users.collect())
        }
        Some(Xauth::Server(Users::File(_))) | None => (None, Vec::new()),
    }
}

/// What each of a tunnel's clients gets, in order.
fn assignments(tunnel: &str, pools: &[Pool]) -> Vec<Assignment> {
    let serves = |pool: &&Pool| pool.tunnels.is_empty() || pool.tunnels.iter().any(|name| name == tunnel);
    let one = |pool: &Pool, address: IpAddr| Assignment {
        addresses: vec![address],
        dns: pool.dns.clone(),
        subnets: pool.subnets.clone(),
        prefix_ipv4: None,
    };
    pools
        .iter()
        .filter(serves)
        .flat_map(|pool| {
            let addresses = pool.addresses.iter().flat_map(hosts).take(MOST_ASSIGNMENTS);
            addresses.map(move |address| one(pool, address))
        })
        .collect()
}

/// The addresses of a range; without a block's first and last one, which many a router keeps for itself.
fn hosts(range: &AddressRange) -> impl Iterator<Item = IpAddr> + use<> {
    let spare =
        u128::from(range.prefix().is_some_and(|prefix| prefix < if range.is_ipv4() { 31 } else { 127 }));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let v4 = range.is_ipv4();
    let (first, last) = (bits(range.first()).saturating_add(spare), bits(range.last()).saturating_sub(spare));
    (first..=last).map(move |bits| match u32::try_from(bits) {
        Ok(bits) if v4 => std::net::Ipv4Addr::from_bits(bits).into(),
        _ => std::net::Ipv6Addr::from_bits(bits).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn converted(lines: &str, remote: Option<&str>) -> TunnelConfig {
        let text = format!("[[tunnel]]\nname = \"net\"\npsk = \"correct horse battery staple\"\n{lines}\n");
        let (config, _) = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let remote = remote.map(|remote| remote.parse().unwrap());
        for_engine(&config.tunnels[0], "192.0.2.1".parse().unwrap(), remote, &config.pools, true)
    }

    #[test]
    fn a_tunnel_without_identities_goes_by_its_addresses() {
        let tunnel = converted("remote = \"192.0.2.2\"", Some("192.0.2.2"));
        assert_eq!(tunnel.peer.local_id.to_string(), "192.0.2.1");
        assert_eq!(tunnel.peer.remote_id.to_string(), "192.0.2.2");
        assert_eq!(tunnel.remote, Some("192.0.2.2:500".parse().unwrap()));
        assert!(tunnel.accepted_from.is_empty());
        assert!(tunnel.pre_shared_key.ct_eq(b"correct horse battery staple"));
        assert_eq!(tunnel.start, ikebana::Start::Start);
    }

    #[test]
    fn a_server_for_anyone_takes_anyone_and_gives_addresses() {
        let tunnel = converted("[[pool]]\naddresses = [\"10.9.0.0/30\", \"10.8.0.1..10.8.0.3\"]", None);
        assert_eq!((tunnel.remote, tunnel.accepted_from.len()), (None, 0));
        assert_eq!(tunnel.peer.remote_id, IdentityPattern::Any);
        assert!(tunnel.peer.assigns_addresses);
        let given: Vec<String> = tunnel.assign.iter().map(|one| one.addresses[0].to_string()).collect();
        assert_eq!(given, ["10.9.0.1", "10.9.0.2", "10.8.0.1", "10.8.0.2", "10.8.0.3"]);
        assert_eq!(tunnel.start, ikebana::Start::Passive);
    }

    #[test]
    fn a_huge_pool_is_not_spelled_out() {
        let tunnel = converted("[[pool]]\naddresses = [\"fd00::/64\"]", None);
        assert_eq!(tunnel.assign.len(), MOST_ASSIGNMENTS);
        assert_eq!(tunnel.assign[0].addresses[0].to_string(), "fd00::1");
    }

    #[test]
    fn a_client_asks_for_what_it_wants_once() {
        let tunnel =
            converted("remote = \"192.0.2.2\"\nvips = [\"0.0.0.0\", \"0.0.0.0\"]", Some("192.0.2.2"));
        assert_eq!(tunnel.peer.request, [AddressRequest::Ipv4, AddressRequest::DnsIpv4]);
    }
}
