//! Whoever comes while nobody writes, writes for all.
//!
//! A durable commit costs a flush of the disk, whatever is in it. So jobs queue up, and all that wait go into one transaction. A
//! job runs in a savepoint, so a failing one leaves nothing behind and does not disturb the others; each is answered after the
//! commit. A savepoint costs a copy of every page that the job changes, so the steps of the press go without: they fail only
//! where the database does.
//!
//! There is no thread that writes. On a runtime of one thread the transaction runs on that thread: what the press does meanwhile
//! is wait for this very flush, and no core is woken for it (decision 27). On a runtime of several it runs apart, for there others
//! are served meanwhile.

use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::store::StoreError;

/// Jobs in one transaction, at most: a bound of how long the first of them waits.
const GROUP: usize = 512;
/// Where several share a transaction, the next is held back for this part of the time which that one took, so that more can join
/// it: a flush costs the processor and the disk the same, whatever is in it. A lone writer waits for nobody.
const GATHER: u32 = 2;
/// It is never held back longer.
const GATHER_MOST: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct Writer(Arc<Desk>);

/// Where jobs wait, and the connection that writes them.
#[derive(Debug)]
struct Desk {
    /// Until it is closed.
    db: Mutex<Option<Connection>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    /// Somebody writes, or is about to.
    taken: bool,
    /// One of the jobs waits for others, so it must not keep a thread from them.
    apart: bool,
}

/// How a job is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Its failure is its own.
    Guarded,
    /// The same, on a thread that nobody else needs.
    Apart,
    /// Its failure is everybody's.
    Unguarded,
}

/// One unit of writing: everything of it is in the ledger, or nothing.
trait Job: Send {
    /// Answers whether its writes shall stay.
    fn run(&mut self, db: &Connection) -> Result<(), StoreError>;
    fn manner(&self) -> Manner;
    /// Tells the caller, who may have gone.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    manner: Manner,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, db: &Connection) -> Result<(), StoreError> {
        match self.result.insert(self.work.take().ok_or(StoreError::Stopped).and_then(|work| work(db))) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        }
    }

    fn manner(&self) -> Manner {
        self.manner
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (self.result, commit) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (Some(Ok(_)) | None, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Stopped),
        };
        let _ = self.reply.send(result);
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(db: Connection) -> Self {
        Writer(Arc::new(Desk { db: Mutex::new(Some(db)), waiting: Mutex::default() }))
    }

    /// Runs `work` in a transaction; answers when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(work, Manner::Guarded).await
    }

    /// As [`Writer::write`], for `work` that itself waits for somebody: on a thread that nobody else needs.
    pub(super) async fn write_apart<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(work, Manner::Apart).await
    }

    /// As [`Writer::write`], quicker: where `work` fails, so does everything that shares its transaction.
    pub(super) async fn write_unguarded<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(work, Manner::Unguarded).await
    }

    async fn queue<T, F>(&self, work: F, manner: Manner) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        if let Some(mut turn) = self.0.put(Box::new(Task { work: Some(work), manner, result: None, reply })) {
            // Whoever is ready now can still join.
            tokio::task::yield_now().await;
            let runtime = Handle::current();
            turn.apart = self.0.waiting().apart || runtime.runtime_flavor() != RuntimeFlavor::CurrentThread;
            if turn.apart {
                runtime.spawn_blocking(|| drop(turn));
            } else {
                drop(turn);
            }
        }
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever has the turn may not have gone yet, and would keep the file open a little longer.
        self.0.write(false);
        self.0.db().take();
    }
}

/// The duty to write whatever waits, which is done when this is dropped: also where its owner goes away early, so that nobody
/// waits in vain.
struct Turn {
    desk: Arc<Desk>,
    /// Others can put jobs there meanwhile.
    apart: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.desk.write(self.apart);
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays a job there, and gives its owner the turn where nobody has it.
    fn put(self: &Arc<Self>, job: Box<dyn Job>) -> Option<Turn> {
        let mut waiting = self.waiting();
        waiting.apart |= job.manner() == Manner::Apart;
        waiting.jobs.push_back(job);
        let taken = std::mem::replace(&mut waiting.taken, true);
        (!taken).then(|| Turn { desk: Arc::clone(self), apart: false })
    }

    /// The next job; where there is none, the turn is over.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut waiting = self.waiting();
        let next = waiting.jobs.pop_front();
        if next.is_none() {
            (waiting.taken, waiting.apart) = (false, false);
        }
        next
    }

    fn db(&self) -> MutexGuard<'_, Option<Connection>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until nothing waits.
    fn write(&self, gather: bool) {
        let db = self.db();
        while let Some(first) = self.next() {
            let Some(db) = db.as_ref() else {
                first.answer(Err(StoreError::Stopped));
                continue;
            };
            let began = Instant::now();
            if self.group(db, first) > 1 && gather {
                std::thread::sleep((began.elapsed() / GATHER).min(GATHER_MOST));
            }
        }
    }

    /// One transaction with all jobs that wait. Answers how many they were.
    fn group(&self, db: &Connection, first: Box<dyn Job>) -> usize {
        let mut jobs = vec![];
        let mut next = Some(first);
        let mut fate = step(db, "BEGIN IMMEDIATE");
        // Where another program has the lock, each would wait as long for it, one after the other.
        let locked = fate.is_err();
        while let Some(mut job) = next {
            if fate.is_ok() {
                fate = run(db, job.as_mut());
            }
            jobs.push(job);
            let more = (locked || fate.is_ok()) && jobs.len() < GROUP;
            next = if more { self.waiting().jobs.pop_front() } else { None };
        }
        if fate.is_ok() {
            fate = step(db, "COMMIT");
        }
        if fate.is_err() && !db.is_autocommit() {
            let _ = step(db, "ROLLBACK");
        }
        let size = jobs.len();
        for job in jobs {
            job.answer(fate.clone());
        }
        size
    }
}

