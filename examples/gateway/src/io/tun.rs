//! The TUN device, through tun-rs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tun_rs::{DeviceBuilder, SyncDevice};

use super::{PacketBatch, PacketIo};

/// One TUN device; it vanishes, with its addresses and routes, when this is dropped.
pub struct Tun {
    device: SyncDevice,
    name: String,
}

impl Tun {
    /// Creates a device. This needs `CAP_NET_ADMIN` and `/dev/net/tun`.
    ///
    /// # Errors
    /// Those of the system, among them that the name is taken.
    pub fn create(name: &str) -> io::Result<Self> {
        // Addresses, MTU and the up flag are set through netlink, with the routes.
        let device = DeviceBuilder::new().name(name).enable(false).build_sync()?;
        device.set_nonblocking(true)?;
        let name = device.name()?;
        Ok(Self { device, name })
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PacketIo for Tun {
    fn receive(&mut self, into: &mut PacketBatch) -> io::Result<usize> {
        into.clear();
        loop {
            match into.fill(|room| self.device.recv(room)) {
                Ok(true) => {}
                Ok(false) => return Ok(into.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(into.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was read before the device failed is still good; the next call tells of the failure.
                Err(_) if !into.is_empty() => return Ok(into.len()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.device.send(packet).map(drop)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
