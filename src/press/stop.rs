//! Ending in good order.

use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// Says once, to all who hold it, that it is time to end. What is on the wire is finished, nothing new begun.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::channel(false).0))
    }
}

impl Stop {
    /// One that SIGINT and SIGTERM set.
    ///
    /// # Errors
    /// Where the system gives no signals.
    pub fn on_signals() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let stop = Stop::default();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let set = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            set.set();
        });
        Ok(stop)
    }

    /// It is time to end.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes back when it is.
    pub async fn wait(&self) {
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }
}
