//! One SA on several cores: numbers are reserved and packets sealed in parallel; packets are checked, opened in
//! parallel and committed in the order in which they came.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use ikebana_crypto::CryptoProvider;
use ikebana_esp::{InboundSa, NextHeader, OutboundSa, PacketBuf};

use crate::measure::Operation;
use crate::workload::{Packets, ROUND, Sizes, Suite, Workload};

/// Rounds of packets in a pass: long enough that starting the threads does not matter.
const ROUNDS: usize = 128;

pub(crate) const PAYLOAD: usize = 1408;
pub(crate) const SUITES: [Suite; 2] = [Suite::Aes128Gcm, Suite::Aes128Sha1];

/// Packets per second of one SA.
pub(crate) struct Scaling {
    pub(crate) suite: Suite,
    pub(crate) operation: Operation,
    /// With one thread, and with two.
    pub(crate) packets_per_second: [f64; 2],
}

impl Scaling {
    pub(crate) fn factor(&self) -> f64 {
        let [one, two] = self.packets_per_second;
        two / one
    }
}

/// Measures sealing and opening with one and with two threads, in turns; the best pass of each counts.
pub(crate) fn measure(suite: Suite, budget: Duration) -> [Scaling; 2] {
    let mut flow = Flow::new(suite);
    let mut best = [[Duration::MAX; 2]; 2];
    let end = Instant::now() + budget;
    while Instant::now() < end {
        for (threads, [seal, open]) in (1..).zip(&mut best) {
            *seal = flow.pass(threads, Flow::seal).min(*seal);
            *open = flow.pass(threads, Flow::open).min(*open);
        }
    }
    let [one, two] = best;
    let per_second = |pass: Duration| (ROUNDS * ROUND) as f64 / pass.as_secs_f64();
    let scaling = |operation, at: usize| Scaling {
        suite,
        operation,
        packets_per_second: [per_second(one[at]), per_second(two[at])],
    };
    [scaling(Operation::Seal, 0), scaling(Operation::Open, 1)]
}

/// Both ends of an SA and packets on their way, each round of them in the hands of one thread at a time.
struct Flow {
    sender: Mutex<OutboundSa>,
    receiver: Mutex<InboundSa>,
    rounds: Vec<Mutex<Packets>>,
    /// The round that the next free thread takes.
    next: AtomicUsize,
    /// The round whose numbers may be committed.
    turn: AtomicUsize,
}

impl Flow {
    fn new(suite: Suite) -> Self {
        let (sender, receiver) = suite.pair(0, &CryptoProvider::fastest());
        let workload = Workload::new(suite, Sizes::All(PAYLOAD), false);
        Self {
            sender: Mutex::new(sender),
            receiver: Mutex::new(receiver),
            rounds: (0..ROUNDS).map(|_| Mutex::new(workload.packets())).collect(),
            next: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// How long `threads` need for all rounds.
    fn pass(&mut self, threads: usize, work: fn(&Self, usize)) -> Duration {
        *self.next.get_mut() = 0;
        *self.turn.get_mut() = 0;
        let (flow, barrier) = (&*self, Barrier::new(threads));
        std::thread::scope(|scope| {
            let run = || {
                barrier.wait();
                let start = Instant::now();
                loop {
                    let round = flow.next.fetch_add(1, Ordering::Relaxed);
                    if round >= ROUNDS {
                        return start.elapsed();
                    }
                    work(flow, round);
                }
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).max().unwrap_or_default()
        })
    }

    fn seal(&self, round: usize) {
        let mut packets = lock(&self.rounds[round]);
        let (key, numbers) = {
            let mut sender = lock(&self.sender);
            (sender.key().clone(), sender.reserve(ROUND as u32).expect("numbers"))
        };
        for ((buffer, payload), number) in packets.iter_mut().zip(numbers) {
            let mut packet = PacketBuf::new(buffer, payload).expect("a packet in its buffer");
            key.seal_at(number, &mut packet, NextHeader::IPV4).expect("room");
        }
        lock(&self.sender).account(ROUND as u64, (ROUND * PAYLOAD) as u64);
    }

    fn open(&self, round: usize) {
        let mut packets = lock(&self.rounds[round]);
        let mut numbers = [0; ROUND];
        let key = {
            let mut receiver = lock(&self.receiver);
            for ((buffer, frame), number) in packets.sealed_mut().zip(&mut numbers) {
                let packet = PacketBuf::new(buffer, frame).expect("a packet in its buffer");
                *number = receiver.check(&packet).expect("a packet that is new");
            }
            receiver.key().clone()
        };
        for ((buffer, frame), number) in packets.sealed_mut().zip(numbers) {
            let mut packet = PacketBuf::new(buffer, frame).expect("a packet in its buffer");
            assert_eq!(key.open_at(number, &mut packet), Ok(NextHeader::IPV4));
        }
        while self.turn.load(Ordering::Acquire) != round {
            std::thread::yield_now();
        }
        let mut receiver = lock(&self.receiver);
        for number in numbers {
            receiver.commit(number, PAYLOAD as u64).expect("a packet that is new");
        }
        drop(receiver);
        self.turn.store(round + 1, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no panic elsewhere")
}
