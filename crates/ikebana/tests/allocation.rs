//! Established tunnels move packets without allocating: a counting allocator watches the engine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]
#![allow(unsafe_code, reason = "a global allocator cannot be written without; the library forbids it")]

#[allow(dead_code, reason = "shared with other tests")]
#[path = "engine/packet.rs"]
mod packet;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "engine/setup.rs"]
mod setup;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use ikebana::core::spi::ShardedSpis;
use ikebana::core::{Instant, Path};
use ikebana::crypto::CryptoProvider;
use ikebana::esp::PacketBuf;
use ikebana::ike::{Encapsulation, Liveness};
use ikebana::proposals::Proposal;
use ikebana::{
    ArrivalFate, Arriving, DropCause, Engine, EngineConfig, Leaving, LeavingFate, Output, Port, Start,
};
use ikebana_testkit::SeededRng;

use packet::numbered;
use setup::{child, inner, tunnel};

struct Counting;

thread_local! {
    /// Allocations of this thread, so that the test harness's own threads do not disturb.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // While a thread ends, its counter may be gone already.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system allocator with the arguments as they came, so its guarantees hold. The
// counter is a thread-local without destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by the methods here, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` by the methods here, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocated.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

const ROOM: usize = 64;
const BATCH: usize = 32;

fn back(path: Path) -> Path {
    Path::new(path.remote, path.local)
}

/// Two engines with an established tunnel.
fn engines(suite: &str, encapsulation: Encapsulation) -> [Engine; 2] {
    let mut engines = [0, 1].map(|host| {
        let provider = Arc::new(CryptoProvider::fastest());
        let rng = Box::new(SeededRng::new(host as u64));
        let spis = Box::new(ShardedSpis::unsharded());
        let mut engine = Engine::new(EngineConfig::default(), provider, rng, spis);
        let mut config = tunnel(host, 1 - host);
        config.peer.encapsulation = encapsulation;
        config.peer.liveness = Some(Liveness { delay: Duration::from_secs(10) });
        config.start = if host == 0 { Start::Start } else { Start::Passive };
        child(&mut config, |child| child.proposals = vec![Proposal::esp(suite).unwrap()]);
        engine.add_tunnel(Instant::ZERO, config).unwrap();
        engine
    });
    for turn in 0..20 {
        while let Some(output) = engines[turn % 2].poll_output() {
            let Output::Transmit { path, mut octets } = output else { continue };
            let port = if path.local.port() == 500 { Port::Ike } else { Port::Shared };
            let arriving = Arriving::new(back(path), port, None, PacketBuf::full(&mut octets));
            engines[1 - turn % 2].handle_datagrams(Instant::from_secs(1), &mut [arriving]);
        }
    }
    engines
}

/// One batch from one engine through the other one. Returns how many packets arrived, and how often either
/// engine allocated.
fn exchange(engines: &mut [Engine; 2], now: Instant, from: usize, packets: &[Vec<u8>]) -> (usize, u64) {
    let mut buffers: Vec<Vec<u8>> =
        packets.iter().map(|packet| [&[0; ROOM][..], packet, &[0; ROOM]].concat()).collect();
    let mut leaving: Vec<Leaving<'_>> = buffers
        .iter_mut()
        .map(|buffer| {
            let end = buffer.len() - ROOM;
            Leaving::new(PacketBuf::new(buffer, ROOM..end).unwrap())
        })
        .collect();
    let sealing = allocations(|| engines[from].handle_packets(now, &mut leaving));
    let sealed: Vec<(Path, Port, Vec<u8>)> = leaving
        .iter()
        .filter_map(|leaving| match leaving.fate {
            LeavingFate::Send(how) => {
                let port = how.port;
                Some((back(how.path), port, leaving.packet.payload().to_vec()))
            }
            _ => None,
        })
        .collect();
    // Each of them twice, so that replays are watched too, and some damage.
    let mut wire = sealed.clone();
    wire.extend(sealed.clone());
    for (path, port, mut octets) in sealed {
        *octets.last_mut().unwrap() ^= 1;
        wire.push((path, port, octets.clone()));
        octets[0] ^= 0x80;
        wire.push((path, port, octets));
        wire.push((path, port, vec![0xff]));
    }
    let mut arriving: Vec<Arriving<'_>> = wire
        .iter_mut()
        .map(|(path, port, octets)| Arriving::new(*path, *port, Some(0), PacketBuf::full(octets)))
        .collect();
    let opening = allocations(|| engines[1 - from].handle_datagrams(now, &mut arriving));
    let delivered = arriving.iter().filter(|arriving| arriving.fate == ArrivalFate::Deliver).count();
    (delivered, sealing + opening)
}

#[test]
fn packets_of_established_tunnels_are_moved_without_an_allocation() {
    for suite in ["aes128gcm16", "chacha20poly1305", "aes128-sha1", "aes256-sha256", "aes256gcm16-esn"] {
        for encapsulation in [Encapsulation::Auto, Encapsulation::Force] {
            let mut engines = engines(suite, encapsulation);
            for round in 0..1_000_u64 {
                // Ten seconds, so that the once-a-second work is among it.
                let now = Instant::from_millis(2_000 + round * 10);
                let from = (round % 2) as usize;
                let packets: Vec<Vec<u8>> = (0..BATCH)
                    .map(|index| {
                        let v6 = index % 2 == 1;
                        numbered(inner(from, v6), inner(1 - from, v6), round, 60 + index * 40)
                    })
                    .collect();
                let (delivered, allocated) = exchange(&mut engines, now, from, &packets);
                assert_eq!(delivered, BATCH, "{suite} {encapsulation:?} round {round}");
                assert_eq!(allocated, 0, "{suite} {encapsulation:?} round {round}");
            }
            let drops = engines[0].drops();
            assert!(drops.get(DropCause::NotOpened) > 1_000 && drops.get(DropCause::NoInboundSa) > 1_000);
        }
    }
}

#[test]
fn fragments_are_made_without_an_allocation_where_there_are_places_for_them() {
    let mut engines = engines("aes128gcm16", Encapsulation::Auto);
    for round in 0..100_u64 {
        let mut packet = numbered(inner(0, false), inner(1, false), round, 4_000);
        // Without "don't fragment"; nobody on the way looks at the checksum.
        packet[6] = 0;
        let mut buffer = [&[0; ROOM][..], &packet, &[0; ROOM]].concat();
        let mut rooms = vec![vec![0; 1_700]; 4];
        let end = buffer.len() - ROOM;
        let mut batch = [Leaving::new(PacketBuf::new(&mut buffer, ROOM..end).unwrap())];
        let mut places: Vec<_> =
            rooms.iter_mut().map(|room| Leaving::new(PacketBuf::new(room, ROOM..ROOM).unwrap())).collect();
        let now = Instant::from_millis(2_000 + round);
        let made = allocations(|| engines[0].handle_packets_with(now, &mut batch, &mut places));
        assert_eq!(made, 0, "round {round}");
        let sent = batch.iter().chain(&places).filter(|one| matches!(one.fate, LeavingFate::Send(_))).count();
        assert_eq!(sent, 3);
    }
}

#[test]
fn packets_that_no_policy_lets_out_are_dropped_without_an_allocation() {
    let mut engines = engines("aes128gcm16", Encapsulation::Auto);
    let stray = vec![numbered(inner(0, false), "172.16.0.1".parse().unwrap(), 1, 100); BATCH];
    for round in 0..10 {
        let now = Instant::from_secs(2 + round);
        let (delivered, allocated) = exchange(&mut engines, now, 0, &stray);
        assert_eq!((delivered, allocated), (0, 0));
    }
    assert_eq!(engines[0].drops().get(DropCause::NoPolicy), 320);
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
    assert_eq!(allocations(|| assert_eq!(std::hint::black_box(7), 7)), 0);
}
