//! DEFLATE decompression, written as plainly as RFC 1951 says it: to compare with.

use std::collections::BTreeMap;

/// A longer output than any test wants.
const MAX: usize = 1 << 20;

const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const DISTANCES: [(usize, u32); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

struct Bits<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<usize> {
        let octet = self.octets.get(self.at / 8)?;
        let bit = octet >> (self.at % 8) & 1;
        self.at += 1;
        Some(usize::from(bit))
    }

    fn number(&mut self, bits: u32) -> Option<usize> {
        (0..bits).try_fold(0, |number, i| Some(number | self.bit()? << i))
    }
}

/// A Huffman code: the symbol of each pair of length and code.
struct Code(BTreeMap<(u32, usize), usize>);

impl Code {
    /// RFC 1951 3.2.2. `None` if the lengths are too many or too few for a code; one code of one bit is enough
    /// where it may be.
    fn new(lengths: &[u32], may_be_incomplete: bool) -> Option<Self> {
        let mut codes = BTreeMap::new();
        let mut code = 0_usize;
        for length in 1..=15 {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, it)| **it == length) {
                if code >= 1 << length {
                    return None;
                }
                codes.insert((length, code), symbol);
                code += 1;
            }
            code <<= 1;
        }
        let complete = code == 1 << 16;
        (complete || may_be_incomplete && codes.len() <= 1).then_some(Self(codes))
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let mut code = 0;
        for length in 1..=15 {
            code = code << 1 | bits.bit()?;
            if let Some(symbol) = self.0.get(&(length, code)) {
                return Some(*symbol);
            }
        }
        None
    }
}

/// What the stream says, or `None` if it is malformed or ends too early.
pub(crate) fn inflate(stream: &[u8]) -> Option<Vec<u8>> {
    let mut bits = Bits { octets: stream, at: 0 };
    let mut out = Vec::new();
    loop {
        let last = bits.bit()? == 1;
        match bits.number(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let lengths: Vec<u32> = (0..288)
                    .map(|i| [8, 9, 7, 8][usize::from(i > 143) + usize::from(i > 255) + usize::from(i > 279)])
                    .collect();
                coded(&mut bits, &mut out, &Code::new(&lengths, false)?, &Code::new(&[5; 32], false)?)?;
            }
            2 => {
                let (literals, distances) = codes(&mut bits)?;
                coded(&mut bits, &mut out, &literals, &distances)?;
            }
            _ => return None,
        }
        if last {
            return Some(out);
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    bits.at = bits.at.div_ceil(8) * 8;
    let (length, complement) = (bits.number(16)?, bits.number(16)?);
    if length ^ complement != 0xffff {
        return None;
    }
    let start = bits.at / 8;
    out.extend(bits.octets.get(start..start + length)?);
    bits.at += length * 8;
    Some(())
}

fn codes(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    let literals = bits.number(5)? + 257;
    let distances = bits.number(5)? + 1;
    let count = bits.number(4)? + 4;
    let mut lengths = [0; 19];
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].into_iter().take(count) {
        lengths[symbol] = bits.number(3)? as u32;
    }
    let code = Code::new(&lengths, true)?;
    let mut lengths: Vec<u32> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.symbol(bits)? {
            16 => (*lengths.last()?, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (length as u32, 1),
        };
        lengths.extend(vec![length; times]);
    }
    if lengths.len() > literals + distances || literals > 286 || distances > 30 {
        return None;
    }
    Some((Code::new(&lengths[..literals], true)?, Code::new(&lengths[literals..], true)?))
}

fn coded(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Code, distances: &Code) -> Option<()> {
    loop {
        match literals.symbol(bits)? {
            256 => return Some(()),
            literal @ 0..=255 => out.push(literal as u8),
            symbol => {
                let (base, extra) = *LENGTHS.get(symbol - 257)?;
                let length = base + bits.number(extra)?;
                let (base, extra) = *DISTANCES.get(distances.symbol(bits)?)?;
                let distance = base + bits.number(extra)?;
                for _ in 0..length {
                    out.push(*out.get(out.len().checked_sub(distance)?)?);
                }
            }
        }
        if out.len() > MAX {
            return None;
        }
    }
}
