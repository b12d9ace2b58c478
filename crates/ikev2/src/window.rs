//! Message ids, retransmission and the response cache (RFC 7296 2.1, 2.2, 2.3).
//!
//! Nothing here knows what a payload is. A [`Window`] belongs to one IKE SA and has two halves: what we ask,
//! one request at a time, and what the peer asks, up to the window size we allow it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::random::jitter;
use ikebana_core::{Instant, SecureRandom};
use ikebana_ike::{ExchangeType, Retransmission};

/// What to do with a received request, by its message id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is new: process it, then [`Window::respond`].
    New,
    /// It has been answered: send this again.
    Again(Vec<u8>),
    /// It is being worked on.
    Pending,
    /// It is outside the window, or a known id with other content.
    Outside,
}

/// A request of ours that has not been answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding {
    pub(crate) id: u32,
    pub(crate) exchange: ExchangeType,
    pub(crate) octets: Vec<u8>,
    /// Transmissions so far.
    pub(crate) sent: u32,
    deadline: Instant,
}

/// What has become of an unanswered request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// It is not due.
    NotYet,
    /// It was sent again; these are its octets.
    Repeat(Vec<u8>),
    /// It has been sent as often as it ever will be.
    GiveUp { exchange: ExchangeType, sent: u32 },
}

struct Answered {
    fingerprint: [u8; 32],
    response: Option<Vec<u8>>,
}

/// The message window of one IKE SA.
pub(crate) struct Window {
    next_request: u32,
    outstanding: Option<Outstanding>,
    /// Every request id below this has been received.
    expected: u32,
    size: u32,
    /// Received requests whose answer may be asked for again, by id; at most twice `size` of them.
    answered: BTreeMap<u32, Answered>,
}

impl Window {
    /// A window whose first request of ours has id `next_request` and whose first expected one is `expected`.
    pub(crate) fn new(next_request: u32, expected: u32, size: u32) -> Self {
        Self { next_request, outstanding: None, expected, size: size.max(1), answered: BTreeMap::new() }
    }

    /// Whether a request of ours is outstanding, so that the next one has to wait.
    pub(crate) const fn is_busy(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The id that the next request of ours will have.
    pub(crate) const fn next_request_id(&self) -> u32 {
        self.next_request
    }

    /// Whether either side has made `most` requests, so that the IKE SA should be rekeyed.
    pub(crate) const fn is_worn(&self, most: u32) -> bool {
        self.next_request >= most || self.expected >= most
    }

    /// Whether our message ids are used up. RFC 7296 2.2: they never wrap.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.next_request == u32::MAX
    }

    /// Takes responsibility for a request that is being sent now under [`Self::next_request_id`].
    pub(crate) fn request(
        &mut self,
        now: Instant,
        exchange: ExchangeType,
        octets: Vec<u8>,
        plan: &Retransmission,
        rng: &mut dyn SecureRandom,
    ) {
        let id = self.next_request;
        self.next_request = self.next_request.saturating_add(1);
        let deadline = now + wait(plan, 0, rng);
        self.outstanding = Some(Outstanding { id, exchange, octets, sent: 1, deadline });
    }

    /// Whether a response with this id and exchange type answers the outstanding request.
    pub(crate) fn expects_response(&self, id: u32, exchange: ExchangeType) -> bool {
        self.outstanding.as_ref().is_some_and(|request| request.id == id && request.exchange == exchange)
    }

    /// The outstanding request has its answer.
    pub(crate) fn complete(&mut self) {
        self.outstanding = None;
    }

    /// When the outstanding request is due again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|request| request.deadline)
    }

    /// Repeats the outstanding request if it is due.
    pub(crate) fn overdue(
        &mut self,
        now: Instant,
        plan: &Retransmission,
        rng: &mut dyn SecureRandom,
    ) -> Overdue {
        let Some(request) = self.outstanding.as_mut().filter(|request| request.deadline <= now) else {
            return Overdue::NotYet;
        };
        if request.sent > u32::from(plan.tries) {
            return Overdue::GiveUp { exchange: request.exchange, sent: request.sent };
        }
        request.deadline = now + wait(plan, request.sent, rng);
        request.sent = request.sent.saturating_add(1);
        Overdue::Repeat(request.octets.clone())
    }

    /// What to do with a request. `fingerprint` is a hash of the whole message: an id that comes again with
    /// other content is no retransmission (RFC 7296 2.1) and must not be answered from the cache.
    ///
    /// The first octets of a message are not authenticated by its id alone, so the caller asks only after the
    /// integrity check, or for an answer it is ready to send to anybody.
    pub(crate) fn receive(&self, id: u32, fingerprint: &[u8; 32]) -> Received {
        match self.answered.get(&id) {
            Some(known) if known.fingerprint != *fingerprint => Received::Outside,
            Some(known) => match &known.response {
                Some(response) => Received::Again(response.clone()),
                None => Received::Pending,
            },
            None if id >= self.expected && id - self.expected < self.size => Received::New,
            None => Received::Outside,
        }
    }

    /// Marks a new request as being worked on.
    pub(crate) fn begin(&mut self, id: u32, fingerprint: [u8; 32]) {
        self.answered.insert(id, Answered { fingerprint, response: None });
        while self.answered.contains_key(&self.expected) && self.expected < u32::MAX {
            self.expected += 1;
        }
        // Ids that even a peer with a full window cannot be waiting for any more.
        let horizon = self.expected.saturating_sub(self.size);
        self.answered.retain(|id, _| *id >= horizon);
    }

    /// Keeps the response to a request that was begun, for when the request comes again.
    pub(crate) fn respond(&mut self, id: u32, response: Vec<u8>) {
        if let Some(answered) = self.answered.get_mut(&id) {
            answered.response = Some(response);
        }
    }
}

