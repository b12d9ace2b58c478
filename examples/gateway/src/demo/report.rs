//! What the demo found.

use std::fmt;
use std::time::Duration;

use super::side::Progress;
use crate::status::octets;

/// The figures at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) ike: String,
    pub(super) esp: String,
    pub(super) mtu: usize,
    pub(super) handshake: Duration,
    pub(super) pings_sent: u32,
    pub(super) ping_times: Vec<Duration>,
    pub(super) moved: u64,
    pub(super) took: Duration,
    pub(super) wrong: u64,
    pub(super) unacknowledged: u64,
    pub(super) child_rekeys: u32,
    pub(super) ike_rekeys: u32,
    pub(super) packets: u64,
    pub(super) lost: u64,
}

impl Report {
    /// The figures of `left`, who sent, and `right`, who received for `took`.
    pub(super) fn new(left: &Progress, right: &Progress, took: Duration) -> Self {
        let (ike, esp, handshake) = left.tunnel.clone().unwrap_or_default();
        let lost =
            |sender: &Progress, receiver: &Progress| sender.packets.0.saturating_sub(receiver.packets.1);
        Self {
            ike,
            esp,
            mtu: left.mtu,
            handshake,
            pings_sent: left.pings.sent,
            ping_times: left.pings.times.clone(),
            moved: right.octets_received,
            took,
            wrong: right.octets_wrong,
            unacknowledged: left.octets_sent.saturating_sub(right.octets_received),
            child_rekeys: left.child_rekeys,
            ike_rekeys: left.ike_rekeys,
            packets: left.packets.0 + right.packets.0,
            lost: lost(left, right) + lost(right, left),
        }
    }

    /// What is not as it should be.
    pub(super) fn complaints(&self) -> Vec<String> {
        let unanswered = u64::from(self.pings_sent).saturating_sub(self.ping_times.len() as u64);
        let checks = [
            (self.lost > 0, format!("{} packets were lost", self.lost)),
            (unanswered > 0, format!("{unanswered} pings were not answered")),
            (self.wrong > 0, format!("{} octets arrived other than they were sent", self.wrong)),
            (self.unacknowledged > 0, format!("{} octets did not arrive", self.unacknowledged)),
            (self.moved == 0, "no data arrived".to_owned()),
            (self.child_rekeys == 0, "the child SA was not rekeyed".to_owned()),
            (self.ike_rekeys == 0, "the IKE SA was not rekeyed".to_owned()),
        ];
        checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: &Duration| time.as_secs_f64() * 1_000.0;
        writeln!(f, "IKE         {}", self.ike)?;
        writeln!(f, "ESP         {}, in UDP, inner MTU {}", self.esp, self.mtu)?;
        writeln!(f, "Handshake   {:.1} ms", millis(&self.handshake))?;
        if let (Some(least), Some(most)) = (self.ping_times.iter().min(), self.ping_times.iter().max()) {
            let sum: Duration = self.ping_times.iter().sum();
            let average = millis(&sum) / self.ping_times.len() as f64;
            writeln!(
                f,
                "RTT         min {:.2}, average {average:.2}, max {:.2} ms, {} of {} pings answered",
                millis(least),
                millis(most),
                self.ping_times.len(),
                self.pings_sent
            )?;
        }
        let megabits = self.moved as f64 * 8.0 / 1e6 / self.took.as_secs_f64().max(0.001);
        writeln!(
            f,
            "Throughput  {megabits:.0} Mbit/s over {:.1} s ({}, every octet checked)",
            self.took.as_secs_f64(),
            octets(self.moved)
        )?;
        writeln!(f, "Rekeys      {} child SA, {} IKE SA, under traffic", self.child_rekeys, self.ike_rekeys)?;
        writeln!(f, "Packets     {} sent, {} lost", self.packets, self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (Progress, Progress) {
        let pings = super::super::host::Pings { sent: 2, times: vec![Duration::from_millis(1); 2] };
        let tunnel = Some(("ike".to_owned(), "esp".to_owned(), Duration::from_millis(3)));
        let side = Progress { child_rekeys: 1, ike_rekeys: 1, ..Progress::default() };
        let left = Progress { tunnel, pings, octets_sent: 9_000, packets: (20, 10), ..side.clone() };
        (left, Progress { octets_received: 9_000, packets: (10, 20), ..side })
    }

    #[test]
    fn a_run_without_loss_has_no_complaints() {
        let (left, right) = good();
        let report = Report::new(&left, &right, Duration::from_secs(2));
        assert_eq!(report.complaints(), Vec::<String>::new());
        let text = report.to_string();
        assert!(text.contains("30 sent, 0 lost") && text.contains("2 of 2 pings"), "{text}");
    }

    #[test]
    fn every_kind_of_loss_is_complained_of() {
        let (mut left, mut right) = good();
        left.packets.0 += 1;
        right.packets.0 += 2;
        left.pings.sent += 1;
        left.octets_sent += 5;
        right.octets_wrong = 4;
        left.child_rekeys = 0;
        let complaints = Report::new(&left, &right, Duration::from_secs(2)).complaints().join("; ");
        for part in ["3 packets", "1 pings", "5 octets did not", "4 octets arrived other", "child SA was not"]
        {
            assert!(complaints.contains(part), "{part:?} is not in {complaints}");
        }
    }
}
