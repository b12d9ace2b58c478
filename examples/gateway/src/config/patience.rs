//! How long a silent peer is believed in: when it is asked for a sign of life, and how often again.

use std::time::Duration;

use ikebana_ike::Retransmission;
use toml::Spanned;

use super::build::{number, time};
use super::problem::Report;
use super::{raw, value};

const DPD_DELAY: Duration = Duration::from_secs(30);
/// `dpd_timeout` leaves at least this for asking: enough for three requests over any path that works.
const LEAST_ASKING: Duration = Duration::from_secs(2);
/// A request is made at least three times, unless it is said otherwise: two packets may be lost by chance.
const LEAST_TRIES: u8 = 2;

/// What comes of the keys of this file.
pub(super) struct Patience {
    pub(super) dpd_delay: Option<Duration>,
    pub(super) retransmission: Retransmission,
}

/// `retransmit_*`
pub(super) struct Repetition {
    pub(super) tries: Option<Spanned<i64>>,
    pub(super) timeout: Option<Spanned<raw::Quantity>>,
    pub(super) base: Option<Spanned<f64>>,
}

/// Reads `dpd_delay`, `dpd_timeout` and `retransmit_*`.
pub(super) fn read(
    delay: Option<Spanned<raw::Quantity>>,
    timeout: Option<Spanned<raw::Quantity>>,
    repetition: Repetition,
    report: &mut Report<'_>,
) -> Patience {
    let delay = time(delay, report);
    let is_planned = repetition.tries.is_some() || repetition.timeout.is_some() || repetition.base.is_some();
    let retransmission = planned(repetition, report);
    let Some(timeout) = timeout else {
        return Patience { dpd_delay: delay.unwrap_or(Some(DPD_DELAY)), retransmission };
    };
    let span = timeout.span();
    if is_planned {
        report
            .error(span.clone(), "dpd_timeout stands for retransmit_tries, _timeout and _base; give either");
    }
    let result = value::duration(timeout.get_ref()).and_then(|timeout| derived(timeout, delay));
    report.value(span, result).unwrap_or(Patience { dpd_delay: Some(DPD_DELAY), retransmission })
}

/// The plan that is spelled out, with the usual one for what is not.
fn planned(raw: Repetition, report: &mut Report<'_>) -> Retransmission {
    let usual = Retransmission::default();
    let first = raw.timeout.and_then(|timeout| {
        let wait = value::wait(timeout.get_ref()).and_then(|wait| {
            let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
            if allowed.contains(&wait) { Ok(wait) } else { Err(format!("{wait:?} is not from 100ms to 60s")) }
        });
        report.value(timeout.span(), wait)
    });
    let factor_percent = raw.base.and_then(|base| {
        let factor = *base.get_ref();
        let thousandths = (1.0..=10.0).contains(&factor).then(|| Duration::from_secs_f64(factor).as_millis());
        let percent = thousandths.and_then(|thousandths| u16::try_from(thousandths / 10).ok());
        report.value(base.span(), percent.ok_or_else(|| format!("{factor} is not from 1.0 to 10.0")))
    });
    Retransmission {
        tries: number(raw.tries, report, 1..=20).unwrap_or(usual.tries),
        first: first.unwrap_or(usual.first),
        factor_percent: factor_percent.unwrap_or(usual.factor_percent),
        ..usual
    }
}

/// When to ask and how often, so that a silent peer is given up `timeout` after its last sign of life, or a
/// little sooner.
fn derived(timeout: Option<Duration>, delay: Option<Option<Duration>>) -> Result<Patience, String> {
    let Some(timeout) = timeout else { return Err("dpd_timeout must be longer than 0".to_owned()) };
    let delay = match delay {
        Some(Some(delay)) => delay,
        Some(None) => return Err("with dpd_delay = 0 the peer is never asked for a sign of life".to_owned()),
        None => DPD_DELAY.min(timeout / 3),
    };
    let asking = timeout.checked_sub(delay).filter(|asking| *asking >= LEAST_ASKING).ok_or_else(|| {
        format!(
            "dpd_timeout ({timeout:?}) must be at least {LEAST_ASKING:?} longer than dpd_delay ({delay:?})"
        )
    })?;
    let usual = Retransmission::default();
    let plan = |tries: u8| Retransmission { tries, ..usual };
    if let Some(more) = asking.checked_sub(usual.patience()) {
        // The usual waits serve handshakes well; it only takes more of them, and they are the longest by now.
        let longest = usual.longest.saturating_mul(100 + u32::from(usual.jitter_percent)) / 100;
        let count = more.as_secs().checked_div(longest.as_secs()).unwrap_or(0);
        let retransmission = plan(u8::try_from(count).unwrap_or(u8::MAX).saturating_add(usual.tries));
        return Ok(Patience { dpd_delay: Some(delay), retransmission });
    }
    // As many repetitions as have room with the usual waits, and then waits that fill the time.
    let fits = |tries: &u8| plan(*tries).patience() <= asking;
    let plan = plan((LEAST_TRIES..usual.tries).rev().find(fits).unwrap_or(LEAST_TRIES));
    let first = plan.first.mul_f64(asking.as_secs_f64() / plan.patience().as_secs_f64());
    // Rounded down, so that the sum stays within the time.
    let first = Duration::from_millis(u64::try_from(first.as_millis()).unwrap_or(u64::MAX));
    Ok(Patience { dpd_delay: Some(delay), retransmission: Retransmission { first, ..plan } })
}
