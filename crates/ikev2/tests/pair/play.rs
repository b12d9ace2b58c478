//! What the collision tests share: who wins, and in which settings every case is played.

use super::{Duel, Setup};

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

/// Each side proposes another group first, and each insists on its own choice.
pub(crate) fn stubborn() -> Setup {
    Setup {
        ike: ["aes128gcm16-prfsha256-curve25519-ecp256", "aes128gcm16-prfsha256-ecp256-curve25519"],
        esp: ["aes128gcm16-curve25519-ecp256", "aes128gcm16-ecp256-curve25519"],
        ..Setup::default()
    }
}

/// Which of the four nonces of two colliding exchanges is the lowest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lowest {
    InitiatorA,
    ResponderB,
    InitiatorB,
    ResponderA,
}

impl Lowest {
    /// Gives both hosts their next two nonces: as initiator first, as responder then.
    pub(crate) fn set(self, duel: &mut Duel) {
        let octet = |is_lowest: bool| if is_lowest { 0 } else { 0xf0 };
        let a = [octet(self == Self::InitiatorA), octet(self == Self::ResponderA)];
        let b = [octet(self == Self::InitiatorB), octet(self == Self::ResponderB)];
        duel.nonces(&a, &b);
    }

    /// The exchange without the lowest nonce wins (RFC 7296 2.8.1).
    pub(crate) fn winner(self) -> usize {
        match self {
            Self::InitiatorA | Self::ResponderB => B,
            Self::InitiatorB | Self::ResponderA => A,
        }
    }
}

/// Runs a case in every setting: whoever started the IKE SA, with and without packets on the new SAs.
pub(crate) fn play(setup: &Setup, case: impl Fn(&mut Duel)) {
    for initiator in [A, B] {
        for traffic in [false, true] {
            let mut duel = Duel::established(setup, initiator, traffic);
            case(&mut duel);
            duel.finish();
        }
    }
}

/// Four tests of one case, each with another nonce as the lowest.
#[allow(unused_macros, reason = "every test file uses another part of this")]
macro_rules! for_each_nonce {
    ($setup:expr, $prepare:expr, $case:expr => $a_ni:ident, $b_nr:ident, $b_ni:ident, $a_nr:ident) => {
        #[test]
        fn $a_ni() {
            play_collision(&$setup, Lowest::InitiatorA, $prepare, $case);
        }
        #[test]
        fn $b_nr() {
            play_collision(&$setup, Lowest::ResponderB, $prepare, $case);
        }
        #[test]
        fn $b_ni() {
            play_collision(&$setup, Lowest::InitiatorB, $prepare, $case);
        }
        #[test]
        fn $a_nr() {
            play_collision(&$setup, Lowest::ResponderA, $prepare, $case);
        }
    };
}
