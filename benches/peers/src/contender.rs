//! Who is measured.

use crate::workload::{Packets, Workload};

/// Somebody who seals and opens a round of packets, a batch at a time.
pub(crate) trait Contender {
    /// Who this is, and how it is used.
    fn name(&self) -> String;

    /// Whose row of the table it is in; the best of a row counts.
    fn row(&self) -> Row;

    /// Seals the whole round in place, `batch` packets in a call.
    fn seal(&mut self, batch: usize);

    /// Opens what [`seal`](Self::seal) sealed.
    fn open(&mut self, batch: usize);

    /// Completes what may be left over; not measured.
    fn finish(&mut self) {}

    /// Whether it can open.
    fn opens(&self) -> bool {
        true
    }

    /// The packets.
    fn packets(&mut self) -> &mut Packets;

    /// Whether it does what all the others do; a panic tells if not.
    fn check(&mut self, workload: &Workload) {
        check_octets(self, workload);
    }
}

/// Seals and opens the reference packets, and compares every octet.
pub(crate) fn check_octets<C: Contender + ?Sized>(contender: &mut C, workload: &Workload) {
    let (name, suite) = (contender.name(), workload.suite.keywords());
    let all = workload.plain.len();
    contender.packets().load(&workload.plain);
    contender.seal(all);
    contender.finish();
    for (frame, sealed) in contender.packets().frames_mut().zip(&workload.sealed) {
        assert!(*frame == **sealed, "{name} seals {suite} differently");
    }
    if !contender.opens() {
        return;
    }
    contender.open(all);
    contender.finish();
    for (frame, plain) in contender.packets().frames_mut().zip(&workload.plain) {
        let text = plain.len() - workload.shape.icv_len;
        assert!(frame[..text] == plain[..text], "{name} opens {suite} differently");
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Our whole operation.
    Whole,
    /// Our ciphers alone, on the same frames.
    Bare,
    IpsecMb,
    AwsLc,
    Graviola,
    RustCrypto,
}

impl Row {
    pub(crate) const PEERS: [Self; 4] = [Self::IpsecMb, Self::AwsLc, Self::Graviola, Self::RustCrypto];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "ikebana",
            Self::Bare => "ikebana, ciphers alone",
            Self::IpsecMb => "ipsec-mb",
            Self::AwsLc => "aws-lc-rs",
            Self::Graviola => "graviola",
            Self::RustCrypto => "RustCrypto",
        }
    }
}
