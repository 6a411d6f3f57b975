//! What stands before the program in the world: TLS, under any name.

use std::net::SocketAddr;
use std::path::Path;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::tls;

/// Speaks TLS on a port of its own, and passes on what comes; stops when dropped.
pub struct Front {
    pub at: SocketAddr,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Front {
    /// Passes on to `target`.
    pub fn before(target: SocketAddr) -> Front {
        let folder = tempfile::tempdir().unwrap();
        let (_, acceptor) = tls::certificate(folder.path() as &Path, "DNS:*.example", false);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(socket).await else { return };
                    let Ok(mut inside) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Front { at, _runtime: runtime, _folder: folder }
    }
}
