//! The tables of the original, as its own exporter writes their rows; this file may not know what
//! becomes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::Reading;

/// A row and where it stood.
#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) line: usize,
    pub(super) fields: T,
}

/// The rows of a table by their `pk`, in the order of the lines.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<(String, Row<T>)>,
    places: BTreeMap<String, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<T> Table<T> {
    /// The row that another one refers to.
    pub(super) fn get(&self, key: &Key) -> Option<&T> {
        let place = self.places.get(key.0.as_deref()?)?;
        self.rows.get(*place).map(|(_, row)| &row.fields)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Row<T>)> {
        self.rows.iter().map(|(key, row)| (key.as_str(), row))
    }
}

impl<T: DeserializeOwned> Table<T> {
    fn take(&mut self, key: String, line: usize, fields: Value) -> Result<(), String> {
        if self.places.contains_key(&key) {
            return Err(format!("there is a row with the pk {key} before it"));
        }
        let fields = serde_json::from_value(fields).map_err(|error| error.to_string())?;
        self.places.insert(key.clone(), self.rows.len());
        self.rows.push((key, Row { line, fields }));
        Ok(())
    }
}

/// A reference to a row by its `pk`; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(key_of(&Value::deserialize(deserializer)?)))
    }
}

fn key_of(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A column that holds JSON: the exporter writes it as text, other tools as it is.
fn json_column<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Object(object) => object,
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Map::new(),
    })
}

/// A column that may be null, which means the same as empty.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A state: a number from 0.4 on, a word before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum OldState {
    Code(i64),
    Word(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct DrBackupRow {
    pub(super) uuid: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default)]
    pub(super) created: Option<String>,
    #[serde(default)]
    pub(super) modified: Option<String>,
    pub(super) state: OldState,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) error_message: String,
    pub(super) tenant: Key,
    #[serde(default)]
    pub(super) source_instance: Key,
    #[serde(default)]
    pub(super) backup_schedule: Key,
    #[serde(default)]
    pub(super) kept_until: Option<String>,
    #[serde(default, deserialize_with = "json_column")]
    pub(super) metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) volume_backups: Vec<Key>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VolumeBackupRow {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) backend_id: String,
    pub(super) tenant: Key,
    #[serde(default)]
    pub(super) source_volume: Key,
    /// MiB.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) size: u64,
    pub(super) state: OldState,
    #[serde(default, deserialize_with = "json_column")]
    pub(super) metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) record: Key,
}

#[derive(Debug, Deserialize)]
pub(super) struct RecordRow {
    pub(super) service: String,
    #[serde(default, deserialize_with = "json_column")]
    pub(super) details: Map<String, Value>,
}

/// What has an id in a cloud: an instance, a volume, a tenant.
#[derive(Debug, Deserialize)]
pub(super) struct BackendRow {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) backend_id: String,
    #[serde(default)]
    pub(super) tenant: Key,
}

#[derive(Debug, Deserialize)]
pub(super) struct ScheduleRow {
    pub(super) uuid: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default)]
    pub(super) created: Option<String>,
    pub(super) schedule: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) timezone: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) is_active: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) backup_type: String,
    pub(super) instance: Key,
    /// Days; 0 means for ever.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) retention_time: u32,
    #[serde(
        default,
        alias = "maximal_number_of_backups",
        deserialize_with = "nullable"
    )]
    pub(super) maximal_number_of_resources: u32,
}

/// All tables that something is read out of.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) dr_backups: Table<DrBackupRow>,
    pub(super) volume_backups: Table<VolumeBackupRow>,
    pub(super) records: Table<RecordRow>,
    pub(super) volumes: Table<BackendRow>,
    pub(super) instances: Table<BackendRow>,
    pub(super) tenants: Table<BackendRow>,
    pub(super) schedules: Table<ScheduleRow>,
}

#[derive(Deserialize)]
struct Line {
    model: String,
    pk: Value,
    fields: Value,
}

impl Tables {
    /// Takes every line; what cannot be read is left, and what nothing is read for is counted.
    pub(super) fn read(text: &str, reading: &mut Reading) -> Self {
        let mut tables = Self::default();
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let Line {
                model: label,
                pk,
                fields,
            } = match serde_json::from_str(line) {
                Ok(line) => line,
                Err(error) => {
                    let why = format!("it is no row of an export: {error}");
                    reading.leave(number, "line", "", why);
                    continue;
                }
            };
            let Some(key) = key_of(&pk) else {
                reading.leave(number, &label, "", "its pk is missing".to_owned());
                continue;
            };
            let model = label.rsplit('.').next().unwrap_or_default();
            let model = model.to_ascii_lowercase();
            let taken = match model.as_str() {
                "drbackup" => tables.dr_backups.take(key, number, fields),
                "volumebackup" => tables.volume_backups.take(key, number, fields),
                "volumebackuprecord" => tables.records.take(key, number, fields),
                "volume" => tables.volumes.take(key, number, fields),
                "instance" => tables.instances.take(key, number, fields),
                "tenant" => tables.tenants.take(key, number, fields),
                "backupschedule" => tables.schedules.take(key, number, fields),
                _ => {
                    *reading.ignored.entry(label.clone()).or_default() += 1;
                    Ok(())
                }
            };
            if let Err(why) = taken {
                reading.leave(number, &label, "", why);
            }
        }
        tables
    }
}
