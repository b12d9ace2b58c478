//! Explicit congestion notification through tunnels (RFC 6040).

use core::fmt;

/// The two bits of the ECN field (RFC 3168 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// The sender does not know ECN.
    NotEct,
    /// ECN-capable, codepoint 01.
    Ect1,
    /// ECN-capable, codepoint 10.
    Ect0,
    /// A router met congestion.
    Ce,
}

impl Ecn {
    /// The field in a type of service or traffic class octet.
    #[must_use]
    pub const fn of(tos: u8) -> Self {
        match tos & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The field's value.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// `tos` with this field in it.
    #[must_use]
    pub const fn within(self, tos: u8) -> u8 {
        (tos & 0xfc) | self.bits()
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotEct => "Not-ECT",
            Self::Ect1 => "ECT(1)",
            Self::Ect0 => "ECT(0)",
            Self::Ce => "CE",
        })
    }
}

/// How the outer header's ECN field is set (RFC 6040 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnMode {
    /// Copied from the inner header: for peers that know ECN in tunnels, as every RFC 4301 implementation does.
    #[default]
    Normal,
    /// Cleared, for peers that would lose congestion marks (RFC 2401 implementations).
    Compatibility,
}

impl EcnMode {
    /// The outer header's field for a packet with this inner one.
    #[must_use]
    pub const fn encapsulate(self, inner: Ecn) -> Ecn {
        match self {
            Self::Normal => inner,
            Self::Compatibility => Ecn::NotEct,
        }
    }
}

/// The ECN field of a packet that leaves the tunnel, or `None` if the packet must be dropped: a router marked
/// congestion on a packet whose sender would not understand it.
///
/// The table of RFC 6040 4.2, the same for both modes:
///
/// ```text
///           |                outer
///   inner   | Not-ECT   ECT(0)    ECT(1)    CE
///  ---------+-----------------------------------
///   Not-ECT | Not-ECT   Not-ECT   Not-ECT   drop
///   ECT(0)  | ECT(0)    ECT(0)    ECT(1)    CE
///   ECT(1)  | ECT(1)    ECT(1)    ECT(1)    CE
///   CE      | CE        CE        CE        CE
/// ```
#[must_use]
pub const fn decapsulate(inner: Ecn, outer: Ecn) -> Option<Ecn> {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => None,
        (Ecn::NotEct, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1) => Some(Ecn::NotEct),
        (Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce, Ecn::Ce) | (Ecn::Ce, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1) => {
            Some(Ecn::Ce)
        }
        (Ecn::Ect0, Ecn::NotEct | Ecn::Ect0) => Some(Ecn::Ect0),
        (Ecn::Ect0, Ecn::Ect1) | (Ecn::Ect1, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1) => Some(Ecn::Ect1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_octet_keeps_its_dscp() {
        for tos in 0..=u8::MAX {
            assert_eq!(Ecn::of(tos).within(tos), tos);
            assert_eq!(Ecn::NotEct.within(tos) >> 2, tos >> 2);
        }
    }

    #[test]
    fn every_cell_of_figure_4_of_rfc_6040_is_as_printed() {
        let (n, zero, one, ce) = (Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce);
        let rows = [
            (n, [Some(n), Some(n), Some(n), None]),
            (zero, [Some(zero), Some(zero), Some(one), Some(ce)]),
            (one, [Some(one), Some(one), Some(one), Some(ce)]),
            (ce, [Some(ce); 4]),
        ];
        for (inner, row) in rows {
            for (outer, expected) in [n, zero, one, ce].into_iter().zip(row) {
                assert_eq!(decapsulate(inner, outer), expected, "{inner} in {outer}");
            }
        }
    }

    #[test]
    fn compatibility_mode_hides_ecn_from_the_path() {
        for inner in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            assert_eq!(EcnMode::Normal.encapsulate(inner), inner);
            assert_eq!(EcnMode::Compatibility.encapsulate(inner), Ecn::NotEct);
        }
    }
}
