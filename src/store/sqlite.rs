//! SQLite: one thread that writes and some that read; it may not know what is written.
//!
//! Whoever writes waits in one queue. The writer takes all that wait, runs each in a savepoint of
//! one common transaction and answers them after its commit: a flush to the disk is by far the
//! most expensive part of a small transaction, and so it is paid once for all of them.

use std::{
    error::Error,
    future::ready,
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use diesel_async::{
    SimpleAsyncConnection as _,
    sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper},
};
use futures::{FutureExt as _, executor::block_on, future::BoxFuture};
use tokio::sync::{
    mpsc::{Receiver, Sender, channel},
    oneshot,
};

use super::{
    Config, OpenError, lock, migrate,
    notifier::{CommitNotice, Committed, Notifier},
    seal::{self, Sealer},
};
use crate::port::{clock::Clock, journal::JournalError, store::StoreError};

#[path = "sql/mod.rs"]
mod sql;

mod dialect;

use sql::turn::{self, LaneTurn};

/// At most so many transactions share a commit.
const JOBS_PER_COMMIT: usize = 128;

/// At most so many wait in a queue; whoever comes then waits to get in.
const JOBS_WAITING: usize = 4_096;

/// What every connection is told. `FULL` makes a commit survive a loss of power. Who comes while one
/// waits for a lock of another program waits twice as long, and has to hear why before health or a
/// caller loses patience. What is deleted is overwritten where its page is written anyway.
const PRAGMAS: &str = "PRAGMA busy_timeout = 3000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = FAST;
    PRAGMA temp_store = MEMORY;
    PRAGMA mmap_size = 268435456;";

/// There was one process and it is gone, so nobody owns a lane or takes part any more.
const FREE_LANES: &str = "UPDATE lanes SET owner = NULL, expires_at = 0; DELETE FROM replicas";

type Engine = diesel::sqlite::Sqlite;
type Conn = SyncConnectionWrapper<SqliteConnection, Inline>;
type Handle<'c> = Conn;
/// Gets a connection, or else why there is none to work on.
type Job =
    Box<dyn for<'c> FnOnce(Result<&'c mut Conn, StoreError>) -> BoxFuture<'c, Outcome> + Send>;

/// Runs what blocks right where it is awaited: every connection has a thread to itself.
struct Inline;

impl SpawnBlocking for Inline {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        async move { Ok(task()) }.boxed()
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// A job that only reads.
struct Reading {
    job: Job,
    /// Whether its statements have to see the same moment.
    transacts: bool,
}

/// What came of a job, before the commit.
struct Outcome {
    /// Whether its writes stay.
    keep: bool,
    /// Tells the caller, once it is known whether the commit worked.
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// A database in one file.
pub(super) struct Db {
    // Before the threads: they end when nobody can send any more.
    writer: Option<Sender<Job>>,
    readers: Option<Sender<Reading>>,
    threads: Vec<JoinHandle<()>>,
    notifier: Notifier,
    /// Commits, each counted before whoever wrote hears of it.
    version: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    page_limit: u32,
    // Last: the next process may come when the threads have ended.
    _lock: Option<lock::Lock>,
}

impl Db {
    /// Opens or makes the file.
    pub(super) async fn open(path: &Path, config: &Config) -> Result<Self, OpenError> {
        let (path, config) = (path.to_owned(), config.clone());
        // Opening reads and writes files, which would hold up the caller's thread.
        tokio::task::spawn_blocking(move || Self::open_blocking(&path, config))
            .await
            .map_err(|error| OpenError::Unavailable(error.to_string()))?
    }

