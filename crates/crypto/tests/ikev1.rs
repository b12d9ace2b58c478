//! What only IKEv1 needs, against printed values: CBC alone and hash functions.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{cases, hex, octets};
use ikebana_crypto::{CipherError, CryptoProvider, digest};
use ikebana_proposals::ikev1::phase1::Hash;
use ikebana_proposals::{Encryption, EncryptionId};

fn check(encryption: Encryption, [key, iv, plaintext, ciphertext]: [&[u8]; 4]) {
    let cipher = CryptoProvider::rust_crypto().cbc_cipher(encryption, key).unwrap();
    assert_eq!(cipher.block_len(), iv.len());
    let mut text = plaintext.to_vec();
    cipher.encrypt(iv, &mut text).unwrap();
    assert_eq!(text, ciphertext);
    cipher.decrypt(iv, &mut text).unwrap();
    assert_eq!(text, plaintext);
}

#[test]
fn aes_cbc_alone_agrees_with_rfc_3602_and_sp_800_38a() {
    for case in cases(include_str!("vectors/rfc/aes-cbc.json")) {
        let key = octets(&case, "key");
        let bits = key.len() as u16 * 8;
        let [iv, plaintext, ciphertext] = ["iv", "plaintext", "ciphertext"].map(|field| octets(&case, field));
        check(Encryption::new(EncryptionId::AES_CBC, bits), [&key, &iv, &plaintext, &ciphertext]);
    }
    // SP 800-38A F.2.3 and F.2.5, first block.
    let iv = hex("000102030405060708090a0b0c0d0e0f");
    let plaintext = hex("6bc1bee22e409f96e93d7e117393172a");
    for (bits, key, ciphertext) in [
        (192, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "4f021db243bc633d7178183a9fa071e8"),
        (
            256,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
        ),
    ] {
        let encryption = Encryption::new(EncryptionId::AES_CBC, bits);
        check(encryption, [&hex(key), &iv, &plaintext, &hex(ciphertext)]);
    }
}

#[test]
#[cfg(feature = "legacy")]
fn triple_des_with_three_times_one_key_agrees_with_fips_81() {
    let key = hex(&"0123456789abcdef".repeat(3));
    let ciphertext = hex("e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6");
    let encryption = Encryption::new(EncryptionId::TRIPLE_DES, 0);
    check(encryption, [&key, &hex("1234567890abcdef"), b"Now is the time for all ", &ciphertext]);
}

#[test]
fn what_is_no_block_is_refused_and_left_alone() {
    let provider = CryptoProvider::rust_crypto();
    let aes = Encryption::new(EncryptionId::AES_CBC, 128);
    assert!(provider.cbc_cipher(aes, &[1; 15]).is_err());
    assert!(provider.cbc_cipher(Encryption::new(EncryptionId::AES_GCM_16, 128), &[1; 20]).is_err());
    let cipher = provider.cbc_cipher(aes, &[1; 16]).unwrap();
    let mut text = [7; 31];
    assert_eq!(cipher.encrypt(&[0; 16], &mut text), Err(CipherError::Alignment { block_len: 16 }));
    assert_eq!(cipher.decrypt(&[0; 16], &mut text), Err(CipherError::Alignment { block_len: 16 }));
    assert_eq!(cipher.encrypt(&[0; 8], &mut text[..16]), Err(CipherError::Layout));
    assert_eq!(cipher.decrypt(&[0; 17], &mut text[..16]), Err(CipherError::Layout));
    assert_eq!(text, [7; 31]);
}

#[test]
fn digests_agree_with_fips_180_and_rfc_1321() {
    let provider = CryptoProvider::rust_crypto();
    let mut expected = vec![
        (Hash::SHA, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::SHA2_256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Hash::SHA2_384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::SHA2_512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    if cfg!(feature = "legacy") {
        expected.push((Hash::MD5, "900150983cd24fb0d6963f7d28e17f72"));
    }
    for (id, answer) in expected {
        let function = provider.digest(id).unwrap();
        assert_eq!(digest(function, &[b"a", b"", b"bc"]), hex(answer), "{id}");
        assert_eq!(function.output_len() * 2, answer.len(), "{id}");
    }
    assert!(provider.digest(Hash::TIGER).is_none());
}
