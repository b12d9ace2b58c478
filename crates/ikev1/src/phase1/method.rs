//! Authentication methods (RFC 2409 5, draft-beaulieu-ike-xauth).
//!
//! Only pre-shared keys are here, alone or followed by XAUTH. What a method of signatures would have to bring:
//! SKEYID from the nonces and the shared secret alone (`keys::Root::Signatures`), and a signature over the same
//! HASH_I or HASH_R in a SIGNATURE payload in the place of the HASH payload.

use alloc::vec::Vec;

use ikebana_ike::{AuthenticationKind, Ikev1Listener, PeerConfig, XauthRole};
use ikebana_proposals::ikev1::phase1::Authentication;

/// The method that a peer's configuration stands for, by who starts the exchange.
pub(crate) const fn configured(peer: &PeerConfig, we_initiate: bool) -> Authentication {
    let AuthenticationKind::PreSharedKey = peer.authentication.local else {
        // Both sides use one method in IKEv1.
        return Authentication::RSA_SIGNATURES;
    };
    match (peer.ikev1.xauth, we_initiate) {
        (None, _) => Authentication::PRE_SHARED_KEY,
        (Some(XauthRole::Client), true) | (Some(XauthRole::Server), false) => {
            Authentication::XAUTH_INIT_PRE_SHARED
        }
        (Some(XauthRole::Server), true) | (Some(XauthRole::Client), false) => {
            Authentication::XAUTH_RESP_PRE_SHARED
        }
    }
}

/// The methods by which a stranger may begin, the best first.
pub(crate) fn accepted(listener: &Ikev1Listener) -> Vec<Authentication> {
    let mut methods = Vec::new();
    if listener.xauth {
        methods.extend([Authentication::XAUTH_INIT_PRE_SHARED, Authentication::XAUTH_RESP_PRE_SHARED]);
    }
    if listener.pre_shared_key {
        methods.push(Authentication::PRE_SHARED_KEY);
    }
    methods
}

/// Whether XAUTH follows.
pub(crate) const fn has_xauth(method: Authentication) -> bool {
    matches!(method, Authentication::XAUTH_INIT_PRE_SHARED | Authentication::XAUTH_RESP_PRE_SHARED)
}
