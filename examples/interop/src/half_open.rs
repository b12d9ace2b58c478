//! An initiator that never comes back: it leaves a half-open IKE SA on the responder.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Sends one valid IKE_SA_INIT (AES-CBC-128, SHA-256, MODP-2048) and waits for the answer.
pub(crate) fn leave_one(responder: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((responder, 500))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(&request()?)?;
    let mut buffer = [0u8; 2048];
    let length = socket.recv(&mut buffer).context("the responder does not answer an IKE_SA_INIT")?;
    match buffer.get(..length).and_then(|answer| answer.get(16)) {
        // Next payload SA: it has chosen, and now waits for an IKE_AUTH.
        Some(33) => Ok(()),
        other => bail!("the responder answered with payload {other:?}, not with its choice"),
    }
}

fn request() -> Result<Vec<u8>> {
    // Three transforms with their fixed ids, and the cipher with its key length.
    let transforms: &[&[u8]] = &[
        &[3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 0, 128],
        &[3, 0, 0, 8, 2, 0, 0, 5],
        &[3, 0, 0, 8, 3, 0, 0, 12],
        &[0, 0, 0, 8, 4, 0, 0, 14],
    ];
    let transforms = transforms.concat();
    let mut proposal = vec![0, 0];
    proposal.extend(u16::try_from(transforms.len() + 8)?.to_be_bytes());
    proposal.extend([1, 1, 0, 4]);
    proposal.extend(transforms);
    let mut key_exchange = vec![0, 14, 0, 0];
    // Any number between 2 and p - 2 is a public value of the group.
    key_exchange.extend([0x42; 256]);
    let payloads: [(u8, Vec<u8>); 3] = [(34, proposal), (40, key_exchange), (0, vec![0x17; 32])];
    let mut body = Vec::new();
    for (next, content) in payloads {
        body.extend([next, 0]);
        body.extend(u16::try_from(content.len() + 4)?.to_be_bytes());
        body.extend(content);
    }
    let mut message = Vec::from(*b"halfopen");
    message.extend([0; 8]);
    message.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0]);
    message.extend(u32::try_from(body.len() + 28)?.to_be_bytes());
    message.extend(body);
    Ok(message)
}
