//! Lifetimes as IKEv1 negotiates them.
//!
//! The initiator says how long the SAs may live, and the responder that would have it shorter says so in its
//! answer. Of everything that was said and configured the shortest counts.

use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{Lifetime, Reader, Writer};
use ikebana_proposals::ikev1::Phase2Life;
use ikebana_proposals::ikev1::attribute::{encode_attributes, parse_attributes};
use ikebana_proposals::ikev1::phase2::Protocol;
use ikebana_proposals::ikev1::sa::DOI_IPSEC;

use crate::wire::{NotifyPayload, NotifyType};

/// The lifetime of phase 2 SAs of which nobody said any (RFC 2407 4.5).
pub(crate) const UNSAID: Duration = Duration::from_secs(28_800);

const KILOBYTE: u64 = 1_024;

/// What an initiator with these limits says: the hard ones, since the peer must not use the SA for longer.
pub(crate) fn offered(configured: &Lifetime) -> Phase2Life {
    let seconds = configured.hard_time.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1));
    // Rounded down, so that nobody goes over the limit.
    let kilobytes = configured.hard_bytes.map(|bytes| (bytes / KILOBYTE).max(1));
    Phase2Life { seconds, kilobytes }
}

/// The limits that hold after `said`. A soft limit at or behind its hard one is moved to nine tenths of it, so
/// that there is time to replace the SA; jitter is not drawn yet.
pub(crate) fn effective(configured: &Lifetime, said: &[Phase2Life]) -> Lifetime {
    let seconds = said.iter().filter_map(|life| life.seconds).min();
    let negotiated = seconds.map_or(UNSAID, |seconds| Duration::from_secs(seconds.into()));
    let hard_time = configured.hard_time.map_or(negotiated, |hard| hard.min(negotiated));
    let soft_time = configured.soft_time.filter(|&soft| soft < hard_time);

    let kilobytes = said.iter().filter_map(|life| life.kilobytes).min();
    let negotiated = kilobytes.map(|kilobytes| kilobytes.saturating_mul(KILOBYTE));
    let hard_bytes = [configured.hard_bytes, negotiated].into_iter().flatten().min();
    let soft_bytes = match (configured.soft_bytes, hard_bytes) {
        (Some(soft), Some(hard)) if soft >= hard => Some(nine_tenths(hard)),
        (None, Some(hard)) => Some(nine_tenths(hard)),
        (soft, _) => soft,
    };
    Lifetime {
        soft_time: Some(soft_time.unwrap_or(hard_time / 10 * 9)),
        hard_time: Some(hard_time),
        soft_bytes,
        hard_bytes,
        ..*configured
    }
}

const fn nine_tenths(whole: u64) -> u64 {
    whole.saturating_sub(whole / 10)
}

/// What a responder with these limits has to say to an offer, if its own are shorter (RFC 2407 4.6.3.1).
pub(crate) fn shorter(configured: &Lifetime, offer: Phase2Life) -> Option<Phase2Life> {
    let ours = offered(configured);
    let offered_seconds = offer.seconds.map_or(UNSAID.as_secs(), u64::from);
    let seconds = ours.seconds.filter(|&seconds| u64::from(seconds) < offered_seconds);
    let kilobytes = ours.kilobytes.filter(|&ours| offer.kilobytes.is_none_or(|offered| ours < offered));
    let life = Phase2Life { seconds, kilobytes };
    (life != Phase2Life::default()).then_some(life)
}

/// The notification that says so. `spi` is the one that the answer names.
pub(crate) fn responder_lifetime(protocol: Protocol, spi: Vec<u8>, life: Phase2Life) -> NotifyPayload {
    let mut writer = Writer::new();
    encode_attributes(&life.attributes(), &mut writer);
    NotifyPayload {
        doi: DOI_IPSEC,
        protocol,
        spi,
        kind: NotifyType::RESPONDER_LIFETIME,
        // No attribute of ours is too long to be written.
        data: writer.finish().unwrap_or_default(),
    }
}

/// What such a notification says; `None` if it makes no sense.
pub(crate) fn said_by(notify: &NotifyPayload) -> Option<Phase2Life> {
    Phase2Life::read(&parse_attributes(Reader::new(&notify.data)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn life(seconds: u32, kilobytes: u64) -> Phase2Life {
        let some = |number| Some(number).filter(|&number| number != 0);
        Phase2Life { seconds: Some(seconds).filter(|&seconds| seconds != 0), kilobytes: some(kilobytes) }
    }

    fn both() -> Lifetime {
        Lifetime {
            soft_bytes: Some(900 * KILOBYTE),
            hard_bytes: Some(1_000 * KILOBYTE),
            ..Lifetime::by_time(HOUR)
        }
    }

    #[test]
    fn the_shorter_limit_wins_and_the_soft_one_stays_before_the_hard_one() {
        let of = |said: &[Phase2Life]| {
            let limits = effective(&both(), said);
            let seconds = |time: Option<Duration>| time.unwrap().as_secs();
            assert!(limits.soft_time < limits.hard_time && limits.soft_bytes < limits.hard_bytes);
            (
                seconds(limits.soft_time),
                seconds(limits.hard_time),
                limits.soft_bytes.unwrap() / KILOBYTE,
                limits.hard_bytes.unwrap() / KILOBYTE,
            )
        };
        assert_eq!(of(&[]), (3_600, 3_960, 900, 1_000));
        assert_eq!(of(&[life(86_400, 0)]), (3_600, 3_960, 900, 1_000));
        assert_eq!(of(&[life(3_700, 2_000)]), (3_600, 3_700, 900, 1_000));
        assert_eq!(of(&[life(1_000, 100)]), (900, 1_000, 90, 100));
        assert_eq!(of(&[life(4_000, 0), life(1_000, 950)]), (900, 1_000, 900, 950));
    }

    #[test]
    fn without_any_word_an_sa_lives_eight_hours() {
        let limits = effective(&Lifetime::UNLIMITED, &[Phase2Life::default()]);
        assert_eq!((limits.hard_time, limits.hard_bytes), (Some(UNSAID), None));
        assert_eq!(limits.soft_time, Some(UNSAID / 10 * 9));
    }

    #[test]
    fn a_responder_speaks_up_only_if_its_limits_are_shorter() {
        assert_eq!(shorter(&both(), life(3_960, 1_000)), None);
        assert_eq!(shorter(&both(), life(3_961, 999)), Some(life(3_960, 0)));
        assert_eq!(shorter(&both(), life(3_000, 0)), Some(life(0, 1_000)));
        assert_eq!(shorter(&both(), Phase2Life::default()), Some(life(3_960, 1_000)));
        assert_eq!(shorter(&Lifetime::UNLIMITED, Phase2Life::default()), None);
    }

    #[test]
    fn a_notified_lifetime_is_read_as_it_was_meant() {
        for meant in [life(3_960, 0), life(100_000, u64::MAX), life(0, 70_000)] {
            let notify = responder_lifetime(Protocol::ESP, Vec::from([1, 2, 3, 4]), meant);
            assert_eq!(said_by(&notify), Some(meant));
        }
        let mut notify = responder_lifetime(Protocol::ESP, Vec::new(), life(3_960, 0));
        notify.data.truncate(4);
        assert_eq!(said_by(&notify), None, "a type without a duration");
    }
}
