//! Which keys have sealed the texts of this database, and how they are sealed again with another; it may not
//! know what the texts say.

use diesel::{
    QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;
use futures::FutureExt as _;

use super::{Conn, Db, dialect};
use crate::{
    port::store::StoreError,
    store::{
        aside,
        notifier::CommitNotice,
        schema::seal_keys,
        seal::{self, ALL, Column, ID_CHARACTERS, PREFIX},
        sealing::{Counted, Resealed, Standing},
        text::number,
    },
};

/// So many texts are sealed again in one transaction.
const ROWS_AT_ONCE: i64 = 200;

/// A text, and the one or two parts of the key of its row.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    first: String,
    #[diesel(sql_type = Text)]
    second: String,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Count {
    /// Of the key; empty where the text is plain.
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    texts: i64,
}

impl Found {
    fn row(&self, column: Column) -> Vec<&str> {
        let parts = [self.first.as_str(), self.second.as_str()];
        parts.into_iter().take(column.keys.len()).collect()
    }
}

impl Db {
    /// Notes the key that seals from now on, and seals what the database alone knows; answers the ids of all
    /// keys that have sealed something here.
    pub(in crate::store) async fn sealing_begin(&self) -> Result<Vec<String>, StoreError> {
        let now = self.clock().now();
        self.write(move |conn| {
            async move {
                let sealer = seal::present()?;
                if let Some(id) = sealer.sealing() {
                    diesel::insert_into(seal_keys::table)
                        .values((seal_keys::id.eq(id), seal_keys::since.eq(now.0)))
                        .on_conflict_do_nothing()
                        .execute(conn)
                        .await?;
                    reseal(conn, seal::SECRET, ("", "")).await?;
                }
                let used = seal_keys::table.select(seal_keys::id);
                let used = used.order(seal_keys::since).load(conn).await?;
                Ok((used, CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }

    /// Seals every text with the first key that is plain or sealed with another one, and forgets the keys of
    /// which nothing is left then; answers how everything stands. Replicas may be at work: what they write
    /// meanwhile stays.
    pub(in crate::store) async fn sealing_rotate(
        &self,
    ) -> Result<(Vec<Resealed>, Vec<Counted>), StoreError> {
        self.sealing_begin().await?;
        let mut all = Vec::new();
        for column in ALL {
            let mut done = Resealed::of(column);
            let mut after = Some((String::new(), String::new()));
            // Ends because every page begins behind the last row of the one before.
            while let Some((first, second)) = after {
                let page = self.write::<_, StoreError, _>(move |conn| {
                    async move {
                        let page = reseal(conn, column, (&first, &second)).await?;
                        Ok((page, CommitNotice::NONE))
                    }
                    .boxed()
                });
                let (next, texts) = page.await?;
                done.texts += texts;
                after = next;
            }
            all.push(done);
        }
        let counted = self.sealing_status().await?;
        self.sealing_forget(&counted).await?;
        Ok((all, counted))
    }

    /// How many texts of each column each key has sealed.
    pub(in crate::store) async fn sealing_status(&self) -> Result<Vec<Counted>, StoreError> {
        let mut all = Vec::new();
        for column in ALL {
            let counted = self.read(move |conn| count(conn, column).boxed());
            all.extend(counted.await?);
        }
        Ok(all)
    }

    /// Forgets the keys of which nothing is sealed any more.
    async fn sealing_forget(&self, used: &[Counted]) -> Result<(), StoreError> {
        let mut used: Vec<String> = (used.iter().filter_map(Counted::key))
            .map(str::to_owned)
            .collect();
        self.write(move |conn| {
            async move {
                used.extend(seal::present()?.sealing().map(str::to_owned));
                diesel::delete(seal_keys::table.filter(seal_keys::id.ne_all(used)))
                    .execute(conn)
                    .await?;
                Ok(((), CommitNotice::NONE))
            }
            .boxed()
        })
        .await
    }
}

/// Seals some texts behind `after` with the first key that it has not sealed; answers behind which row to go
/// on, where there may be more, and how many it sealed. It waits for no row that somebody else holds: a turn
/// that takes rows in another order would wait for us.
async fn reseal(
    conn: &mut Conn,
    column: Column,
    after: (&str, &str),
) -> Result<(Option<(String, String)>, u64), StoreError> {
    let sealer = seal::present()?;
    let Some(id) = sealer.sealing() else {
        return Ok((None, 0));
    };
    let (table, name) = (column.table, column.name);
    let (second, behind, order, here) = match column.keys {
        [one] => (
            "''".to_owned(),
            format!("{one} > $1 AND $2 = ''"),
            (*one).to_owned(),
            format!("{one} = $2 AND $3 = ''"),
        ),
        keys => {
            let all = keys.join(", ");
            (
                keys[1].to_owned(),
                format!("({all}) > ($1, $2)"),
                all,
                format!("{} = $2 AND {} = $3", keys[0], keys[1]),
            )
        }
    };
    // How a text begins is no part of what was sealed.
    let found: Vec<Found> = sql_query(format!(
        "SELECT {} AS first, {second} AS second, {name} AS value FROM {table}
         WHERE {behind} AND {name} NOT LIKE '{PREFIX}{id}:%' ORDER BY {order} LIMIT {ROWS_AT_ONCE} {}",
        column.keys[0],
        dialect::UNHELD
    ))
    .bind::<Text, _>(after.0)
    .bind::<Text, _>(after.1)
    .load(conn)
    .await?;
    let change = format!("UPDATE {table} SET {name} = $1 WHERE {here} AND {name} = $4");
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS_AT_ONCE);
    let last = found
        .last()
        .map(|last| (last.first.clone(), last.second.clone()));
    let mut texts = 0;
    for one in found {
        let row = one.row(column);
        let place = column.place(&row);
        let text = match sealer.open(&place, one.value.clone()) {
            Ok(text) => text,
            Err(problem) => {
                aside::set_aside(table, &row.join("/"), &problem);
                continue;
            }
        };
        let new = sealer.seal(&place, text)?;
        // Whoever has written another text since has sealed it.
        let written = sql_query(&change)
            .bind::<Text, _>(&new)
            .bind::<Text, _>(&one.first)
            .bind::<Text, _>(&one.second)
            .bind::<Text, _>(&one.value)
            .execute(conn)
            .await?;
        texts += u64::from(written > 0);
    }
    Ok((last.filter(|_| is_full), texts))
}

async fn count(conn: &mut Conn, column: Column) -> Result<Vec<Counted>, StoreError> {
    let (table, name, begin) = (column.table, column.name, PREFIX.len() + 1);
    let counts: Vec<Count> = sql_query(format!(
        "SELECT CASE WHEN {name} LIKE '{PREFIX}%' THEN substr({name}, {begin}, {ID_CHARACTERS}) ELSE '' END AS id,
                count(*) AS texts
         FROM {table} WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 1"
    ))
    .load(conn)
    .await?;
    let counts = counts.into_iter().map(|Count { id, texts }| {
        let standing = if id.is_empty() {
            Standing::Plain
        } else {
            Standing::Sealed(id)
        };
        Ok(Counted {
            column: column.told(),
            standing,
            texts: number("a count", texts)?,
        })
    });
    counts.collect()
}
