//! Writes the mails of what was claimed, before a line takes them.
//!
//! A mail that is not signed, or was signed ahead, takes some microseconds, and is written where it is asked for. One that has to
//! be signed takes longer than all the rest of it together: on the thread that drives the connections every line would wait for
//! that. So these are written on all cores, by threads that give way to those that send.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use rayon::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use super::End;
use super::course::Course;
use super::queue::Queue;
use crate::delivery::Claimed;
use crate::error::{Failure, Kind};
use crate::mail::Mail;

/// Mails that take longer than so are not written on the thread that drives the connections.
const COSTLY: Duration = Duration::from_micros(30);
/// Costly batches that are written at once: while the last mails of one are signed, no core is idle.
const BATCHES: usize = 2;

/// A delivery and its mail.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) claimed: Claimed,
    pub(super) mail: Arc<Mail>,
}

/// Those who write.
pub(super) struct Writers<C> {
    compose: Arc<C>,
    threads: rayon::ThreadPool,
}

impl<C> Writers<C>
where
    C: Fn(&Claimed) -> Result<Mail, Failure> + Send + Sync + 'static,
{
    pub(super) fn new(compose: C) -> Result<Self, Failure> {
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|n| format!("writer-{n}"))
            .start_handler(|_| give_way())
            .build()
            .map_err(|e| Failure::new(Kind::Unavailable, "no thread can be started").because(e))?;
        Ok(Writers { compose: Arc::new(compose), threads })
    }

    /// Writes some here and now.
    pub(super) fn write(&self, claimed: Vec<Claimed>) -> Result<Vec<Written>, Failure> {
        claimed.into_iter().map(|one| write(self.compose.as_ref(), one)).collect()
    }

    /// Writes what comes, in its order, into the queue, until nothing more comes. A mail that cannot be written ends everything;
    /// it stays claimed, and is given back at the end.
    pub(super) async fn work<E>(
        &self,
        mut claims: mpsc::UnboundedReceiver<Vec<Claimed>>,
        queue: &Queue<Written>,
        course: &Course<E>,
    ) {
        let hand_over = |written: Result<_, _>| match written {
            Ok(written) => queue.arrived(written),
            Err(why) => course.end(End::Fault(why)),
        };
        let (mut costly, mut under_way, mut more) = (false, FuturesOrdered::new(), true);
        while more || !under_way.is_empty() {
            tokio::select! {
                biased;
                Some(written) = under_way.next() => hand_over(written),
                claimed = claims.recv(), if more && under_way.len() < BATCHES => match claimed {
                    None => more = false,
                    Some(_) if course.halt.is_set() => {}
                    Some(batch) if costly => under_way.push_back(self.share_out(batch)),
                    Some(batch) => {
                        // The least, for any other may have waited for a core.
                        let mut least = None;
                        let written = batch.into_iter().map(|one| {
                            let began = Instant::now();
                            let written = write(self.compose.as_ref(), one);
                            let took = began.elapsed();
                            least = Some(least.map_or(took, |least: Duration| least.min(took)));
                            written
                        });
                        hand_over(written.collect());
                        costly = least.is_some_and(|least| least > COSTLY);
                    }
                },
            }
        }
    }

    /// Writes a batch on all threads.
    fn share_out(&self, batch: Vec<Claimed>) -> impl Future<Output = Result<Vec<Written>, Failure>> {
        let (done, written) = oneshot::channel();
        let compose = Arc::clone(&self.compose);
        self.threads.spawn(move || {
            let each = batch.into_par_iter().with_max_len(1).map(|one| write(compose.as_ref(), one));
            let _ = done.send(each.collect());
        });
        async { written.await.unwrap_or_else(|_| Err(Failure::new(Kind::Bug, "the writing of a mail broke off"))) }
    }
}

fn write(compose: &dyn Fn(&Claimed) -> Result<Mail, Failure>, claimed: Claimed) -> Result<Written, Failure> {
    let mail = Arc::new(compose(&claimed)?);
    Ok(Written { claimed, mail })
}

/// This thread runs where others leave a core to it. Where it may not be told so, it runs as they do.
fn give_way() {
    /// As far behind as `nice` puts a program that is told nothing else.
    #[cfg(target_os = "linux")]
    const NICE: i32 = 10;
    // To Linux, "this process" is this thread (setpriority(2)); elsewhere a priority is the whole process's.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}
