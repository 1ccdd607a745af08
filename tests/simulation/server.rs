//! Databases of a real PostgreSQL on a runtime whose time is real, each lent to one life after the
//! other; it may not know what is kept in them.

use std::sync::{Mutex, OnceLock, PoisonError};

use drbackup::store;
use tokio::runtime::Runtime;

use crate::{
    postgres,
    stage::{Calendar, Database},
};

/// Those that are lent to nobody.
static FREE: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// Empties every table, but for what the migrations wrote.
const EMPTY: &str = "DO $$ BEGIN EXECUTE (
    SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT IN ('counters', 'audit', 'audit_ends', '__diesel_schema_migrations')
); END $$";

struct Held {
    database: Database,
    name: String,
}

/// An empty database for one life.
pub(crate) struct Lent(Option<Held>);

impl Lent {
    /// This waits, so it is done where no clock is wound by hand.
    pub(crate) fn new() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(Some(free.unwrap_or_else(open)))
    }

    pub(crate) fn database(&self) -> Database {
        let held = self.0.as_ref().expect("it is lent");
        held.database.clone()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            postgres::server().sql(&held.name, EMPTY);
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            free.push(held);
        }
    }
}

fn open() -> Held {
    let url = postgres::database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    // What it dates is nothing that a life looks at.
    let calendar = Calendar::new(u64::from(u16::MAX), 0);
    let mut config = store::Config::new(format!("{url}?sslmode=disable"), calendar);
    // One for what is under way, one that is being given back.
    config.settings.connections = 2;
    let runtime = runtime();
    let store = runtime.block_on(store::open(config)).expect("a store");
    let runtime = Some(runtime.handle().clone());
    let database = Database { store, runtime };
    Held { database, name }
}

/// Where all stores of this process live, because their connections and limits wait in real time.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}
