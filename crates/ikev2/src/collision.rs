//! Who wins when both sides replace the same SA at the same time (RFC 7296 2.8.1, 2.8.2).

/// The two nonces of one CREATE_CHILD_SA exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonces<'a> {
    pub(crate) initiator: &'a [u8],
    pub(crate) responder: &'a [u8],
}

/// Which of two exchanges made the SA that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The exchange we started. We delete the SA that both replace; the peer deletes what it made.
    Ours,
    /// The exchange the peer started. We delete what we made; the peer deletes the SA that both replace.
    Peers,
}

/// Decides between two exchanges.
///
/// RFC 7296 2.8.1: the SA made with the lowest of the four nonces goes, and whoever made it closes it.
/// Nonces compare octet by octet, a shorter one below a longer one it is the start of.
pub(crate) fn decide(ours: Nonces<'_>, peers: Nonces<'_>) -> Winner {
    let lowest_of_ours = ours.initiator.min(ours.responder);
    let lowest_of_peers = peers.initiator.min(peers.responder);
    if lowest_of_ours < lowest_of_peers { Winner::Peers } else { Winner::Ours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_with_the_lowest_of_four_nonces_loses() {
        // (our Ni, peer's Nr to us, peer's Ni, our Nr to it) and who wins.
        let rows: [([&[u8]; 4], Winner); 7] = [
            ([&[0], &[9], &[9], &[9]], Winner::Peers),
            ([&[9], &[0], &[9], &[9]], Winner::Peers),
            ([&[9], &[9], &[0], &[9]], Winner::Ours),
            ([&[9], &[9], &[9], &[0]], Winner::Ours),
            ([&[5], &[8], &[6], &[7]], Winner::Peers),
            ([&[5, 0], &[8], &[5], &[9]], Winner::Ours),
            ([&[0xff, 1], &[0xff, 2], &[0xff, 0, 9], &[0xff, 3]], Winner::Ours),
        ];
        for ([ni, nr, peer_ni, peer_nr], winner) in rows {
            let ours = Nonces { initiator: ni, responder: nr };
            let peers = Nonces { initiator: peer_ni, responder: peer_nr };
            assert_eq!(decide(ours, peers), winner, "{ours:?} {peers:?}");
            let mirrored = match winner {
                Winner::Ours => Winner::Peers,
                Winner::Peers => Winner::Ours,
            };
            assert_eq!(decide(peers, ours), mirrored, "both sides must agree");
        }
    }
}
