//! How many transitions of the ledger a second are durable, beside what the same database commits at
//! all when it is given nothing but the smallest transaction.
//!
//! A transition is one effect that changes, with the event that tells of it. Unbatched each is a
//! turn of its own, as with one operation; batched a turn carries many, as in a busy project.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use drbackup::{
    domain::{
        effect::EffectState,
        id::{Lane, ReplicaId},
        operation::Operation,
    },
    port::store::Store,
};
use futures::future::try_join_all;

use super::{
    Sizes, backups, by_hand, postgres,
    table::{Row, Table, median, per_second, rate},
};

/// Operations in one turn, where turns are batched.
const BATCH: usize = 100;
/// Lanes that record at the same time, where there are several.
const LANES: usize = 16;

/// Something that commits the smallest transaction there is, again and again.
enum Raw {
    Sqlite(Arc<Mutex<SqliteConnection>>),
    Postgres(tokio_postgres::Client, tokio_postgres::Statement),
}

impl Raw {
    /// In a file beside that of the store, told to be as durable.
    fn sqlite(path: &str) -> anyhow::Result<Self> {
        let mut conn = SqliteConnection::establish(path)?;
        conn.batch_execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE raw_commits (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);
             INSERT INTO raw_commits VALUES (1, 0);",
        )?;
        Ok(Self::Sqlite(Arc::new(Mutex::new(conn))))
    }

    /// In the database of the store.
    async fn postgres(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(async move {
            // It ends with the client.
            let _ended = connection.await;
        });
        client
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS raw_commits (id BIGINT PRIMARY KEY, number BIGINT NOT NULL);
                 INSERT INTO raw_commits VALUES (1, 0) ON CONFLICT DO NOTHING;",
            )
            .await?;
        by_hand::prepare(&client).await?;
        let statement = client
            .prepare("UPDATE raw_commits SET number = number + 1 WHERE id = 1")
            .await?;
        Ok(Self::Postgres(client, statement))
    }

    /// Records so many turns as the database would have it; answers the rate.
    async fn record(&mut self, busy: &Busy, count: usize) -> anyhow::Result<f64> {
        let (lane, operations) = (&busy.lane, &busy.operations);
        match self {
            Self::Sqlite(conn) => {
                let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
                by_hand::in_sqlite(&mut conn, lane, operations, count)
            }
            Self::Postgres(client, _) => {
                by_hand::in_postgresql(client, lane, operations, count).await
            }
        }
    }

    /// The same as far as an asynchronous program can have it, where that is something else; a client of
    /// PostgreSQL is asynchronous already.
    async fn record_elsewhere(&self, busy: &Busy, count: usize) -> anyhow::Result<Option<f64>> {
        let (lane, operations) = (&busy.lane, &busy.operations);
        match self {
            Self::Sqlite(conn) => by_hand::in_sqlite_elsewhere(conn, lane, operations, count)
                .await
                .map(Some),
            Self::Postgres(_, _) => Ok(None),
        }
    }

    /// Commits so many times, one after the other; answers the rate.
    async fn commit(&mut self, count: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        match self {
            Self::Sqlite(conn) => {
                let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
                for _ in 0..count {
                    conn.batch_execute(
                        "BEGIN IMMEDIATE; UPDATE raw_commits SET number = number + 1 WHERE id = 1; COMMIT;",
                    )?;
                }
            }
            Self::Postgres(client, statement) => {
                for _ in 0..count {
                    client.execute(&*statement, &[]).await?;
                }
            }
        }
        Ok(rate(count, begun.elapsed()))
    }
}

/// A lane with open operations.
struct Busy {
    store: Arc<dyn Store>,
    lane: Lane,
    operations: Vec<Operation>,
}

impl Busy {
    /// So many lanes, with `operations` each.
    async fn lanes(
        store: &Arc<dyn Store>,
        lanes: usize,
        operations: usize,
    ) -> anyhow::Result<Vec<Self>> {
        let mut busy = Vec::new();
        for number in 0..lanes {
            let tenant = backups::tenant(number);
            let mut made = Vec::new();
            for number in 0..operations {
                let (backup, operation) = backups::scheduled(&tenant, number);
                store
                    .point_admit(backups::asked(), backup, operation.clone())
                    .await?;
                made.push(operation);
            }
            busy.push((tenant, made));
        }
        let claimed = store
            .lanes_claim(
                &ReplicaId::new("bench"),
                std::time::Duration::from_secs(3600),
                u32::MAX,
                &[],
            )
            .await?;
        busy.into_iter()
            .map(|(tenant, operations)| {
                let lane = claimed.iter().find(|lane| lane.tenant == tenant);
                Ok(Self {
                    store: Arc::clone(store),
                    lane: lane.context("the lane is ours")?.clone(),
                    operations,
                })
            })
            .collect()
    }

