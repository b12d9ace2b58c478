//! Kernels in instructions that not every processor has. This is the one place in the library crates with `unsafe`.
//!
//! A kernel is a free function with the narrowest list of target features, and works on octets alone: what a
//! packet is, which packets go together and what is done with a wrong ICV is decided outside. It can only be
//! reached through a [`Tier`] or [`Avx2`], which only run-time detection makes.
//!
//! | module | kernels |
//! |---|---|
//! | `cpu` | what the processor can do |
//! | `aes_key` | key expansion |
//! | `vector` | the operations that the kernels below have in common for one block and for two |
//! | `ctr`, `gcm`, `ghash` | AES in counter mode, AES-GCM and GMAC, eight vectors at a time |
//! | `chacha20`, `poly1305`, `chacha20poly1305` | ChaCha20-Poly1305 with AVX2 alone, the MAC beside it in the integer unit |
//! | `cbc` | AES-CBC encryption of several packets at a time, decryption of one |
//! | `sha1`, `sha256` | several messages at a time, with the SHA instructions |
//! | `sha512` | four messages at a time in 256-bit vectors |
//!
//! Three rules keep them fast. SHA instructions and 256-bit vectors never meet in one function: the former have
//! only the old encoding, and each change between the two costs hundreds of cycles while the upper halves of the
//! vectors are dirty. No kernel is inlined into another, so that the compiler clears those halves in between. And a
//! kernel hands no closures to functions that lack its features, as those of arrays do: they are not inlined.
#![allow(unsafe_code, reason = "kernels: calls into functions with target features, and vector loads")]
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::needless_range_loop,
    reason = "indices are bounded by constants or by a check at the kernel's entry"
)]

pub(crate) mod aes_key;
pub(crate) mod cbc;
mod chacha20;
pub(crate) mod chacha20poly1305;
pub(crate) mod cpu;
pub(crate) mod ctr;
pub(crate) mod gcm;
mod ghash;
mod poly1305;
pub(crate) mod sha1;
pub(crate) mod sha256;
pub(crate) mod sha512;
mod vector;
mod words;

pub(crate) use aes_key::AesKey;
pub(crate) use cpu::{Avx2, Level, Tier};
