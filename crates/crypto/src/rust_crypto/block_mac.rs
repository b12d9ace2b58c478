//! AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493).
//!
//! The two differ in their keys alone: both are CBC-MACs whose last block is first combined with one key if
//! it is complete and with another if it had to be padded. XCBC derives all three keys from the given one;
//! CMAC derives the two by doubling an encrypted zero block.

use aes::Aes128;
use aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    consts::U16,
};
use zeroize::Zeroizing;

type Octets = [u8; 16];

/// A CBC-MAC with its expanded key and the two keys for the last block.
pub(super) struct BlockMac {
    cipher: Aes128,
    complete: Zeroizing<Octets>,
    padded: Zeroizing<Octets>,
}

impl BlockMac {
    /// AES-XCBC-MAC: K1, K2 and K3 are the encrypted constants 1, 2 and 3 (RFC 3566 4).
    pub(super) fn xcbc(key: &Octets) -> Self {
        let deriving = Aes128::new(key.into());
        let derive = |constant| {
            let mut block: Block<Aes128> = [constant; 16].into();
            deriving.encrypt_block(&mut block);
            Zeroizing::new(block.into())
        };
        let k1: Zeroizing<Octets> = derive(1);
        Self { cipher: Aes128::new((&*k1).into()), complete: derive(2), padded: derive(3) }
    }

    /// AES-CMAC: K1 and K2 are the doubled and twice doubled encryption of zero (RFC 4493 2.3).
    pub(super) fn cmac(key: &Octets) -> Self {
        let cipher = Aes128::new(key.into());
        let mut zero = Block::<Aes128>::default();
        cipher.encrypt_block(&mut zero);
        let zero: Zeroizing<Octets> = Zeroizing::new(zero.into());
        let complete = Zeroizing::new(double(&zero));
        let padded = Zeroizing::new(double(&complete));
        Self { cipher, complete, padded }
    }

    /// The MAC over the concatenation of `parts`, in full length.
    pub(super) fn compute(&self, parts: &[&[u8]]) -> Octets {
        let mut state = Block::<Aes128>::default();
        // The last block, complete or not, is kept back until it is known to be the last.
        let mut pending = [0; 16];
        let mut filled = 0_usize;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if filled == 16 {
                    self.chain(&mut state, &[pending.into()]);
                    filled = 0;
                }
                if filled == 0 && rest.len() > 16 {
                    let (blocks, _tail) = Block::<Aes128>::slice_as_chunks(rest);
                    let keep_last = usize::from(rest.len().is_multiple_of(16));
                    let count = blocks.len().saturating_sub(keep_last);
                    let (blocks, _last) = blocks.split_at(count);
                    self.chain(&mut state, blocks);
                    rest = rest.split_at(count.saturating_mul(16)).1;
                }
                let taken = rest.len().min(16_usize.saturating_sub(filled));
                let (head, tail) = rest.split_at(taken);
                for (octet, &value) in pending.iter_mut().skip(filled).zip(head) {
                    *octet = value;
                }
                filled = filled.saturating_add(taken);
                rest = tail;
            }
        }
        let key = if filled == 16 { &self.complete } else { &self.padded };
        // Padding: a one bit and zeros (RFC 3566 4, RFC 4493 2.4).
        for (at, octet) in pending.iter_mut().enumerate().skip(filled) {
            *octet = if at == filled { 0x80 } else { 0 };
        }
        for (octet, &key) in pending.iter_mut().zip(key.iter()) {
            *octet ^= key;
        }
        self.chain(&mut state, &[pending.into()]);
        state.into()
    }

    /// CBC over `blocks` with one dispatch to the AES implementation for all of them.
    fn chain(&self, state: &mut Block<Aes128>, blocks: &[Block<Aes128>]) {
        struct Chain<'a> {
            state: &'a mut Block<Aes128>,
            blocks: &'a [Block<Aes128>],
        }
        impl BlockSizeUser for Chain<'_> {
            type BlockSize = U16;
        }
        impl BlockCipherEncClosure for Chain<'_> {
            fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
                for block in self.blocks {
                    for (octet, &value) in self.state.iter_mut().zip(block.iter()) {
                        *octet ^= value;
                    }
                    backend.encrypt_block((&mut *self.state).into());
                }
            }
        }
        self.cipher.encrypt_with_backend(Chain { state, blocks });
    }
}

/// Multiplies by x in GF(2^128), in constant time.
fn double(block: &Octets) -> Octets {
    let value = u128::from_be_bytes(*block);
    let reduction = (value >> 127).wrapping_neg() & 0x87;
    ((value << 1) ^ reduction).to_be_bytes()
}