/// One job, in its savepoint where it is guarded. An error is the whole group's.
fn run(db: &Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    let guarded = job.manner() != Manner::Unguarded;
    if guarded {
        step(db, "SAVEPOINT job")?;
    }
    let done = catch_unwind(AssertUnwindSafe(|| job.run(db))).unwrap_or(Err(StoreError::Stopped));
    // SQLite itself has rolled the transaction back.
    if db.is_autocommit() {
        return Err(StoreError::DiskFull);
    }
    if !guarded {
        return done;
    }
    if done.is_err() {
        step(db, "ROLLBACK TO job")?;
    }
    step(db, "RELEASE job")
}

fn step(db: &Connection, sql: &str) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn writer() -> Arc<Writer> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
        Arc::new(Writer::new(db))
    }

    async fn count(writer: &Writer) -> i64 {
        writer.write(|db| Ok(db.query_row("SELECT count(*) FROM t", [], |r| r.get(0))?)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_job_leaves_nothing_and_disturbs_nobody() {
        let writer = writer();
        let jobs: Vec<_> = (0..200)
            .map(|n| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    writer
                        .write(move |db| {
                            db.execute("INSERT INTO t VALUES (?1)", [n])?;
                            if n % 3 == 0 { Err(StoreError::Damaged(n.to_string())) } else { Ok(n) }
                        })
                        .await
                })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            let said = job.await.unwrap();
            assert_eq!(said.is_err(), n % 3 == 0);
        }
        assert_eq!(count(&writer).await, 133);
    }

    fn insert(n: i64, sound: bool) -> impl FnOnce(&Connection) -> Result<(), StoreError> + Send {
        move |db| {
            db.execute("INSERT INTO t VALUES (?1)", [n])?;
            if sound { Ok(()) } else { Err(StoreError::Damaged("so".to_owned())) }
        }
    }

    #[tokio::test]
    async fn on_one_thread_all_who_are_ready_share_a_transaction() {
        let writer = writer();
        let (a, b, c) = tokio::join!(
            writer.write(insert(1, true)),
            writer.write(insert(2, true)),
            writer.write_unguarded(insert(3, false)),
        );
        let failed = StoreError::Damaged("so".to_owned());
        assert_eq!((a, b, c), (Err(failed.clone()), Err(failed.clone()), Err(failed)));
        assert_eq!(count(&writer).await, 0);
    }

    #[tokio::test]
    async fn a_lock_of_another_program_is_waited_for_once_for_all() {
        static WAITS: AtomicUsize = AtomicUsize::new(0);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.sqlite");
        let other = Connection::open(&file).unwrap();
        other.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY); BEGIN IMMEDIATE").unwrap();
        let mut db = Connection::open(&file).unwrap();
        db.busy_handler(Some(|_| {
            WAITS.fetch_add(1, Ordering::Relaxed);
            false
        }))
        .unwrap();
        let writer = Writer::new(db);
        let said = tokio::join!(
            writer.write(insert(1, true)),
            writer.write_unguarded(insert(2, true)),
            writer.write(insert(3, true))
        );
        assert_eq!(said, (Err(StoreError::Locked), Err(StoreError::Locked), Err(StoreError::Locked)));
        assert_eq!(WAITS.load(Ordering::Relaxed), 1);
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(writer.write(insert(1, true)).await, Ok(()));
    }

    #[tokio::test]
    async fn who_goes_away_with_the_turn_leaves_nobody_waiting() {
        let writer = writer();
        let mut gone = Box::pin(writer.write(insert(1, true)));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        let mut stays = Box::pin(writer.write(insert(2, true)));
        assert!(futures_util::poll!(stays.as_mut()).is_pending());
        drop(gone);
        assert_eq!(stays.await, Ok(()));
        assert_eq!(count(&writer).await, 2);
    }

    #[tokio::test]
    async fn a_job_that_waits_for_others_does_not_keep_their_thread() {
        let writer = writer();
        let (go, wait) = mpsc::channel::<()>();
        let (a, b, c) =
            tokio::join!(writer.write_apart(move |_| Ok(wait.recv().is_ok())), writer.write(insert(1, true)), async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                go.send(())
            },);
        assert_eq!((a, b, c), (Ok(true), Ok(()), Ok(())));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_job_without_a_savepoint_takes_its_whole_group_along() {
        let writer = writer();
        // The first job holds the thread until the two others wait, and so share its group.
        let (go, wait) = mpsc::channel::<()>();
        let (a, b, c, d) = tokio::join!(
            writer.write(move |_| Ok(wait.recv().is_ok())),
            writer.write(insert(1, true)),
            writer.write_unguarded(insert(2, false)),
            async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                go.send(()).unwrap();
            },
        );
        let failed = StoreError::Damaged("so".to_owned());
        assert_eq!((a, b, c, d), (Err(failed.clone()), Err(failed.clone()), Err(failed), ()));
        assert_eq!(count(&writer).await, 0, "nothing of it is written");
        assert_eq!(writer.write_unguarded(insert(3, true)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_in_a_job_is_that_jobs_alone() {
        let writer = writer();
        let said = writer
            .write::<(), _>(|db| {
                db.execute("INSERT INTO t VALUES (1)", [])?;
                panic!("a fault");
            })
            .await;
        assert_eq!(said, Err(StoreError::Stopped));
        assert_eq!(count(&writer).await, 0);
    }
}
