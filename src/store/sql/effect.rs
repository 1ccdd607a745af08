//! The rows of ledgers; it may not know planners or clouds.

use std::collections::BTreeMap;

use diesel::{prelude::*, upsert::excluded};
use diesel_async::RunQueryDsl;

use super::{Conn, Handle, dialect, operation, prepared::Prepared};
use crate::{
    domain::{
        effect::{Disposal, Effect, EffectState},
        id::{EffectKey, Lane, OperationId, ResourceId},
        operation::Leftover,
        time::Timestamp,
    },
    port::{journal::Turn, store::StoreError},
    store::{
        aside,
        schema::effects,
        seal,
        text::{from_json_option, from_word, json_option, number, tenant, word},
    },
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = effects, treat_none_as_default_value = false)]
struct Row {
    operation: String,
    key: String,
    ordinal: i64,
    cloud: String,
    project: String,
    name: String,
    request: String,
    disposal: String,
    state: String,
    external: Option<String>,
    status: Option<String>,
    fact: Option<String>,
    fault: Option<String>,
    held: Option<String>,
    attempt: i64,
    changed: i64,
}

/// Writes the rows of many ledgers, new or changed.
pub(super) async fn put(conn: &mut Handle<'_>, turns: &[(&Lane, &Turn)]) -> Result<(), StoreError> {
    // One statement may not touch a row twice, so the last word on each row counts.
    let mut last = BTreeMap::new();
    for (_, turn) in turns {
        for effect in &turn.effects {
            last.insert((turn.operation, &effect.key), effect);
        }
    }
    let rows: Vec<Row> = last
        .into_iter()
        .map(|((operation, _), effect)| Row::of(operation, effect))
        .collect::<Result<_, _>>()?;
    dialect::each!(conn, &rows, |row| Prepared(
        diesel::insert_into(effects::table)
            .values(row)
            .on_conflict((effects::operation, effects::key))
            .do_update()
            .set((
                effects::ordinal.eq(excluded(effects::ordinal)),
                effects::cloud.eq(excluded(effects::cloud)),
                effects::project.eq(excluded(effects::project)),
                effects::name.eq(excluded(effects::name)),
                effects::request.eq(excluded(effects::request)),
                effects::disposal.eq(excluded(effects::disposal)),
                effects::state.eq(excluded(effects::state)),
                effects::external.eq(excluded(effects::external)),
                effects::status.eq(excluded(effects::status)),
                effects::fact.eq(excluded(effects::fact)),
                effects::fault.eq(excluded(effects::fault)),
                effects::held.eq(excluded(effects::held)),
                effects::attempt.eq(excluded(effects::attempt)),
                effects::changed.eq(excluded(effects::changed)),
            ))
    )
    .execute(conn));
    Ok(())
}

/// The rows of several ledgers, each as it can be read, by the id of its operation.
pub(super) async fn of_operations(
    conn: &mut Conn,
    ids: &[String],
) -> Result<Vec<(String, Result<Effect, StoreError>)>, StoreError> {
    let rows: Vec<Row> = effects::table
        .filter(effects::operation.eq_any(ids))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let read = rows.into_iter().map(|row| {
        let (operation, key) = (row.operation.clone(), row.key.clone());
        let effect = Effect::try_from(row).inspect_err(|problem| {
            aside::set_aside("effect", &format!("{key} of {operation}"), problem);
        });
        (operation, effect)
    });
    Ok(read.collect())
}

/// What the ended operations of a resource made, were to remove, and could not.
pub(super) async fn leftovers(
    conn: &mut Conn,
    about: ResourceId,
) -> Result<Vec<Leftover>, StoreError> {
    let ids = operation::ended_of(conn, about).await?;
    let mut left: Vec<Leftover> = of_operations(conn, &ids)
        .await?
        .into_iter()
        // What cannot be read was set aside and told already.
        .filter_map(|(_, effect)| effect.ok())
        .filter(|effect| match (effect.disposal, effect.state) {
            // What it was to make and what stands is the resource's own.
            (Disposal::Keep, _)
            | (_, EffectState::Gone)
            | (Disposal::Product, EffectState::Done) => false,
            (Disposal::Product | Disposal::Temporary, _) => true,
        })
        .filter_map(|effect| {
            Some(Leftover {
                thing: effect.thing()?,
                tenant: effect.tenant,
            })
        })
        .collect();
    left.sort();
    left.dedup();
    Ok(left)
}

impl Row {
    fn of(operation: OperationId, effect: &Effect) -> Result<Self, StoreError> {
        let operation = operation.to_string();
        let row = [operation.as_str(), effect.key.as_str()];
        let fact = effect
            .fact
            .as_ref()
            .map(|fact| seal::FACT.write(&row, fact));
        Ok(Self {
            key: effect.key.as_str().to_owned(),
            ordinal: i64::from(effect.ordinal),
            cloud: effect.tenant.cloud.as_str().to_owned(),
            project: effect.tenant.project.as_str().to_owned(),
            name: effect.name.clone(),
            request: seal::REQUEST.write(&row, &effect.request)?,
            disposal: word(&effect.disposal)?,
            state: effect.state.name().to_owned(),
            external: effect.cloud_id.clone(),
            status: effect.status.clone(),
            fact: fact.transpose()?,
            fault: json_option(effect.fault.as_ref())?,
            held: json_option(effect.held.as_ref())?,
            attempt: i64::from(effect.attempt),
            changed: effect.changed.0,
            operation,
        })
    }
}

impl TryFrom<Row> for Effect {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let place = [row.operation.as_str(), row.key.as_str()];
        let request = seal::REQUEST.read(&place, "the request of an effect", row.request)?;
        let fact = row.fact;
        let fact = fact.map(|fact| seal::FACT.read(&place, "the fact of an effect", fact));
        let fact = fact.transpose()?;
        Ok(Self {
            key: EffectKey::new(row.key),
            ordinal: number("the ordinal of an effect", row.ordinal)?,
            tenant: tenant(row.cloud, row.project),
            name: row.name,
            request,
            disposal: from_word("the disposal of an effect", row.disposal)?,
            state: from_word("the state of an effect", row.state)?,
            cloud_id: row.external,
            status: row.status,
            fact,
            fault: from_json_option("the fault of an effect", row.fault)?,
            held: from_json_option("the holder of an effect", row.held)?,
            attempt: number("the attempts of an effect", row.attempt)?,
            changed: Timestamp(row.changed),
        })
    }
}
