//! One thread writes, and commits in groups.
//!
//! A durable commit costs a flush of the disk, whatever is in it. While one is being flushed, more jobs queue up; the
//! next transaction takes all of them. A job runs in a savepoint, so a failing one leaves nothing behind and does not
//! disturb the others; each is answered after the commit. A savepoint costs a copy of every page that the job changes, so
//! the steps of the press go without: they fail only where the database does.

use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
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
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// One unit of writing: everything of it is in the ledger, or nothing.
trait Job: Send {
    /// Answers whether its writes shall stay.
    fn run(&mut self, db: &Connection) -> Result<(), StoreError>;
    /// Its failure must be its own.
    fn guarded(&self) -> bool;
    /// Tells the caller, who may have gone.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    guarded: bool,
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

    fn guarded(&self) -> bool {
        self.guarded
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

impl Writer {
    pub(super) fn start(db: Connection) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let mut gather = Duration::ZERO;
                while let Ok(first) = queue.recv() {
                    std::thread::sleep(gather);
                    let began = Instant::now();
                    let jobs = group(&db, first, &queue);
                    gather = if jobs > 1 { (began.elapsed() / GATHER).min(GATHER_MOST) } else { Duration::ZERO };
                }
            })
            .map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in a transaction; answers when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(work, true).await
    }

    /// The same, quicker: where `work` fails, so does everything that shares its transaction.
    pub(super) async fn write_unguarded<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.queue(work, false).await
    }

    async fn queue<T, F>(&self, work: F, guarded: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task { work: Some(work), guarded, result: None, reply });
        match &self.jobs {
            Some(jobs) if jobs.send(job).is_ok() => answer.await.unwrap_or(Err(StoreError::Stopped)),
            _ => Err(StoreError::Stopped),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One transaction with all jobs that wait. Answers how many they were.
fn group(db: &Connection, first: Box<dyn Job>, queue: &mpsc::Receiver<Box<dyn Job>>) -> usize {
    if let Err(error) = step(db, "BEGIN IMMEDIATE") {
        first.answer(Err(error));
        return 0;
    }
    let mut jobs = vec![];
    let mut fate = Ok(());
    for mut job in std::iter::once(first).chain(queue.try_iter()).take(GROUP) {
        let ran = run(db, job.as_mut());
        jobs.push(job);
        if let Err(error) = ran {
            fate = Err(error);
            break;
        }
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

/// One job, in its savepoint where it is guarded. An error is the whole group's.
fn run(db: &Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    let guarded = job.guarded();
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
    use std::sync::Arc;

    fn writer() -> Arc<Writer> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
        Arc::new(Writer::start(db).unwrap())
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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_job_without_a_savepoint_takes_its_whole_group_along() {
        let writer = writer();
        let insert = |n: i64, sound: bool| {
            move |db: &Connection| {
                db.execute("INSERT INTO t VALUES (?1)", [n])?;
                if sound { Ok(()) } else { Err(StoreError::Damaged("so".to_owned())) }
            }
        };
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
