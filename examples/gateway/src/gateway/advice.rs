//! Settings of the kernel that would make a working tunnel look broken.

use ikebana_ike::{Mode, SelectorTemplate};

use crate::config::Config;

/// Warns of settings that drop a tunnel's packets without a word.
pub(super) fn warn(config: &Config) {
    let setting = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap_or_default();
    let is = |name: &str, value: &str| setting(name).trim() == value;
    if is("ipv4/conf/all/rp_filter", "1") && config.tunnels.iter().any(covers_peer) {
        tracing::warn!(
            "net.ipv4.conf.all.rp_filter is 1: the kernel will drop packets of peers within their own tunnel's \
             networks; set it to 2"
        );
    }
    let is_network = |selector: &SelectorTemplate| match selector {
        SelectorTemplate::Fixed(fixed) => fixed.addresses.first() != fixed.addresses.last(),
        SelectorTemplate::Dynamic { .. } => false,
    };
    if is("ipv4/ip_forward", "0")
        && config.tunnels.iter().any(|tunnel| tunnel.local_ts.iter().any(is_network))
    {
        tracing::info!("net.ipv4.ip_forward is 0: the tunnels are for this host alone, not for its network");
    }
}

/// Whether the peer's outer address is an inner one too.
fn covers_peer(tunnel: &crate::config::Tunnel) -> bool {
    tunnel.mode == Mode::Transport
        || tunnel.remote_ts.iter().any(|selector| match selector {
            SelectorTemplate::Fixed(fixed) => {
                tunnel.remote.address().is_some_and(|peer| fixed.addresses.contains(peer))
            }
            SelectorTemplate::Dynamic { .. } => true,
        })
}
