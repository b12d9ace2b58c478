//! Talking to a running gateway: one JSON request per line over a Unix socket, one JSON answer per line.
//!
//! ```text
//! {"command":"status"}                 {"ok":true,"status":{"tunnels":[...],"drops":{}}}
//! {"command":"up","tunnel":"net"}      {"ok":true}
//! {"command":"down","tunnel":"nat"}    {"ok":false,"error":"there is no tunnel \"nat\"; did you mean \"net\"?"}
//! ```
//!
//! Only the socket's owner may connect (mode 0600): whoever can, can take tunnels down.

mod client;
mod server;

use serde::{Deserialize, Serialize};

use crate::status::Status;

pub use client::{ControlError, ask};
pub use server::{Call, Server};

/// The longest request or answer, in octets.
const LONGEST_LINE: u64 = 16 << 20;

/// What a running gateway can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How everything is.
    Status,
    /// Bring a tunnel up.
    Up {
        /// Its name.
        tunnel: String,
    },
    /// Take a tunnel down and leave it down.
    Down {
        /// Its name.
        tunnel: String,
    },
    /// Negotiate new keys.
    Rekey {
        /// The tunnel's name.
        tunnel: String,
        /// The IKE SA's keys rather than those of the child SAs.
        #[serde(default)]
        ike: bool,
    },
    /// Read the configuration again.
    Reload,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer to [`Request::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

impl Response {
    /// It was done.
    #[must_use]
    pub fn done() -> Self {
        Self { ok: true, error: None, status: None }
    }

    /// It was not done, and why.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self { ok: false, error: Some(error.into()), status: None }
    }

    /// Everything as it is now.
    #[must_use]
    pub fn status(status: Status) -> Self {
        Self { ok: true, error: None, status: Some(status) }
    }
}

#[cfg(test)]
mod tests;