/// The wait after transmission number `sent` (counted from zero).
pub(crate) fn wait(plan: &Retransmission, sent: u32, rng: &mut dyn SecureRandom) -> Duration {
    let wait = plan.wait(sent);
    let swing = wait.saturating_mul(u32::from(plan.jitter_percent.min(100))) / 100;
    (wait - swing).saturating_add(jitter(rng, swing.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    struct NoRandom;
    impl SecureRandom for NoRandom {
        fn fill_public(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
        fn fill_secret(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    const PLAN: Retransmission = Retransmission {
        first: Duration::from_secs(1),
        factor_percent: 200,
        longest: Duration::from_secs(5),
        tries: 3,
        jitter_percent: 0,
    };

    #[test]
    fn an_unanswered_request_is_repeated_with_growing_waits_and_then_given_up() {
        let mut window = Window::new(0, 0, 1);
        window.request(Instant::ZERO, ExchangeType::INFORMATIONAL, vec![7], &PLAN, &mut NoRandom);
        let mut times = vec![];
        let end = loop {
            let at = window.deadline().unwrap();
            times.push(at.as_micros() / 1_000_000);
            assert_eq!(
                window.overdue(Instant::from_micros(at.as_micros() - 1), &PLAN, &mut NoRandom),
                Overdue::NotYet
            );
            let overdue = window.overdue(at, &PLAN, &mut NoRandom);
            if !matches!(overdue, Overdue::Repeat(_)) {
                break overdue;
            }
            assert_eq!(overdue, Overdue::Repeat(vec![7]));
        };
        assert_eq!(times, [1, 3, 7, 12]);
        assert_eq!(end, Overdue::GiveUp { exchange: ExchangeType::INFORMATIONAL, sent: 4 });
    }

    #[test]
    fn a_request_seen_before_is_answered_again_and_only_if_it_is_the_same() {
        let mut window = Window::new(0, 5, 1);
        assert_eq!(window.receive(5, &[1; 32]), Received::New);
        window.begin(5, [1; 32]);
        assert_eq!(window.receive(5, &[1; 32]), Received::Pending);
        window.respond(5, vec![42]);
        assert_eq!(window.receive(5, &[1; 32]), Received::Again(vec![42]));
        assert_eq!(window.receive(5, &[2; 32]), Received::Outside);
        assert_eq!(window.receive(6, &[1; 32]), Received::New);
        for outside in [0, 4, 7, u32::MAX] {
            assert_eq!(window.receive(outside, &[1; 32]), Received::Outside);
        }
    }

    #[test]
    fn a_window_of_three_takes_requests_out_of_order_and_its_cache_is_bounded() {
        let mut window = Window::new(0, 0, 3);
        for id in [2, 0, 1] {
            assert_eq!(window.receive(id, &[0; 32]), Received::New, "{id}");
            window.begin(id, [0; 32]);
            window.respond(id, vec![0]);
        }
        assert_eq!(window.receive(3, &[0; 32]), Received::New);
        assert_eq!(window.receive(6, &[0; 32]), Received::Outside);
        for id in 3..1_000 {
            window.begin(id, [0; 32]);
            window.respond(id, vec![0]);
        }
        assert!(window.answered.len() <= 6);
        assert_eq!(window.receive(999, &[0; 32]), Received::Again(vec![0]));
        assert_eq!(window.receive(3, &[0; 32]), Received::Outside);
    }

    #[test]
    fn message_ids_end_and_do_not_wrap() {
        let mut window = Window::new(u32::MAX - 1, u32::MAX - 1, 4);
        assert!(!window.is_exhausted());
        window.request(Instant::ZERO, ExchangeType::INFORMATIONAL, vec![], &PLAN, &mut NoRandom);
        window.complete();
        assert!(window.is_exhausted());
        assert_eq!(window.receive(u32::MAX - 1, &[0; 32]), Received::New);
        window.begin(u32::MAX - 1, [0; 32]);
        for wrapped in [0, 1, 2] {
            assert_eq!(window.receive(wrapped, &[0; 32]), Received::Outside);
        }
    }

    #[test]
    fn only_the_outstanding_id_and_exchange_is_an_expected_response() {
        let mut window = Window::new(9, 0, 1);
        window.request(Instant::ZERO, ExchangeType::INFORMATIONAL, vec![], &PLAN, &mut NoRandom);
        assert!(window.expects_response(9, ExchangeType::INFORMATIONAL));
        assert!(!window.expects_response(8, ExchangeType::INFORMATIONAL));
        assert!(!window.expects_response(9, ExchangeType::CREATE_CHILD_SA));
        window.complete();
        assert!(!window.expects_response(9, ExchangeType::INFORMATIONAL));
        assert_eq!(window.next_request_id(), 10);
    }
}
