//! intel-ipsec-mb: every manager that the processor can run, by every interface that fits, each of them a
//! contender. The best one counts.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;

use crate::contender::{Contender, Row, check_octets};
use crate::workload::{ESP_HEADER, Packets, ROUND, Sizes, Suite, Workload};

#[repr(C)]
struct RawManager([u8; 0]);
#[repr(C)]
struct RawKey([u8; 0]);

/// The same in ipsec_mb.c.
#[repr(C)]
struct RawPacket {
    frame: *mut u8,
    key: *const RawKey,
    text_len: u64,
    tag: *mut u8,
    nonce: [u8; 16],
}

unsafe extern "C" {
    fn peer_version() -> *const c_char;
    fn peer_manager(level: c_int) -> *mut RawManager;
    fn peer_manager_free(manager: *mut RawManager);
    fn peer_key_new(
        manager: *mut RawManager,
        suite: c_int,
        encryption: *const u8,
        encryption_len: usize,
        mac: *const u8,
        mac_len: usize,
    ) -> *mut RawKey;
    fn peer_key_free(key: *mut RawKey);
    fn peer_run(
        manager: *mut RawManager,
        api: c_int,
        packets: *mut RawPacket,
        count: u32,
        opens: c_int,
    ) -> c_int;
    fn peer_finish(manager: *mut RawManager);
}

/// The library's own name of its version.
pub(crate) fn version() -> String {
    // SAFETY: the library returns a string that is always there.
    unsafe { CStr::from_ptr(peer_version()) }.to_string_lossy().into_owned()
}

const LEVELS: [(c_int, &str); 3] = [(0, "SSE"), (1, "AVX2"), (2, "AVX512")];

/// How the packets are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    /// One job a packet, flushed at the end of a batch.
    Burst = 0,
    /// The same without the flush: some packets of a batch come back with the next one.
    Stream = 1,
    /// A synchronous burst for the cipher and one for the hash.
    Split = 2,
    /// The function for one packet.
    Direct = 3,
}

/// Everything there is for this workload.
pub(crate) fn contenders(workload: &Workload) -> Vec<Box<dyn Contender>> {
    let apis: &[Api] = match workload.suite {
        Suite::Aes128Sha1 | Suite::Aes256Sha256 | Suite::Aes128Sha512 => match workload.sizes {
            Sizes::All(_) => &[Api::Burst, Api::Split],
            Sizes::Mix => &[Api::Burst, Api::Stream, Api::Split],
        },
        Suite::Aes128Gcm | Suite::Aes256Gcm => &[Api::Burst, Api::Direct],
        Suite::ChaCha20Poly1305 => &[Api::Burst],
    };
    let pairs = LEVELS.into_iter().flat_map(|level| apis.iter().map(move |&api| (level, api)));
    pairs
        .filter_map(|((level, name), api)| Some(Box::new(IpsecMb::new(workload, level, name, api)?) as _))
        .collect()
}

struct Manager(NonNull<RawManager>);

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: it came from `peer_manager` and nobody else frees it.
        unsafe { peer_manager_free(self.0.as_ptr()) }
    }
}

struct Key(NonNull<RawKey>);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it came from `peer_key_new` and nobody else frees it.
        unsafe { peer_key_free(self.0.as_ptr()) }
    }
}

struct IpsecMb {
    manager: Manager,
    keys: Vec<Key>,
    api: Api,
    level: &'static str,
    many_sas: bool,
    iv_len: usize,
    icv_len: usize,
    /// Tags that were computed on opening.
    tags: Vec<[u8; 64]>,
    packets: Packets,
}

impl IpsecMb {
    fn new(workload: &Workload, level: c_int, name: &'static str, api: Api) -> Option<Self> {
        let suite = match workload.suite {
            Suite::Aes128Sha1 => 0,
            Suite::Aes256Sha256 => 1,
            Suite::Aes128Sha512 => 2,
            Suite::Aes128Gcm | Suite::Aes256Gcm => 3,
            Suite::ChaCha20Poly1305 => 4,
        };
        // SAFETY: no requirements; it returns NULL where the level is not there.
        let manager = Manager(NonNull::new(unsafe { peer_manager(level) })?);
        let key = |sa| {
            let [encryption, mac] = workload.suite.keys(sa);
            let (pointer, mac_pointer) = (encryption.as_ptr(), mac.as_ptr());
            let manager = manager.0.as_ptr();
            // SAFETY: the keys have these lengths, which are the suite's.
            let key =
                unsafe { peer_key_new(manager, suite, pointer, encryption.len(), mac_pointer, mac.len()) };
            NonNull::new(key).map(Key)
        };
        Some(Self {
            keys: workload.sas().map(key).collect::<Option<_>>()?,
            manager,
            api,
            level: name,
            many_sas: workload.many_sas,
            iv_len: workload.shape.iv_len,
            icv_len: workload.shape.icv_len,
            tags: vec![[0; 64]; ROUND],
            packets: workload.packets(),
        })
    }

    fn run(&mut self, batch: usize, opens: bool) {
        let mut frames = self.packets.frames_mut().enumerate();
        let around = ESP_HEADER + self.iv_len + self.icv_len;
        for _ in (0..ROUND).step_by(batch) {
            let packets = frames.by_ref().take(batch).map(|(index, frame)| {
                let length = frame.len();
                let frame = frame.as_mut_ptr();
                let tag = match opens {
                    true => self.tags[index].as_mut_ptr(),
                    // SAFETY: the ICV is the end of the frame.
                    false => unsafe { frame.add(length - self.icv_len) },
                };
                let key = self.keys[if self.many_sas { index } else { 0 }].0.as_ptr();
                RawPacket { frame, key, text_len: (length - around) as u64, tag, nonce: [0; 16] }
            });
            let mut packets: arrayvec::ArrayVec<_, ROUND> = packets.collect();
            let (first, count) = (packets.as_mut_ptr(), packets.len() as u32);
            // SAFETY: frames, keys and tags live as long as `self`, longer than the jobs: what a stream leaves over
            // is completed by `finish`, which the measurement calls before it drops anybody. The nonces die
            // with `packets`, and combined modes are not streamed.
            let done = unsafe {
                peer_run(self.manager.0.as_ptr(), self.api as c_int, first, count, c_int::from(opens))
            };
            assert_eq!(done, 1, "{} has not done its work", Row::IpsecMb.name());
        }
    }
}

impl Contender for IpsecMb {
    fn name(&self) -> String {
        let api = match self.api {
            Api::Burst => "burst",
            Api::Stream => "burst without flush",
            Api::Split => "cipher burst and hash burst",
            Api::Direct => "direct",
        };
        format!("{} {}, {api}", Row::IpsecMb.name(), self.level)
    }

    fn row(&self) -> Row {
        Row::IpsecMb
    }

    fn seal(&mut self, batch: usize) {
        self.run(batch, false);
    }

    fn open(&mut self, batch: usize) {
        self.run(batch, true);
    }

    fn finish(&mut self) {
        // SAFETY: what is left over are packets of `self`.
        unsafe { peer_finish(self.manager.0.as_ptr()) }
    }

    /// A stream's packets would have to be sealed anew while they are still being opened.
    fn opens(&self) -> bool {
        self.api != Api::Stream
    }

    fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }

    fn check(&mut self, workload: &Workload) {
        check_octets(self, workload);
        if self.opens() {
            for (tag, sealed) in self.tags.iter().zip(&workload.sealed) {
                assert!(sealed.ends_with(&tag[..self.icv_len]), "{} has another ICV", self.name());
            }
        }
    }
}
