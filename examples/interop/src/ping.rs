//! Echo requests, and counting what came back.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

/// What a run of `ping` says about loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
}

/// Reads the output of `ping` that ended by itself, and of whose requests the first `count` matter.
///
/// `ping` waits for its last answers only twice as long as any took before. On a busy machine that is not enough,
/// so more requests follow those that are counted.
pub(crate) fn finished(output: &str, count: u32) -> Result<Tally> {
    let (sent, _) = summary(output)?;
    let sent = sent.min(count);
    let answered =
        output.lines().filter_map(sequence).filter(|number| *number <= count).collect::<BTreeSet<_>>();
    Ok(Tally { sent, lost: sent.saturating_sub(u32::try_from(answered.len())?) })
}

/// Reads the output of `ping` that was interrupted while requests were under way.
///
/// Requests sent after the last answer are lost only if there are more of them than `in_flight`.
pub(crate) fn interrupted(output: &str, in_flight: u32) -> Result<Tally> {
    let (sent, _) = summary(output)?;
    let answered: BTreeSet<u32> = output.lines().filter_map(sequence).collect();
    let last = answered.last().copied().unwrap_or(0);
    let missing = last.saturating_sub(u32::try_from(answered.len())?);
    let tail = sent.saturating_sub(last);
    Ok(Tally { sent, lost: missing + if tail > in_flight { tail } else { 0 } })
}

/// The number of an answer; errors such as "Destination unreachable" carry one too, but no time.
fn sequence(line: &str) -> Option<u32> {
    if !line.contains("bytes from") || !line.contains("time=") {
        return None;
    }
    let rest = line.split("icmp_seq=").nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn summary(output: &str) -> Result<(u32, u32)> {
    let line = output
        .lines()
        .find(|line| line.contains("packets transmitted"))
        .with_context(|| format!("ping did not sum up:\n{output}"))?;
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(sent), Some(received)) => Ok((sent, received)),
        _ => bail!("cannot read {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(answered: &[u32], sent: u32) -> String {
        let mut text = String::from("PING 10.77.2.1 (10.77.2.1) 56(84) bytes of data.\n");
        for number in answered {
            text.push_str(&format!("64 bytes from 10.77.2.1: icmp_seq={number} ttl=64 time=0.3 ms\n"));
        }
        text.push_str("From 10.77.0.1 icmp_seq=4 Destination Net Unreachable\n");
        text.push_str(&format!(
            "{sent} packets transmitted, {} received, +1 errors, time 9ms\n",
            answered.len()
        ));
        text
    }

    #[test]
    fn a_gap_in_the_answers_is_lost() {
        let tally = interrupted(&output(&[1, 2, 5, 6], 6), 10).unwrap();
        assert_eq!(tally, Tally { sent: 6, lost: 2 });
    }

    #[test]
    fn requests_under_way_at_the_end_are_not_lost_but_a_silent_end_is() {
        assert_eq!(interrupted(&output(&[1, 2, 3], 5), 2).unwrap().lost, 0);
        assert_eq!(interrupted(&output(&[1, 2, 3], 50), 2).unwrap().lost, 47);
    }

    #[test]
    fn without_any_answer_everything_is_lost() {
        assert_eq!(interrupted(&output(&[], 50), 2).unwrap().lost, 50);
        assert_eq!(finished(&output(&[], 5), 5).unwrap().lost, 5);
    }

    #[test]
    fn requests_beyond_the_count_only_give_the_others_time() {
        assert_eq!(finished(&output(&[1, 3, 2], 9), 3).unwrap(), Tally { sent: 3, lost: 0 });
        assert_eq!(finished(&output(&[1, 3, 4, 5], 9), 3).unwrap(), Tally { sent: 3, lost: 1 });
    }
}
