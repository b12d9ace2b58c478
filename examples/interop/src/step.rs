//! The steps of a scenario.

use serde::Deserialize;

use crate::scenario::Side;

/// What a rekey or a deletion concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SaKind {
    Ike,
    Child,
}

/// How packets must have crossed the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wire {
    /// IP protocol 50.
    Esp,
    /// UDP port 4500.
    EspInUdp,
    /// IP protocol 51.
    Ah,
}

/// One thing to do or to check. Times are milliseconds unless the name says seconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Step {
    /// The initiator starts, and both ends have the tunnel.
    Up {
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// The initiator starts; nobody waits.
    Start,
    /// Both ends come to have the tunnel.
    WaitUp {
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// One end comes to have no tunnel.
    WaitDown {
        on: Side,
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// Echo requests through the tunnel; the answering end's Child SA must have counted them.
    Ping {
        #[serde(default = "default_count")]
        count: u32,
        #[serde(default = "default_interval")]
        interval: u32,
        #[serde(default = "default_size")]
        size: u32,
        #[serde(default)]
        max_lost: u32,
        #[serde(default = "us")]
        from: Side,
        /// Other addresses than the ends' inner ones.
        #[serde(default)]
        between: Option<(String, String)>,
    },
    /// Echo requests in the background until `flood-end`.
    Flood {
        #[serde(default = "default_flood")]
        interval: u32,
    },
    /// Ends the background echo requests and counts what was lost.
    FloodEnd {
        #[serde(default)]
        max_lost: u32,
        /// The peer answers a rekey before its kernel knows the new SA, so a request may be ahead of it. What the
        /// peer's kernel says it dropped for want of an SA is the peer's loss then.
        #[serde(default)]
        peer_answers_early: bool,
    },
    /// One end rekeys, and both ends come to have other SPIs and no SA too many.
    Rekey {
        what: SaKind,
        by: Side,
    },
    /// Both ends rekey at the same moment, and both come to agree on one SA.
    RekeyBoth {
        what: SaKind,
    },
    /// One end deletes the IKE SA, and both ends come to have none, unless one is to come back.
    Delete {
        by: Side,
        #[serde(default)]
        comes_back: bool,
    },
    /// Kills a daemon without a farewell.
    Kill {
        who: Side,
    },
    /// Asks a daemon to leave and waits until it has.
    Stop {
        who: Side,
    },
    /// Starts a daemon that was killed or stopped.
    Restart {
        who: Side,
    },
    /// Takes the wire away or gives it back.
    Link {
        up: bool,
    },
    Sleep {
        ms: u64,
    },
    /// The end has exactly so many SAs.
    ExpectSas {
        on: Side,
        ike: usize,
        child: usize,
    },
    /// A text that appears in the daemon's log since the scenario began.
    ExpectLog {
        who: Side,
        contains: Vec<String>,
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// What our status names as the cause of the failure; every text must be in it.
    ExpectCause {
        contains: Vec<String>,
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// A value in our status, by path with dots.
    ExpectStatus {
        path: String,
        value: toml::Value,
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// A number in our status that grows to at least the value.
    ExpectStatusAtLeast {
        path: String,
        value: u64,
        #[serde(default = "default_timeout")]
        seconds: u64,
    },
    /// Our status names exactly the scenario's proposals as what was chosen.
    ExpectSuite,
    /// How our packets crossed the wire so far.
    ExpectWire {
        kind: Wire,
    },
    /// Nothing that should be protected left an end in clear.
    NoLeaks,
    /// Makes a half-open IKE SA on the peer, so that it asks the next initiator for a cookie.
    HalfOpen,
    /// `ike-scan` at the peer's end probes ours with IKEv1.
    IkeScan {
        /// With aggressive mode instead of main mode.
        #[serde(default)]
        aggressive: bool,
        /// Probes, each with cookies of its own, which are left half open.
        #[serde(default = "one")]
        count: u32,
        /// How many must be answered, at least and at most.
        answered: (u32, u32),
    },
}

impl Step {
    /// Whether the step asks our gateway something that only it can answer.
    pub(crate) fn is_about_our_gateway(&self) -> bool {
        matches!(
            self,
            Step::ExpectCause { .. }
                | Step::ExpectStatus { .. }
                | Step::ExpectStatusAtLeast { .. }
                | Step::ExpectSuite
                | Step::ExpectWire { .. }
                | Step::ExpectLog { who: Side::Us, .. }
        )
    }
}

fn one() -> u32 {
    1
}

fn default_timeout() -> u64 {
    15
}

fn default_count() -> u32 {
    5
}

fn default_interval() -> u32 {
    10
}

fn default_flood() -> u32 {
    5
}

fn default_size() -> u32 {
    56
}

fn us() -> Side {
    Side::Us
}
