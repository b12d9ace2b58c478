//! Requests to the kernel's routing tables and their answers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A connection to the kernel.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    /// What the kernel calls us, in what it tells others of our requests.
    port: u32,
}

/// A connection over which the kernel tells of changes.
pub(super) struct Changes(Socket);

impl Changes {
    /// Hears of changes of links, and of IPv4 and IPv6 addresses, routes and rules (`RTNLGRP_*`).
    pub(super) fn connect() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in [1, 5, 7, 8, 9, 11, 19] {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Shows every change that has happened meanwhile to `concerns`, with the port of whoever asked for it;
    /// says whether one of them did. If there were too many to tell, one may have.
    pub(super) fn drain(&mut self, concerns: impl Fn(u32, &RouteNetlinkMessage) -> bool) -> bool {
        let mut found = false;
        loop {
            match self.0.recv_from_full() {
                Ok((received, _)) => found |= Self::shows(&received, &concerns),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return found,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    fn shows(received: &[u8], concerns: impl Fn(u32, &RouteNetlinkMessage) -> bool) -> bool {
        let mut rest = received;
        while !rest.is_empty() {
            // What this library does not understand is no route or rule of ours.
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) else { return false };
            let length = usize::try_from(message.header.length).unwrap_or(0).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
            if let NetlinkPayload::InnerMessage(inner) = message.payload
                && concerns(message.header.port_number, &inner)
            {
                return true;
            }
        }
        false
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Netlink {
    pub(super) fn connect() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, port })
    }

    /// What the kernel calls us.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// Changes something that exists, or removes it.
    pub(super) fn change(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_ACK).map(drop)
    }

    /// Adds something, in place of what is there with the same key.
    pub(super) fn add(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }

    /// Lists everything of a kind.
    pub(super) fn list(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.request(message, NLM_F_DUMP)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.socket.send(&octets, 0)?;

        let mut found = Vec::new();
        loop {
            let (received, _) = self.socket.recv_from_full()?;
            let mut rest = received.as_slice();
            while !rest.is_empty() {
                let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::other(format!("netlink answer: {error}")))?;
                // Messages are padded to four octets.
                let length = usize::try_from(answer.header.length).unwrap_or(0).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                if let NetlinkPayload::Error(error) = answer.payload {
                    return error.code.map_or(Ok(found), |_| Err(error.to_io()));
                }
                if let NetlinkPayload::Done(_) = answer.payload {
                    return Ok(found);
                }
                if let NetlinkPayload::InnerMessage(inner) = answer.payload {
                    found.push(inner);
                }
            }
        }
    }
}
