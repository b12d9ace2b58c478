//! Whether two ends have the same SAs.

use crate::daemon::{ChildSa, IkeSa};
use crate::step::SaKind;

/// The one IKE SA and the one Child SA that both ends have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Both IKE SPIs, where both ends tell them.
    ike: Option<(String, String)>,
    /// Our inbound and outbound SPI.
    child: (String, String),
}

impl Agreed {
    /// Whether the SA of a kind is another one than before.
    pub(crate) fn differs(&self, before: &Agreed, what: SaKind) -> bool {
        match what {
            // Where a peer keeps its SPIs to itself, our own view of them decides.
            SaKind::Ike => self.ike != before.ike,
            SaKind::Child => self.child.0 != before.child.0 && self.child.1 != before.child.1,
        }
    }
}

/// Compares what both ends have; the error says in what they differ.
///
/// With IKEv1 (`overlaps`), nobody says that one Child SA replaces another one, and an end may keep both for as long
/// as it likes: then the newest that both have counts.
pub(crate) fn check(us: &[IkeSa], them: &[IkeSa], overlaps: bool) -> Result<Agreed, String> {
    let ours = single("we", us)?;
    let theirs = single("they", them)?;
    if let (Some(a), Some(b)) = (&ours.spis, &theirs.spis)
        && (plain(&a.0), plain(&a.1)) != (plain(&b.0), plain(&b.1))
    {
        return Err(format!("we have the IKE SA {a:?}, they {b:?}"));
    }
    let (a, b) = match (ours.children.as_slice(), theirs.children.as_slice()) {
        ([a], [b]) => (a, b),
        (a, b) if overlaps => a
            .iter()
            .find_map(|ours| Some((ours, b.iter().find(|theirs| is_same(ours, theirs))?)))
            .ok_or_else(|| format!("no Child SA of ours is one of theirs: {a:?} and {b:?}"))?,
        (a, b) => return Err(format!("we have {} Child SAs, they {}", a.len(), b.len())),
    };
    if !(a.installed && b.installed) {
        return Err("a Child SA is not installed".to_owned());
    }
    if !is_same(a, b) {
        return Err(format!("our Child SA {a:?} is not their {b:?}"));
    }
    let child = (plain(&a.spi_in), plain(&a.spi_out));
    let ike = ours.spis.as_ref().map(|(i, r)| (plain(i), plain(r)));
    Ok(Agreed { ike, child })
}

/// Whether one end's Child SA is the other's, seen from there.
fn is_same(ours: &ChildSa, theirs: &ChildSa) -> bool {
    (plain(&ours.spi_in), plain(&ours.spi_out)) == (plain(&theirs.spi_out), plain(&theirs.spi_in))
}

fn single<'a>(who: &str, sas: &'a [IkeSa]) -> Result<&'a IkeSa, String> {
    match sas {
        [sa] if sa.established => Ok(sa),
        [_] => Err(format!("{who} have not established the IKE SA")),
        sas => Err(format!("{who} have {} IKE SAs", sas.len())),
    }
}

/// An SPI without prefix and leading zeros, because every daemon prints it another way.
fn plain(spi: &str) -> String {
    spi.trim_start_matches("0x").trim_start_matches('0').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sa(spi_in: &str, spi_out: &str) -> IkeSa {
        IkeSa {
            established: true,
            spis: Some(("0a".to_owned(), "b".to_owned())),
            children: vec![ChildSa {
                installed: true,
                spi_in: spi_in.to_owned(),
                spi_out: spi_out.to_owned(),
                packets_in: 0,
            }],
        }
    }

    #[test]
    fn mirrored_spis_agree_however_they_are_written() {
        assert!(check(&[sa("0x0C01", "d2")], &[sa("000000d2", "c01")], false).is_ok());
    }

    #[test]
    fn different_spis_missing_and_surplus_sas_do_not_agree() {
        for overlaps in [false, true] {
            assert!(check(&[sa("1", "2")], &[sa("1", "2")], overlaps).is_err());
            assert!(check(&[sa("1", "2")], &[], overlaps).is_err());
            assert!(check(&[sa("1", "2"), sa("3", "4")], &[sa("2", "1")], overlaps).is_err());
        }
    }

    #[test]
    fn where_child_sas_overlap_the_newest_that_both_have_counts() {
        let mut ours = sa("3", "4");
        ours.children.extend(sa("1", "2").children);
        assert!(check(&[ours.clone()], &[sa("2", "1")], false).is_err());
        assert_eq!(check(&[ours.clone()], &[sa("2", "1")], true).unwrap().child, ("1".into(), "2".into()));
        let mut theirs = sa("2", "1");
        theirs.children.extend(sa("4", "3").children);
        assert_eq!(check(&[ours], &[theirs], true).unwrap().child, ("3".into(), "4".into()));
    }

    #[test]
    fn a_rekeyed_child_has_two_new_spis() {
        let agreed = |ours, theirs| check(&[ours], &[theirs], false).unwrap();
        let before = agreed(sa("1", "2"), sa("2", "1"));
        let half = agreed(sa("3", "2"), sa("2", "3"));
        let after = agreed(sa("3", "4"), sa("4", "3"));
        assert!(!half.differs(&before, SaKind::Child));
        assert!(after.differs(&before, SaKind::Child));
        assert!(!after.differs(&before, SaKind::Ike));
    }
}
