//! Whether two ends have the same SAs.

use crate::daemon::IkeSa;
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
pub(crate) fn check(us: &[IkeSa], them: &[IkeSa]) -> Result<Agreed, String> {
    let ours = single("we", us)?;
    let theirs = single("they", them)?;
    if let (Some(a), Some(b)) = (&ours.spis, &theirs.spis)
        && (plain(&a.0), plain(&a.1)) != (plain(&b.0), plain(&b.1))
    {
        return Err(format!("we have the IKE SA {a:?}, they {b:?}"));
    }
    let (a, b) = match (ours.children.as_slice(), theirs.children.as_slice()) {
        ([a], [b]) => (a, b),
        (a, b) => return Err(format!("we have {} Child SAs, they {}", a.len(), b.len())),
    };
    if !(a.installed && b.installed) {
        return Err("a Child SA is not installed".to_owned());
    }
    let child = (plain(&a.spi_in), plain(&a.spi_out));
    if child != (plain(&b.spi_out), plain(&b.spi_in)) {
        return Err(format!("our Child SA {a:?} is not their {b:?}"));
    }
    let ike = ours.spis.as_ref().map(|(i, r)| (plain(i), plain(r)));
    Ok(Agreed { ike, child })
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
    use crate::daemon::ChildSa;

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
        assert!(check(&[sa("0x0C01", "d2")], &[sa("000000d2", "c01")]).is_ok());
    }

    #[test]
    fn different_spis_missing_and_surplus_sas_do_not_agree() {
        assert!(check(&[sa("1", "2")], &[sa("1", "2")]).is_err());
        assert!(check(&[sa("1", "2")], &[]).is_err());
        assert!(check(&[sa("1", "2"), sa("3", "4")], &[sa("2", "1")]).is_err());
    }

    #[test]
    fn a_rekeyed_child_has_two_new_spis() {
        let before = check(&[sa("1", "2")], &[sa("2", "1")]).unwrap();
        let half = check(&[sa("3", "2")], &[sa("2", "3")]).unwrap();
        let after = check(&[sa("3", "4")], &[sa("4", "3")]).unwrap();
        assert!(!half.differs(&before, SaKind::Child));
        assert!(after.differs(&before, SaKind::Child));
        assert!(!after.differs(&before, SaKind::Ike));
    }
}