    fn open_blocking(path: &Path, config: Config) -> Result<Self, OpenError> {
        prepare_folder(path)?;
        let lock = lock::take(path)?;
        for doubt in lock::doubts(path) {
            tracing::warn!(database = %path.display(), "{doubt}");
        }
        let mut first = connect(path, false).map_err(OpenError::Unavailable)?;
        migrate::bring_up(&mut first, migrate::SQLITE, config.settings.migrate)?;
        first
            .batch_execute(FREE_LANES)
            .map_err(|error| OpenError::Unavailable(error.to_string()))?;
        drop(first);

        let mut threads = Vec::new();
        let version = Arc::new(AtomicU64::new(0));
        let committed = Arc::clone(&version);
        let (writer, jobs) = channel(JOBS_WAITING);
        threads.push(spawn(
            "store-writer",
            Worker::new(path, false)?,
            move |worker| {
                write_all(worker, jobs, &committed);
            },
        )?);
        let (readers, jobs) = channel(JOBS_WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..config.settings.connections.max(1) {
            let jobs = Arc::clone(&jobs);
            threads.push(spawn(
                "store-reader",
                Worker::new(path, true)?,
                move |worker| {
                    read_all(worker, &jobs);
                },
            )?);
        }
        Ok(Self {
            writer: Some(writer),
            readers: Some(readers),
            threads,
            notifier: Notifier::new(),
            version,
            clock: config.clock,
            sealer: config.sealer,
            page_limit: config.settings.page_limit,
            _lock: Some(lock),
        })
    }

    /// Opens a file to read it alone, beside whoever else has it.
    pub(super) async fn open_reading(path: &Path, config: &Config) -> Result<Self, OpenError> {
        let (path, config) = (path.to_owned(), config.clone());
        tokio::task::spawn_blocking(move || Self::open_reading_blocking(&path, config))
            .await
            .map_err(|error| OpenError::Unavailable(error.to_string()))?
    }

    fn open_reading_blocking(path: &Path, config: Config) -> Result<Self, OpenError> {
        if !path.is_file() {
            let problem = format!("there is no file {}", path.display());
            return Err(OpenError::Unavailable(problem));
        }
        let mut first = connect(path, true).map_err(OpenError::Unavailable)?;
        migrate::bring_up(&mut first, migrate::SQLITE, false)?;
        drop(first);
        let (readers, jobs) = channel(JOBS_WAITING);
        let reader = Worker::new(path, true)?;
        let jobs = Mutex::new(jobs);
        let thread = spawn("store-reader", reader, move |worker| {
            read_all(worker, &jobs);
        })?;
        Ok(Self {
            writer: None,
            readers: Some(readers),
            threads: vec![thread],
            notifier: Notifier::new(),
            version: Arc::default(),
            clock: config.clock,
            sealer: config.sealer,
            page_limit: config.settings.page_limit,
            _lock: None,
        })
    }

    /// Reads what one statement answers.
    async fn read<R, F>(&self, job: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<R, StoreError>> + Send + 'static,
    {
        // One statement sees one moment by itself.
        self.ask_reader(job, false).await
    }

    /// Reads with several statements that all see the same moment.
    async fn snapshot<R, E, F>(&self, job: F) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<R, E>> + Send + 'static,
    {
        self.ask_reader(job, true).await
    }

    async fn ask_reader<R, E, F>(&self, job: F, transacts: bool) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<R, E>> + Send + 'static,
    {
        let sealer = Arc::clone(&self.sealer);
        let (job, answer) = job_of(self.notifier.clone(), |conn| {
            seal::with(sealer, job(conn))
                .map(|result| result.map(|answer| (answer, Committed::NOTHING)))
                .boxed()
        });
        let queue = self.readers.as_ref().ok_or_else(ended)?;
        let reading = Reading { job, transacts };
        queue.send(reading).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Writes, and wakes who waits for it after the commit.
    async fn write<R, E, F>(&self, job: F) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<(R, CommitNotice), E>>
            + Send
            + 'static,
    {
        let sealer = Arc::clone(&self.sealer);
        let (job, answer) = job_of(self.notifier.clone(), |conn| {
            async move {
                let (answer, notice) = seal::with(sealer, job(conn)).await?;
                let wake = notice.wake();
                let audit = sql::audit::append(conn, notice.audit).await?;
                dialect::append(conn, &notice.events).await?;
                Ok((answer, Committed { wake, audit }))
            }
            .boxed()
        });
        let queue = self.writer.as_ref().ok_or_else(ended)?;
        queue.send(job).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Writes a turn like anything else: whoever writes shares a commit.
    async fn record(&self, turn: LaneTurn) -> Result<(), JournalError> {
        let now = self.clock.now();
        self.write(move |conn| {
            async move { Ok(((), turn::record(conn, &[turn], now).await?)) }.boxed()
        })
        .await
    }

    /// Ends the work, and writes the file anew: only then nothing is left in it of what was there once.
    pub(super) async fn written_anew(mut self, path: &Path) -> Result<(), OpenError> {
        let path = path.to_owned();
        let work = move || {
            self.end();
            let mut last = connect(&path, false).map_err(OpenError::Unavailable)?;
            last.batch_execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
                .map_err(|error| OpenError::Unavailable(error.to_string()))
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| OpenError::Unavailable(error.to_string()))?
    }

    /// What was sent before is still written, and whoever opens the file next finds it free.
    fn end(&mut self) {
        self.writer = None;
        self.readers = None;
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// There is one process, and one thread in it that writes.
    #[expect(clippy::unnecessary_wraps, reason = "the other database has none")]
    fn version_now(&self) -> Option<u64> {
        Some(self.version.load(Ordering::Acquire))
    }

    fn page_limit(&self, wished: u32) -> u32 {
        wished.clamp(1, self.page_limit)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.end();
    }
}

/// A job, and where its answer will be.
fn job_of<R, E, F>(notifier: Notifier, job: F) -> (Job, oneshot::Receiver<Result<R, E>>)
where
    R: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<(R, Committed), E>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let job: Job = Box::new(move |conn| {
        let outcome = move |result: Result<(R, Committed), E>| Outcome {
            keep: result.is_ok(),
            answer: Box::new(move |committed| {
                let answer = result.and_then(|done| committed.map(|()| done).map_err(E::from));
                if let Ok((_, done)) = &answer {
                    notifier.committed(done);
                }
                // A caller that went away needs no answer.
                drop(sender.send(answer.map(|(value, _)| value)));
            }),
        };
        match conn {
            Ok(conn) => job(conn).map(outcome).boxed(),
            Err(error) => ready(outcome(Err(error.into()))).boxed(),
        }
    });
    (job, receiver)
}

fn ended() -> StoreError {
    StoreError::Unavailable("the work on the database was broken off".to_owned())
}

/// A connection that is made anew after trouble, because then nobody knows what it is in.
struct Worker {
    path: PathBuf,
    reads_only: bool,
    conn: Option<Conn>,
}

impl Worker {
    fn new(path: &Path, reads_only: bool) -> Result<Self, OpenError> {
        let conn = connect(path, reads_only).map_err(OpenError::Unavailable)?;
        Ok(Self {
            path: path.to_owned(),
            reads_only,
            conn: Some(Conn::new(conn)),
        })
    }

    fn conn(&mut self) -> Result<&mut Conn, StoreError> {
        match &mut self.conn {
            Some(conn) => Ok(conn),
            none => {
                let conn = connect(&self.path, self.reads_only).map_err(StoreError::Unavailable)?;
                Ok(none.insert(Conn::new(conn)))
            }
        }
    }

    /// Runs jobs in one transaction, and `ended` before any of them is answered; on trouble those that
    /// were not run are told of it too.
    fn transact(
        &mut self,
        begin: &str,
        mut jobs: impl ExactSizeIterator<Item = Job>,
        ended: impl FnOnce(),
    ) {
        let mut outcomes = Vec::with_capacity(jobs.len());
        let committed = self
            .conn()
            .and_then(|conn| catch_panic(|| run(conn, begin, &mut jobs, &mut outcomes)));
        if let Err(error) = &committed {
            self.conn = None;
            outcomes.extend(jobs.map(|job| block_on(job(Err(error.clone())))));
        }
        // Also when it failed: nobody knows then what can be seen.
        ended();
        for outcome in outcomes {
            (outcome.answer)(committed.clone());
        }
    }

    /// Runs a job of one statement, which is a transaction by itself.
    fn read(&mut self, job: Job) {
        let mut outcome = None;
        let done = match self.conn() {
            Ok(conn) => catch_panic(|| {
                outcome = Some(block_on(job(Ok(conn))));
                Ok(())
            }),
            Err(error) => {
                outcome = Some(block_on(job(Err(error.clone()))));
                Err(error)
            }
        };
        if done.is_err() {
            self.conn = None;
        }
        if let Some(outcome) = outcome {
            (outcome.answer)(done);
        }
    }
}

fn run(
    conn: &mut Conn,
    begin: &str,
    jobs: &mut impl ExactSizeIterator<Item = Job>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), StoreError> {
    // One that is alone needs no savepoint: what it must not keep is the whole transaction.
    if jobs.len() == 1 {
        return block_on(run_alone(conn, begin, jobs, outcomes));
    }
    block_on(async {
        conn.batch_execute(begin).await?;
        for job in jobs {
            conn.batch_execute("SAVEPOINT job").await?;
            let outcome = job(Ok(conn)).await;
            let keep = outcome.keep;
            outcomes.push(outcome);
            if !keep {
                conn.batch_execute("ROLLBACK TO job").await?;
            }
            conn.batch_execute("RELEASE job").await?;
        }
        conn.batch_execute("COMMIT").await?;
        Ok(())
    })
}

async fn run_alone(
    conn: &mut Conn,
    begin: &str,
    jobs: &mut impl ExactSizeIterator<Item = Job>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), StoreError> {
    conn.batch_execute(begin).await?;
    let mut keep = true;
    for job in jobs {
        let outcome = job(Ok(conn)).await;
        keep &= outcome.keep;
        outcomes.push(outcome);
    }
    conn.batch_execute(if keep { "COMMIT" } else { "ROLLBACK" })
        .await?;
    Ok(())
}

/// A defect in one job must not end the thread: then every later caller would be refused.
fn catch_panic(work: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Unavailable("a transaction panicked".to_owned())))
}

fn write_all(mut worker: Worker, mut queue: Receiver<Job>, committed: &AtomicU64) {
    let mut jobs = Vec::with_capacity(JOBS_PER_COMMIT);
    while queue.blocking_recv_many(&mut jobs, JOBS_PER_COMMIT) > 0 {
        worker.transact("BEGIN IMMEDIATE", jobs.drain(..), || {
            committed.fetch_add(1, Ordering::Release);
        });
    }
}

fn read_all(mut worker: Worker, queue: &Mutex<Receiver<Reading>>) {
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv()
    };
    while let Some(Reading { job, transacts }) = next() {
        if transacts {
            worker.transact("BEGIN DEFERRED", iter::once(job), || {});
        } else {
            worker.read(job);
        }
    }
}

fn spawn(
    name: &str,
    worker: Worker,
    work: impl FnOnce(Worker) + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    Builder::new()
        .name(name.to_owned())
        .spawn(move || work(worker))
        .map_err(|error| OpenError::Unavailable(error.to_string()))
}

/// Makes the folder of the file, where there is none.
fn prepare_folder(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let made = std::fs::create_dir_all(folder);
    made.map_err(|error| OpenError::Unavailable(format!("{}: {error}", path.display())))
}

fn connect(path: &Path, reads_only: bool) -> Result<SqliteConnection, String> {
    let path = path
        .to_str()
        .ok_or_else(|| format!("{} is not a text", path.display()))?;
    let mut conn = SqliteConnection::establish(path).map_err(|error| error.to_string())?;
    conn.batch_execute(PRAGMAS)
        .map_err(|error| error.to_string())?;
    if reads_only {
        conn.batch_execute("PRAGMA query_only = ON")
            .map_err(|error| error.to_string())?;
    }
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    struct NoClock;

    impl Clock for NoClock {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn new_id(&self) -> uuid::Uuid {
            uuid::Uuid::nil()
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_is_answered_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::new("", Arc::new(NoClock));
        let path = folder.path().join("drbackup.db");
        let db = Db::open(&path, &config).await.expect("a store");
        for _ in 0..2 {
            let answer: Result<(), StoreError> =
                db.write(|_| async { panic!("a defect") }.boxed()).await;
            assert!(matches!(answer, Err(StoreError::Unavailable(_))));
            let answer: Result<(), StoreError> =
                db.read(|_| async { panic!("a defect") }.boxed()).await;
            assert!(matches!(answer, Err(StoreError::Unavailable(_))));
        }
        let write = db.write(|_| async { Ok((7, CommitNotice::NONE)) }.boxed());
        let answer: Result<i32, StoreError> = write.await;
        assert_eq!(answer, Ok(7));
        assert_eq!(db.read(|_| async { Ok(8) }.boxed()).await, Ok(8));
    }
}
