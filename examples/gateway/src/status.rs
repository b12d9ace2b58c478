//! What the gateway tells about itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Everything, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// One entry per configured tunnel, in the order of the file.
    pub tunnels: Vec<TunnelStatus>,
    /// Packets and messages that were dropped, by reason; reasons that never occurred are left out.
    pub drops: BTreeMap<String, u64>,
}

/// One tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Why it is not up, as far as known.
    pub cause: Option<String>,
    /// Attempts since it was last up.
    pub retries: u32,
    /// The IKE SA, if there is one.
    pub ike: Option<IkeStatus>,
    /// Child SAs, the newest first: after a rekey, the one it replaced stays listed for a moment.
    pub children: Vec<ChildStatus>,
}

/// How a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has an IKE SA and a child SA.
    Up,
    /// It is being negotiated, or will be tried again soon.
    Connecting,
    /// It was taken down and stays so.
    Down,
    /// It waits for the peer or for traffic.
    Waiting,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Connecting => "connecting",
            Self::Down => "down",
            Self::Waiting => "waiting",
        }
    }
}

/// One IKE SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeStatus {
    /// 1 or 2.
    pub version: u8,
    /// Of IKEv1, how phase 1 is done: `main` or `aggressive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase1: Option<String>,
    /// Of IKEv1, the user of XAUTH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xauth_user: Option<String>,
    /// The initiator's SPI, in hex.
    pub spi_i: String,
    /// The responder's SPI, in hex.
    pub spi_r: String,
    /// The algorithms, in keywords.
    pub suite: String,
    /// Our address and port.
    pub local: String,
    /// The peer's address and port.
    pub remote: String,
    /// Whether we initiated.
    pub initiator: bool,
    /// Seconds since it was negotiated.
    pub age_s: u64,
    /// Whether a NAT is in front of us.
    pub nat_local: bool,
    /// Whether a NAT is in front of the peer.
    pub nat_remote: bool,
    /// Whether ESP travels in UDP.
    pub encap: bool,
    /// How often it was rekeyed.
    pub rekeys: u32,
}

/// One child SA, both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStatus {
    /// Its name.
    pub name: String,
    /// `tunnel` or `transport`.
    pub mode: String,
    /// `esp` or `ah`.
    pub protocol: String,
    /// Our SPI, in hex.
    pub spi_in: String,
    /// The peer's SPI, in hex.
    pub spi_out: String,
    /// The algorithms, in keywords.
    pub suite: String,
    /// Traffic on our side.
    pub local_ts: Vec<String>,
    /// Traffic on the peer's side.
    pub remote_ts: Vec<String>,
    /// Octets received.
    pub bytes_in: u64,
    /// Octets sent.
    pub bytes_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Received packets that were dropped, by reason.
    #[serde(default)]
    pub drops_in: BTreeMap<String, u64>,
    /// Packets to be sent that were dropped, by reason.
    #[serde(default)]
    pub drops_out: BTreeMap<String, u64>,
    /// The largest packet that goes in without fragments.
    pub mtu: u16,
    /// How often it was rekeyed.
    pub rekeys: u32,
}

impl Status {
    /// The status for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.tunnels.iter().map(|tunnel| tunnel.name.chars().count()).max().unwrap_or(0);
        for tunnel in &self.tunnels {
            // Writing to a String cannot fail.
            let _ = tunnel.write(&mut text, width);
        }
        if self.tunnels.is_empty() {
            text.push_str("no tunnels are configured\n");
        }
        for (reason, count) in &self.drops {
            let _ = writeln!(text, "dropped {count:>8}  {reason}");
        }
        text
    }
}

impl TunnelStatus {
    fn write(&self, text: &mut String, width: usize) -> std::fmt::Result {
        write!(text, "{:<width$}  {:<10}", self.name, self.state.word())?;
        if let Some(ike) = &self.ike {
            let role = if ike.initiator { "to" } else { "from" };
            let nat = match (ike.nat_local, ike.nat_remote) {
                (false, false) => "",
                (true, false) => "  NAT here",
                (false, true) => "  NAT there",
                (true, true) => "  NAT on both sides",
            };
            let age = humantime::format_duration(std::time::Duration::from_secs(ike.age_s));
            write!(text, "  {} {role} {}  {}  {age}{nat}", ike.local, ike.remote, ike.suite)?;
            if let Some(mode) = &ike.phase1 {
                write!(text, "  IKEv1 {mode} mode")?;
            }
            if let Some(user) = &ike.xauth_user {
                // Whatever a peer called itself; it must not write to the terminal.
                write!(text, "  user {user:?}")?;
            }
        }
        if self.retries > 0 {
            write!(text, "  {} attempts", self.retries)?;
        }
        text.push('\n');
        if let Some(cause) = &self.cause {
            writeln!(text, "{:width$}    {cause}", "")?;
        }
        for child in &self.children {
            let (local, remote) = (child.local_ts.join(","), child.remote_ts.join(","));
            writeln!(text, "{:width$}    {} {}  {local} === {remote}", "", child.protocol, child.mode)?;
            writeln!(
                text,
                "{:width$}      in {}: {} in {} packets, out {}: {} in {} packets",
                "",
                child.spi_in,
                octets(child.bytes_in),
                child.packets_in,
                child.spi_out,
                octets(child.bytes_out),
                child.packets_out
            )?;
            writeln!(text, "{:width$}      {}, MTU {}, {} rekeys", "", child.suite, child.mtu, child.rekeys)?;
        }
        Ok(())
    }
}

