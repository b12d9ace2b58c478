//! Answers to the endpoint's questions, from what the tunnels say.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;

use ikebana_core::{Identity, Secret};
use ikebana_ike::{
    AddressDemand, AddressKeyRequest, Assignment, Credentials, IkeSaHandle, PeerConfig, Phase1Mode,
    PreSharedKeyRequest, SelectPeer, Uniqueness, XauthClaim, XauthCredentials, XauthRequest, XauthRole,
};
use ikebana_proposals::{IkeSuite, Prefer, Proposal, ProtocolId, SaPayload, select_ike};

use super::listeners::size;
use super::tunnel::Tunnel;
use super::{IkeVersion, TunnelId};

/// The tunnels, as the endpoint sees them.
pub(super) struct Book<'a> {
    pub(super) tunnels: &'a mut BTreeMap<TunnelId, Tunnel>,
    pub(super) by_name: &'a BTreeMap<String, TunnelId>,
    pub(super) by_ike: &'a mut BTreeMap<IkeSaHandle, TunnelId>,
}

impl Book<'_> {
    fn named(&mut self, name: &str) -> Option<&mut Tunnel> {
        self.by_name.get(name).and_then(|id| self.tunnels.get_mut(id))
    }
}

impl Credentials for Book<'_> {
    fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
        let fits = |tunnel: &Tunnel| {
            tunnel.version == IkeVersion::of(peer.ike)
                && tunnel.peer.remote_id.matches(&peer.remote_id)
                && peer.local_id.as_ref().is_none_or(|wanted| tunnel.peer.local_id.is_same(wanted))
                && tunnel.accepts_from(peer.path.remote.ip())
        };
        // The configuration that says most about the peer comes first. One that does not allow what was
        // negotiated is taken only if there is no other, so that its name is in the refusal.
        let rank = |tunnel: &Tunnel| {
            (!allows(&tunnel.peer.proposals, &peer.suite), tunnel.peer.remote_id.openness())
        };
        let (id, tunnel) =
            self.tunnels.iter().filter(|(_, tunnel)| fits(tunnel)).min_by_key(|(_, tunnel)| rank(tunnel))?;
        self.by_ike.insert(peer.ike, *id);
        Some(tunnel.peer.clone())
    }

    fn pre_shared_key(&mut self, request: &PreSharedKeyRequest) -> Option<Secret> {
        self.named(&request.peer.name).map(|tunnel| tunnel.key.duplicate())
    }

    fn assign_address(&mut self, demand: &AddressDemand) -> Option<Assignment> {
        self.named(&demand.peer.name)?.assign(demand)
    }

    fn pre_shared_key_by_address(&mut self, request: &AddressKeyRequest) -> Option<Secret> {
        let from = request.path.remote.ip();
        let fits = |tunnel: &&Tunnel| {
            tunnel.version == IkeVersion::V1
                && tunnel.peer.ikev1.phase1 == Phase1Mode::Main
                && tunnel.accepts_from(from)
        };
        // Who is expected from the fewest addresses; the peer says who it is only under this key.
        let rank = |tunnel: &&Tunnel| {
            (!allows(&tunnel.peer.proposals, &request.suite), size(&tunnel.accepted_from()))
        };
        self.tunnels.values().filter(fits).min_by_key(rank).map(|tunnel| tunnel.key.duplicate())
    }

    fn xauth_credentials(&mut self, request: &XauthRequest) -> Option<XauthCredentials> {
        let ours = self.named(&request.peer.name)?.xauth.as_ref()?;
        Some(XauthCredentials { user: ours.user.clone(), password: ours.password.duplicate() })
    }

    fn xauth_verify(&mut self, claim: &XauthClaim) -> bool {
        let Some(tunnel) = self.named(&claim.peer.name) else { return false };
        if tunnel.peer.ikev1.xauth != Some(XauthRole::Server) {
            return false;
        }
        // All of them are looked at, so that the time it takes does not tell which names there are.
        tunnel.xauth_users.iter().fold(false, |known, user| {
            let same_name = Secret::from_slice(user.user.as_bytes()).ct_eq(claim.user.as_bytes());
            known | (same_name & user.password.ct_eq(claim.password.expose()))
        })
    }
}

impl Tunnel {
    /// Addresses for a peer that asks: those it has already, what it asks for if that is free, or else the
    /// first of the pool that nobody has.
    fn assign(&mut self, demand: &AddressDemand) -> Option<Assignment> {
        let used: BTreeSet<usize> = self.assigned.values().map(|(index, _)| *index).collect();
        let mut free = (0..self.config.assign.len()).filter(|index| !used.contains(index)).peekable();
        let first = free.peek().copied();
        let wanted = free.find(|index| {
            let offered = self.config.assign.get(*index);
            offered.is_some_and(|offered| offered.addresses.iter().any(|ours| demand.wanted.contains(ours)))
        });
        // A client that has lost its memory comes back before its old IKE SA has gone. Where XAUTH asks for users,
        // a whole group of them may have one identity.
        let is_one = self.peer.uniqueness != Uniqueness::Keep && self.peer.ikev1.xauth.is_none();
        let same = |who: &Identity| is_one && who.is_same(&demand.remote_id);
        let had = self.assigned.values().find(|(_, who)| same(who)).map(|(index, _)| *index);
        let index = had.or(wanted).or(first)?;
        self.assigned.insert(demand.ike, (index, demand.remote_id.clone()));
        self.config.assign.get(index).cloned()
    }
}

/// Whether proposals allow a suite that was agreed on before the peer was known.
fn allows(proposals: &[Proposal], suite: &IkeSuite) -> bool {
    let mut agreed = Proposal::empty(ProtocolId::IKE);
    agreed.encryption.push(suite.encryption);
    agreed.integrity.extend(suite.integrity);
    agreed.prf.push(suite.prf);
    agreed.key_exchange.push(suite.key_exchange);
    let offer = SaPayload::offer(&[agreed], &[]);
    select_ike(proposals, &offer, Prefer::Local).is_ok()
}
