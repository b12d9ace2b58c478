//! What only IKEv1 needs to know of a peer. IKEv2 does not look at it.

/// How an IKEv1 peer is spoken to, beyond what both versions have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ikev1Peer {
    /// The exchange of phase 1, whoever starts it.
    pub phase1: Phase1Mode,
    /// Whether a user proves who they are after phase 1, and on which side.
    pub xauth: Option<XauthRole>,
    /// Who speaks first when addresses are assigned.
    pub mode_config: ModeConfig,
    /// Whether long messages are cut into fragments.
    pub fragmentation: Fragmentation,
}

/// The exchange that makes an ISAKMP SA (RFC 2409 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase1Mode {
    /// Main mode: six messages, identities encrypted.
    #[default]
    Main,
    /// Aggressive mode: three messages, identities in clear. With a pre-shared key, whoever records one
    /// exchange, or starts one with a responder, can try passwords against it without anybody noticing, so it
    /// takes a key of high entropy and is never the default.
    Aggressive,
}

/// A side of extended authentication (draft-beaulieu-ike-xauth).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XauthRole {
    /// We are asked for user name and password.
    Client,
    /// We ask for them.
    Server,
}

/// Who speaks first in mode config (draft-ietf-ipsec-isakmp-mode-cfg).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeConfig {
    /// The client asks.
    #[default]
    Pull,
    /// The server gives without being asked.
    Push,
}

/// The fragmentation of IKEv1 messages that Cisco and Microsoft brought (there is no RFC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragmentation {
    /// Said to be understood, and used for long messages when the peer says so too.
    #[default]
    Auto,
    /// Every message that can be cut in two is, once the peer says that it understands.
    Force,
    /// Neither announced nor used.
    Never,
}

/// Which strangers an IKEv1 responder lets begin, beyond their proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ikev1Listener {
    /// Main mode.
    pub main: bool,
    /// Aggressive mode; see [`Phase1Mode::Aggressive`] for what is weak about it.
    pub aggressive: bool,
    /// Pre-shared key alone.
    pub pre_shared_key: bool,
    /// Pre-shared key followed by XAUTH, whoever is its client.
    pub xauth: bool,
}
