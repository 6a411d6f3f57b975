//! Large bodies, sent without being copied: the kernel takes the pages of a file as they lie in its memory. For half a
//! megabyte, copying is half of the work of an answer.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;

use crate::stamp::Stamp;

/// A smaller body is copied: one system call less, and that is as fast.
pub(crate) const SMALLEST: usize = 16 * 1_024;

/// So many bodies at most are kept as open files. The others are copied.
pub(crate) const MOST: usize = 256;

/// A large body: its bytes, and the same as an open file.
#[derive(Debug)]
pub(crate) struct Large {
    bytes: Bytes,
    file: File,
    /// What the file was like when it was read; `None`: it is our own, and nobody else can write into it.
    stamp: Option<Stamp>,
    _place: Place,
}

impl Large {
    /// The body as it lies at this path on disk. `None`: it is not large, or there are too many, or what lies there is not
    /// what was read.
    ///
    /// A file that is replaced, as the builder does it, leaves this one as it is for as long as it is open.
    pub(crate) fn on_disk(bytes: &Bytes, path: &Path, stamp: Stamp) -> Option<Arc<Large>> {
        if !cfg!(target_os = "linux") || bytes.len() < SMALLEST {
            return None;
        }
        let place = Place::take()?;
        let file = File::open(path).ok()?;
        let same = Stamp::of(&file.metadata().ok()?) == stamp && stamp.size == bytes.len() as u64;
        same.then(|| Arc::new(Large { bytes: bytes.clone(), file, stamp: Some(stamp), _place: place }))
    }

    /// The body in a file in memory. `None`: it is not large, or there are too many, or the system has no such files.
    ///
    /// The kernel finds the pages of a file on disk faster, in whole batches.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_memory(bytes: &Bytes) -> Option<Arc<Large>> {
        use rustix::fs::{MemfdFlags, memfd_create};
        use std::io::Write as _;
        if bytes.len() < SMALLEST {
            return None;
        }
        let place = Place::take()?;
        let mut file = File::from(memfd_create("pressrun", MemfdFlags::CLOEXEC).ok()?);
        file.write_all(bytes).ok()?;
        Some(Arc::new(Large { bytes: bytes.clone(), file, stamp: None, _place: place }))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn in_memory(_: &Bytes) -> Option<Arc<Large>> {
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

    /// Whether the file still holds the bytes. Somebody may write into it instead of replacing it; then those in our own
    /// memory are the ones that the entity tag is of.
    #[cfg(target_os = "linux")]
    fn is_sound(&self) -> bool {
        let Some(read) = self.stamp else { return true };
        self.file.metadata().is_ok_and(|now| read.same_bytes(&Stamp::of(&now)))
    }

    /// Sends from this offset as much as the socket takes. `WouldBlock` if that is nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn send(&self, socket: &TcpStream, offset: usize) -> io::Result<usize> {
        if !self.is_sound() {
            return socket.try_write(self.bytes.get(offset..).unwrap_or_default());
        }
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
#[derive(Debug)]
struct Place;

static TAKEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Place> {
        let place = TAKEN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < MOST;
        let taken = Place;
        // Dropping it gives the place back that was counted in vain.
        place.then_some(taken)
    }
}

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
        assert!(Large::in_memory(&vec![0; SMALLEST - 1].into()).is_none());
        let large = Large::in_memory(&vec![0; SMALLEST].into()).unwrap();
        let bytes = large.bytes().clone();
        assert_eq!(large.rest(&bytes), Some(0));
        assert_eq!(large.rest(&bytes[100..]), Some(100));
        assert_eq!(large.rest(&bytes[..100]), None, "not to its end");
        assert_eq!(large.rest(&vec![0; SMALLEST]), None, "equal bytes elsewhere");
        assert_eq!(large.rest(&[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_is_good_until_somebody_writes_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rss.xml");
        let bytes = Bytes::from(vec![b'a'; SMALLEST]);
        std::fs::write(&path, &bytes).unwrap();
        let stamp = Stamp::of(&path.metadata().unwrap());
        let large = Large::on_disk(&bytes, &path, stamp).unwrap();
        std::fs::hard_link(&path, folder.path().join("backup.xml")).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(large.is_sound(), "replaced, removed, linked: its bytes are there");
        assert!(Large::on_disk(&bytes, &path, stamp).is_none(), "there is no such file");
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(folder.path().join("backup.xml"), vec![b'b'; SMALLEST]).unwrap();
        assert!(!large.is_sound(), "written into");
        assert!(Large::on_disk(&bytes, &folder.path().join("backup.xml"), stamp).is_none(), "not what was read");
    }
}
