//! Configurations for hosts that are told apart by a number.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ikebana::TunnelConfig;
use ikebana::core::{Lifetime, Secret};
use ikebana::ike::{ChildConfig, SelectorTemplate, XauthCredentials};
use ikebana::proposals::Proposal;

/// The key that everybody shares unless a test says otherwise.
pub(crate) const KEY: &[u8] = b"correct horse battery staple";

/// The outer address of a host.
pub(crate) fn outer(host: usize) -> IpAddr {
    [198, 51, 100, host as u8 + 1].into()
}

/// The address in its network that a host uses for its packets.
pub(crate) fn inner(host: usize, v6: bool) -> IpAddr {
    match v6 {
        false => [10, host as u8 + 1, 0, 1].into(),
        true => format!("fd00:{:x}::1", host + 1).parse().unwrap(),
    }
}

/// The networks behind a host.
pub(crate) fn networks(host: usize) -> Vec<SelectorTemplate> {
    vec![fixed(&format!("10.{}.0.0/16", host + 1)), fixed(&format!("fd00:{:x}::/32", host + 1))]
}

pub(crate) fn fixed(selector: &str) -> SelectorTemplate {
    SelectorTemplate::Fixed(selector.parse().unwrap())
}

/// What a host calls its tunnel to another one.
pub(crate) fn name(to: usize) -> String {
    format!("to-{to}")
}

/// A tunnel from host `me` to host `other`, by fast algorithms, without lifetimes and liveness.
pub(crate) fn tunnel(me: usize, other: usize) -> TunnelConfig {
    let mut config = TunnelConfig::site_to_site(
        &name(other),
        (outer(me), outer(other)),
        (&format!("host{me}.example.net"), &format!("host{other}.example.net")),
        ("10.0.0.0/8", "10.0.0.0/8"),
        KEY,
    )
    .unwrap();
    config.peer.proposals = vec![Proposal::ike("aes128gcm16-prfsha256-curve25519").unwrap()];
    config.peer.lifetime = Lifetime::UNLIMITED;
    config.peer.liveness = None;
    child(&mut config, |child| {
        child.name = "net".into();
        child.proposals = vec![Proposal::esp("aes128gcm16").unwrap()];
        child.local = networks(me);
        child.remote = networks(other);
        child.lifetime = Lifetime::UNLIMITED;
    });
    config
}

/// Changes every child of a tunnel.
pub(crate) fn child(config: &mut TunnelConfig, change: impl Fn(&mut ChildConfig)) {
    for child in &mut config.peer.children {
        change(Arc::make_mut(child));
    }
}

/// The same configuration again.
pub(crate) fn copy(config: &TunnelConfig) -> TunnelConfig {
    TunnelConfig {
        version: config.version,
        peer: config.peer.clone(),
        pre_shared_key: config.pre_shared_key.duplicate(),
        local: config.local,
        remote: config.remote,
        accepted_from: config.accepted_from.clone(),
        start: config.start,
        on_dead_peer: config.on_dead_peer,
        path_mtu: config.path_mtu,
        outer: config.outer,
        tfc: config.tfc,
        sizes: config.sizes,
        assign: config.assign.clone(),
        xauth: config.xauth.as_ref().map(same_user),
        xauth_users: config.xauth_users.iter().map(same_user).collect(),
    }
}

/// A user with a password.
pub(crate) fn user(name: &str, password: &str) -> XauthCredentials {
    XauthCredentials { user: name.into(), password: key(password) }
}

fn same_user(user: &XauthCredentials) -> XauthCredentials {
    XauthCredentials { user: user.user.clone(), password: user.password.duplicate() }
}

pub(crate) fn key(text: &str) -> Secret {
    Secret::from_slice(text.as_bytes())
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
