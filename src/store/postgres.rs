//! PostgreSQL: a pool of connections, one that listens to other replicas, and a queue of the turns of
//! lanes, which share commits; it may not know what is written.

use std::{fmt::Write as _, pin::pin, sync::Arc, time::Duration};

use deadpool::Runtime;
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _,
    async_connection_wrapper::AsyncConnectionWrapper,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::{
    sync::{mpsc::Sender, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    Config, OpenError, POSITIONS, migrate,
    notifier::{CommitNotice, Committed, Notifier, Wake},
    seal::{self, Sealer},
    text::json,
    tls::Target,
};
use crate::{
    domain::event::Event,
    port::{clock::Clock, journal::JournalError, store::StoreError},
};

#[path = "sql/mod.rs"]
mod sql;

mod dialect;
mod queue;

use queue::Waiting;
use sql::turn::LaneTurn;

/// Whoever waits longer for a connection of the pool is told so.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long a replica that cannot listen tries again, and wakes its waiters all the same.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// What every connection of the pool is told: no caller waits for ever, and a replica that stands
/// still inside a transaction does not hold up the others.
const LIMITS: &str = "SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s'";

/// What every connection is told too: how events get the positions that come next, prepared as `append`.
/// Planned anew with each commit it would take longest of all that is done while the row that counts
/// positions is held, and whoever else has events waits for that row.
fn prepared() -> String {
    format!(
        "PREPARE append (bigint, json) AS
         WITH counted AS (
             UPDATE counters SET value = value + $1 WHERE name = '{POSITIONS}' RETURNING value
         )
         INSERT INTO events (position, resource_kind, resource_id, sequence, time, state,
                             runtime_state, progress, error)
         SELECT counted.value - $1 + told.position, told.resource_kind, told.resource_id,
                told.sequence, told.time, told.state, told.runtime_state, told.progress, told.error
         FROM counted, json_to_recordset($2) AS told(
             position bigint, resource_kind text, resource_id text, sequence bigint, time bigint,
             state text, runtime_state text, progress text, error text
         )"
    )
}

/// Held while the schema is brought up, because several replicas may start at once.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(4812077315)";

const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

type Engine = diesel::pg::Pg;
type Conn = AsyncPgConnection;
type Handle<'c> = &'c AsyncPgConnection;

/// A database of a server.
pub(super) struct Db {
    writer: Writer,
    turns: Sender<Waiting>,
    clock: Arc<dyn Clock>,
    page_limit: u32,
    listener: JoinHandle<()>,
}

/// What a transaction that writes needs.
#[derive(Clone)]
struct Writer {
    pool: Pool<Conn>,
    notifier: Notifier,
    /// By which this replica knows its own notifications.
    name: Uuid,
    sealer: Arc<Sealer>,
}

impl Db {
    /// Connects, and brings the schema up.
    pub(super) async fn open(config: &Config) -> Result<Self, OpenError> {
        let target = Arc::new(Target::parse(&config.url)?);
        bring_up(&target, config.settings.migrate).await?;
        let pool = pool(&target, config.settings.connections.max(1))?;
        let notifier = Notifier::new();
        let name = config.clock.new_id();
        let ear = listening(&target).await.map_err(OpenError::Unavailable)?;
        let listener = tokio::spawn(listen(target, ear, name, notifier.clone()));
        let writer = Writer {
            pool,
            notifier,
            name,
            sealer: Arc::clone(&config.sealer),
        };
        let clock = Arc::clone(&config.clock);
        Ok(Self {
            turns: queue::open(writer.clone(), Arc::clone(&clock)),
            writer,
            clock,
            page_limit: config.settings.page_limit,
            listener,
        })
    }

    /// Reads what one statement answers.
    async fn read<R, F>(&self, job: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<R, StoreError>> + Send + 'static,
    {
        let mut conn = taken(&self.writer.pool).await?;
        seal::with(Arc::clone(&self.writer.sealer), job(&mut conn)).await
    }

    /// Reads with several statements that all see the same moment.
    async fn snapshot<R, E, F>(&self, job: F) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<R, E>> + Send + 'static,
    {
        let (pool, sealer) = (self.writer.pool.clone(), Arc::clone(&self.writer.sealer));
        finished(tokio::spawn(async move {
            let mut session = Session::begin(&pool, SNAPSHOT).await?;
            let answer = seal::with(sealer, job(session.conn()?)).await;
            session.end("COMMIT").await?;
            answer
        }))
        .await
    }

    /// Writes, and wakes who waits for it after the commit, here and in the other replicas.
    async fn write<R, E, F>(&self, job: F) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<(R, CommitNotice), E>>
            + Send
            + 'static,
    {
        self.writer.write(job).await?
    }

    /// Writes a turn, in one transaction with those that wait beside it.
    async fn record(&self, turn: LaneTurn) -> Result<(), JournalError> {
        let (answer, recorded) = oneshot::channel();
        let waiting = Waiting { turn, answer };
        self.turns.send(waiting).await.map_err(|_| broken_off())?;
        recorded.await.map_err(|_| broken_off())?
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn notifier(&self) -> &Notifier {
        &self.writer.notifier
    }

    /// Other replicas write too, and what they tell comes after their commit.
    #[expect(clippy::unused_self, reason = "the other database has a version")]
    fn version_now(&self) -> Option<u64> {
        None
    }

    fn page_limit(&self, wished: u32) -> u32 {
        wished.clamp(1, self.page_limit)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Writer {
    /// Runs a job in a transaction, and wakes who waits for it after the commit. The inner error is the
    /// job's, of which nothing was written; after the outer one nobody knows what was.
    async fn write<R, E, F>(&self, job: F) -> Result<Result<R, E>, StoreError>
    where
        R: Send + 'static,
        E: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<(R, CommitNotice), E>>
            + Send
            + 'static,
    {
        let Self {
            pool,
            notifier,
            name,
            sealer,
        } = self.clone();
        finished(tokio::spawn(async move {
            let mut session = Session::begin(&pool, WRITE).await?;
            match seal::with(sealer, job(session.conn()?)).await {
                Ok((answer, mut notice)) => {
                    let notes = std::mem::take(&mut notice.audit);
                    let audit = sql::audit::append(session.conn()?, notes).await?;
                    session.end(&commit(name, &notice)?).await?;
                    let wake = notice.wake();
                    notifier.committed(&Committed { wake, audit });
                    Ok(Ok(answer))
                }
                Err(error) => {
                    // What went wrong first is what the caller should hear; a rollback that fails
                    // closes the connection, which is one too.
                    drop(session.end("ROLLBACK").await);
                    Ok(Err(error))
                }
            }
        }))
        .await
    }
}

/// A connection inside a transaction. Where it is dropped there, by a panic or with the runtime, it
/// is closed: in the pool, the next one would go on in the foreign transaction.
struct Session {
    conn: Option<Object<Conn>>,
}

impl Session {
    async fn begin(pool: &Pool<Conn>, statement: &str) -> Result<Self, StoreError> {
        let mut session = Self {
            conn: Some(taken(pool).await?),
        };
        session.conn()?.batch_execute(statement).await?;
        Ok(session)
    }

    fn conn(&mut self) -> Result<&mut Conn, StoreError> {
        match &mut self.conn {
            Some(conn) => Ok(conn),
            None => Err(broken_off()),
        }
    }

    async fn end(mut self, statement: &str) -> Result<(), StoreError> {
        self.conn()?.batch_execute(statement).await?;
        // Back into the pool.
        drop(self.conn.take());
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(Object::take(conn));
        }
    }
}

/// The events, what is told to the other replicas, and the commit, in one way to the server and back:
/// whoever else has events waits for the row that counts them, and this is all the time that they wait.
/// The server does nothing of what stands behind something that failed.
fn commit(name: Uuid, notice: &CommitNotice) -> Result<String, StoreError> {
    let wake = notice.wake();
    if wake == Wake::NONE {
        return Ok("COMMIT".to_owned());
    }
    let changes = if wake.changes { "c" } else { "" };
    let admissions = if wake.admissions { "a" } else { "" };
    let told = append(&notice.events)?;
    Ok(format!(
        "{told}NOTIFY drbackup, '{name} {changes}{admissions}'; COMMIT"
    ))
}

/// The statement that writes events with the positions that come next. It goes with others in one text,
/// so the rows are in it too, as digits in which nothing can end a literal.
fn append(events: &[Event]) -> Result<String, StoreError> {
    if events.is_empty() {
        return Ok(String::new());
    }
    let count = events.len();
    let rows = json(&sql::event::rows(1, events)?)?;
    let digits = rows.bytes().fold(String::new(), |mut digits, byte| {
        let _never_fails = write!(digits, "{byte:02x}");
        digits
    });
    Ok(format!(
        "EXECUTE append ({count}, convert_from(decode('{digits}', 'hex'), 'UTF8')::json); "
    ))
}

/// What another replica told with its commit.
fn heard(name: Uuid, payload: &str) -> Wake {
    match payload.split_once(' ') {
        Some((other, what)) if other != name.to_string() => Wake {
            changes: what.contains('c'),
            admissions: what.contains('a'),
        },
        Some(_) | None => Wake::NONE,
    }
}

async fn listening(target: &Target) -> Result<Conn, String> {
    let mut ear = target.connect().await.map_err(|error| error.to_string())?;
    ear.batch_execute("LISTEN drbackup")
        .await
        .map_err(|error| error.to_string())?;
    Ok(ear)
}

/// Passes on what other replicas tell. Ends with the store.
async fn listen(target: Arc<Target>, first: Conn, name: Uuid, notifier: Notifier) {
    let mut ear = Some(first);
    loop {
        if let Some(mut ear) = ear.take() {
            let mut told = pin!(ear.notifications_stream());
            while let Some(Ok(notification)) = told.next().await {
                notifier.wake(heard(name, &notification.payload));
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
        ear = listening(&target).await.ok();
        // Something may have been told while nobody listened, so everybody looks.
        notifier.wake(Wake::BOTH);
    }
}

async fn taken(pool: &Pool<Conn>) -> Result<Object<Conn>, StoreError> {
    pool.get()
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

async fn finished<R, E: From<StoreError>>(work: JoinHandle<Result<R, E>>) -> Result<R, E> {
    work.await.map_err(|_| broken_off())?
}

fn broken_off() -> StoreError {
    StoreError::Unavailable("the work on the database was broken off".to_owned())
}

fn pool(target: &Arc<Target>, connections: usize) -> Result<Pool<Conn>, OpenError> {
    let mut setup = ManagerConfig::default();
    // A connection that is gone is seen without asking the server; one that stands inside a
    // transaction is never given back.
    setup.recycling_method = RecyclingMethod::Fast;
    let target = Arc::clone(target);
    setup.custom_setup = Box::new(move |_| {
        let target = Arc::clone(&target);
        async move {
            let mut conn = target.connect().await?;
            conn.batch_execute(&format!("{LIMITS}; {}", prepared()))
                .await
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config("", setup);
    Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(POOL_TIMEOUT))
        .build()
        .map_err(|error| OpenError::Unavailable(error.to_string()))
}

async fn bring_up(target: &Target, migrate: bool) -> Result<(), OpenError> {
    let mut conn = target
        .connect()
        .await
        .map_err(|error| OpenError::Unavailable(error.to_string()))?;
    conn.batch_execute(MIGRATION_LOCK)
        .await
        .map_err(|error| OpenError::Migration(error.to_string()))?;
    // The harness of the migrations blocks. The lock goes with the connection.
    tokio::task::spawn_blocking(move || {
        let mut conn = AsyncConnectionWrapper::<Conn>::from(conn);
        migrate::bring_up(&mut conn, migrate::POSTGRES, migrate)
    })
    .await
    .map_err(|error| OpenError::Migration(error.to_string()))?
}