/// An amount as a person says it.
#[must_use]
pub fn octets(count: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size / (size / 10)),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tunnel that is up.
    pub(crate) fn example() -> Status {
        let ike = IkeStatus {
            version: 2,
            phase1: None,
            xauth_user: None,
            spi_i: "0011223344556677".to_owned(),
            spi_r: "8899aabbccddeeff".to_owned(),
            suite: "aes128-sha256-modp2048".to_owned(),
            local: "192.0.2.1:4500".to_owned(),
            remote: "192.0.2.2:4500".to_owned(),
            initiator: true,
            age_s: 4_205,
            nat_local: false,
            nat_remote: true,
            encap: true,
            rekeys: 1,
        };
        let child = ChildStatus {
            name: "net".to_owned(),
            mode: "tunnel".to_owned(),
            protocol: "esp".to_owned(),
            spi_in: "c0ffee01".to_owned(),
            spi_out: "decade02".to_owned(),
            suite: "aes128-sha1".to_owned(),
            local_ts: vec!["10.1.0.0/24".to_owned()],
            remote_ts: vec!["10.2.0.0/24".to_owned()],
            bytes_in: 1_234_567,
            bytes_out: 999,
            packets_in: 1_000,
            packets_out: 9,
            drops_in: BTreeMap::new(),
            drops_out: BTreeMap::new(),
            mtu: 1_422,
            rekeys: 3,
        };
        let name = "net".to_owned();
        let up = TunnelStatus {
            name,
            state: State::Up,
            cause: None,
            retries: 0,
            ike: Some(ike),
            children: vec![child],
        };
        let down = TunnelStatus {
            name: "other".to_owned(),
            state: State::Connecting,
            cause: Some("192.0.2.9 does not answer".to_owned()),
            retries: 4,
            ike: None,
            children: Vec::new(),
        };
        Status { tunnels: vec![up, down], drops: BTreeMap::from([("esp: replay".to_owned(), 2)]) }
    }

    #[test]
    fn the_table_says_what_a_person_wants_to_know() {
        let expected = "\
net    up          192.0.2.1:4500 to 192.0.2.2:4500  aes128-sha256-modp2048  1h 10m 5s  NAT there
         esp tunnel  10.1.0.0/24 === 10.2.0.0/24
           in c0ffee01: 1.2 MB in 1000 packets, out decade02: 999 B in 9 packets
           aes128-sha1, MTU 1422, 3 rekeys
other  connecting  4 attempts
         192.0.2.9 does not answer
dropped        2  esp: replay
";
        assert_eq!(example().table(), expected);
        assert_eq!(Status::default().table(), "no tunnels are configured\n");
    }

    #[test]
    fn what_ikev1_has_besides_is_in_the_table() {
        let mut status = example();
        status.tunnels.truncate(1);
        if let Some(ike) = &mut status.tunnels[0].ike {
            ike.version = 1;
            ike.phase1 = Some("aggressive".to_owned());
            ike.xauth_user = Some("alice\x1b[31m".to_owned());
        }
        let table = status.table();
        let (line, _) = table.split_once('\n').unwrap();
        assert!(line.ends_with("NAT there  IKEv1 aggressive mode  user \"alice\\u{1b}[31m\""), "{line}");
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_rely_on() {
        let json: serde_json::Value = serde_json::to_value(example()).unwrap();
        assert_eq!(json["tunnels"][0]["state"], "up");
        assert_eq!(json["tunnels"][0]["cause"], serde_json::Value::Null);
        assert_eq!(json["tunnels"][0]["ike"]["spi_r"], "8899aabbccddeeff");
        assert_eq!(json["tunnels"][0]["children"][0]["remote_ts"][0], "10.2.0.0/24");
        assert_eq!(json["tunnels"][1]["ike"], serde_json::Value::Null);
        assert_eq!(json["drops"]["esp: replay"], 2);
    }
}
