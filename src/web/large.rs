//! Large bodies, sent without being copied: the kernel takes the pages of a file in memory as they are. For half a
//! megabyte, copying is half of the work of an answer.

use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;

/// A smaller body is copied: one system call, and that is faster.
pub(crate) const SMALLEST: usize = 128 * 1_024;

/// So many bodies at most are kept as files in memory, each of which takes a file descriptor. The others are copied.
#[cfg(target_os = "linux")]
const MOST: usize = 100;

/// A large body: its bytes, and the same as a file in memory.
#[derive(Debug)]
pub(crate) struct Large {
    bytes: Bytes,
    #[cfg(target_os = "linux")]
    file: std::os::fd::OwnedFd,
    #[cfg(target_os = "linux")]
    _place: Place,
}

impl Large {
    /// `None`: it is not large, or there are too many, or the system has no such files.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(bytes: &Bytes) -> Option<Arc<Large>> {
        use rustix::fs::{MemfdFlags, memfd_create};
        use std::io::Write as _;
        if bytes.len() < SMALLEST {
            return None;
        }
        let place = Place::take()?;
        let mut file = std::fs::File::from(memfd_create("pressrun", MemfdFlags::CLOEXEC).ok()?);
        file.write_all(bytes).ok()?;
        Some(Arc::new(Large { bytes: bytes.clone(), file: file.into(), _place: place }))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &Bytes) -> Option<Arc<Large>> {
        None
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where in the body this slice begins, if it is the body's rest: the very memory, not equal bytes.
    pub(crate) fn rest(&self, slice: &[u8]) -> Option<usize> {
        let offset = slice.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        (offset.checked_add(slice.len())? == self.bytes.len() && !slice.is_empty()).then_some(offset)
    }

    /// Sends from this offset as much as the socket takes. `WouldBlock` if that is nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn send(&self, socket: &TcpStream, offset: usize) -> io::Result<usize> {
        socket.try_io(tokio::io::Interest::WRITABLE, || {
            let mut from = offset as u64;
            Ok(rustix::fs::sendfile(socket, &self.file, Some(&mut from), self.bytes.len() - offset)?)
        })
    }

    /// Sends what stands before the body, in one packet with the body's beginning.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_head(socket: &TcpStream, head: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        socket.try_io(tokio::io::Interest::WRITABLE, || Ok(send(socket, head, SendFlags::MORE | SendFlags::NOSIGNAL)?))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_head(socket: &TcpStream, head: &[u8]) -> io::Result<usize> {
        socket.try_write(head)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send(&self, socket: &TcpStream, offset: usize) -> io::Result<usize> {
        socket.try_write(self.bytes.get(offset..).unwrap_or_default())
    }
}

/// One of [`MOST`] places; given back when dropped.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Place;

#[cfg(target_os = "linux")]
static TAKEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

#[cfg(target_os = "linux")]
impl Place {
    fn take() -> Option<Place> {
        let place = TAKEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < MOST;
        let taken = Place;
        // Dropping it gives the place back that was counted in vain.
        place.then_some(taken)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_slice_is_the_rest_of_a_body_only_if_it_is_its_memory() {
        assert!(Large::of(&vec![0; SMALLEST - 1].into()).is_none());
        let large = Large::of(&vec![0; SMALLEST].into()).unwrap();
        let bytes = large.bytes().clone();
        assert_eq!(large.rest(&bytes), Some(0));
        assert_eq!(large.rest(&bytes[100..]), Some(100));
        assert_eq!(large.rest(&bytes[..100]), None, "not to its end");
        assert_eq!(large.rest(&vec![0; SMALLEST]), None, "equal bytes elsewhere");
        assert_eq!(large.rest(&[]), None);
    }
}