    /// Records turns of `batch` operations each until `count` transitions are durable.
    async fn record(&self, count: usize, batch: usize) -> anyhow::Result<()> {
        let mut step = 0;
        let states = [
            EffectState::Requested,
            EffectState::Accepted,
            EffectState::Done,
        ];
        for turn in 0..count.div_ceil(batch) {
            let mut turns = Vec::with_capacity(batch);
            for place in 0..batch {
                step += 1;
                let operation = &self.operations[(turn * batch + place) % self.operations.len()];
                let mut effect = backups::effect(operation, step / 3 % 8);
                effect.state = states[step as usize % states.len()];
                turns.push(backups::turn(operation, vec![effect], step));
            }
            self.store.turn_record(&self.lane, turns).await?;
        }
        Ok(())
    }
}

/// Measures the section.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let raw = Raw::sqlite(&path("raw.db"))?;
    let url = format!("sqlite:{}", path("ledger.db"));
    let store = backups::open(&url).await?;
    let hand = Raw::sqlite(&path("ledger.db"))?;
    database("SQLite", raw, hand, store, sizes, table).await?;

    let (url, durable) = tokio::task::spawn_blocking(|| {
        let server = postgres::server();
        // The tests need no durability; here it is what is measured.
        server.sql("postgres", "ALTER SYSTEM SET fsync = on");
        server.sql("postgres", "SELECT pg_reload_conf()");
        (postgres::database(), server.sql("postgres", "SHOW fsync"))
    })
    .await?;
    anyhow::ensure!(durable.trim() == "on", "PostgreSQL does not flush");
    let store = backups::open(&url).await?;
    let (raw, hand) = (Raw::postgres(&url).await?, Raw::postgres(&url).await?);
    database("PostgreSQL", raw, hand, store, sizes, table).await?;
    table.remark(
        "ledger: a transition is one effect and the event that tells of it, written by `turn_record`; a raw \
         commit is one UPDATE of one row, prepared where that helps, one after the other; both are flushed; by \
         hand is what the database itself needs for the statements of one turn, prepared, and in PostgreSQL in \
         one way there and back; asked of another thread is the same without standing still for the disk: \
         no service can record more than that of one operation after the other",
    );
    Ok(())
}

async fn database(
    name: &str,
    mut raw: Raw,
    mut hand: Raw,
    store: Arc<dyn Store>,
    sizes: &Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    let lanes = Busy::lanes(&store, LANES, BATCH).await?;
    let first = lanes.first().context("a lane")?;
    let (mut commits, mut by_hand, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    let (mut single, mut many, mut batched) = (Vec::new(), Vec::new(), Vec::new());
    // Alternated, so that whatever else the machine does meets all of them.
    for round in 0..=sizes.rounds {
        let commit = raw.commit(sizes.turns).await?;
        let begun = Instant::now();
        first.record(sizes.turns, 1).await?;
        let one = rate(sizes.turns, begun.elapsed());
        let hand_written = hand.record(first, sizes.turns).await?;
        let by_another = hand.record_elsewhere(first, sizes.turns).await?;
        let begun = Instant::now();
        try_join_all(lanes.iter().map(|lane| lane.record(sizes.turns / 4, 1))).await?;
        let side_by_side = rate(sizes.turns / 4 * LANES, begun.elapsed());
        let begun = Instant::now();
        first.record(sizes.turns * 5, BATCH).await?;
        let together = rate(sizes.turns * 5, begun.elapsed());
        // The first round warms up.
        if round > 0 {
            commits.push(commit);
            by_hand.push(hand_written);
            elsewhere.extend(by_another);
            single.push(one);
            many.push(side_by_side);
            batched.push(together);
        }
    }
    let commits = median(commits);
    let mut bound = |what: &str, rates: Vec<f64>| {
        let rate = median(rates);
        let row = Row::new("ledger", format!("{name}: {what}"))
            .ours(per_second(rate))
            .beside(format!("raw commits: {}", per_second(commits)))
            .ratio(format!("{:.0} %", 100.0 * rate / commits));
        table.add(row);
    };
    bound("the statements of a turn, by hand", by_hand);
    if !elsewhere.is_empty() {
        bound("the same, asked of another thread", elsewhere);
    }
    let mut tell = |what: &str, rates: Vec<f64>, target: &str, least: f64| {
        let rate = median(rates);
        let row = Row::new("ledger", format!("{name}: durable transitions, {what}"))
            .ours(per_second(rate))
            .beside(format!("raw commits: {}", per_second(commits)))
            .ratio(format!("{:.0} %", 100.0 * rate / commits))
            .target(target, rate >= least * commits);
        table.add(row);
    };
    tell("one operation a turn", single, "at least 50 %", 0.5);
    tell(
        &format!("one operation a turn in each of {LANES} lanes"),
        many,
        "at least 50 %",
        0.5,
    );
    tell(
        &format!("{BATCH} operations a turn"),
        batched,
        "above 100 %",
        1.0,
    );
    Ok(())
}
