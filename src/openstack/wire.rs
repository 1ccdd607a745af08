//! How OpenStack writes simple values in JSON; this file may not know which service wrote them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::Value;

use crate::domain::{manifest::Properties, user_data::UserData};

/// `null` is as good as missing.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A name, a status or the like: no more of it than the services keep, and nothing for `null`.
pub(super) fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(cut(&nullable::<D, String>(deserializer)?))
}

/// A number, or its digits, or nothing at all (`"swap": ""`).
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::String(text) => text.parse().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => 0,
    })
}

/// More GiB than this nothing has: Cinder keeps sizes in 32 bits, and sums of them must stay numbers.
const GIB_MAX: u64 = 1 << 31;

/// A size in GiB, or nothing for `null`.
pub(super) fn gib<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(as_gib(nullable(deserializer)?))
}

/// A size in GiB that can be reckoned with.
pub(super) fn as_gib(told: u64) -> u64 {
    told.min(GIB_MAX)
}

/// A flag, or its word in any case (`"config_drive": "True"`).
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => flag,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    })
}

/// Names and values, whatever the type of a value.
pub(super) fn properties<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Properties, D::Error> {
    let map = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(map
        .into_iter()
        .filter_map(|(key, value)| Some((key, plain(value)?)))
        .collect())
}

/// User data that is shown, even if there is none; with `default`, nothing when it is missing.
pub(super) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UserData>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(Some(UserData::new(plain(value).unwrap_or_default())))
}

/// A scalar as text.
pub(super) fn plain(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The names and values of an object in the order of the document, which a map would lose.
#[derive(Debug, Clone)]
pub(super) struct InOrder<T>(pub(super) Vec<T>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for InOrder<(String, T)> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Entries<T> {
            type Value = InOrder<(String, T)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                // Ends with the object.
                while let Some(entry) = map.next_entry::<String, T>()? {
                    values.push(entry);
                }
                Ok(InOrder(values))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Cuts a text to what the services keep (255 characters of a name or description).
pub(super) fn cut(text: &str) -> String {
    const CHARACTERS_MAX: usize = 255;
    text.chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "number")]
        swap: u64,
        #[serde(default, deserialize_with = "flag")]
        drive: bool,
        #[serde(default, deserialize_with = "nullable")]
        name: String,
        #[serde(default, deserialize_with = "properties")]
        metadata: Properties,
        #[serde(default)]
        addresses: InOrder<(String, u32)>,
        #[serde(default, deserialize_with = "short")]
        status: String,
        #[serde(default, deserialize_with = "gib")]
        size: u64,
    }

    #[test]
    fn sizes_can_be_summed() {
        for (size, read) in [("null", 0), ("7", 7), ("18446744073709551615", GIB_MAX)] {
            let row: Row = serde_json::from_str(&format!(r#"{{"size": {size}}}"#)).unwrap();
            assert_eq!(row.size, read);
        }
    }

    #[test]
    fn no_more_of_a_status_is_read_than_a_service_keeps() {
        let row = |status: &str| -> Row {
            serde_json::from_str(&format!(r#"{{"status": {status}}}"#)).unwrap()
        };
        assert_eq!(row("null").status, "");
        assert_eq!(row(r#""ACTIVE""#).status, "ACTIVE");
        let long = format!(r#""{}""#, "ü".repeat(100_000));
        assert_eq!(row(&long).status.chars().count(), 255);
    }

    #[test]
    fn loose_values_are_read() {
        let row: Row = serde_json::from_str(
            r#"{"swap": "", "drive": "True", "name": null, "metadata": {"a": 1, "b": "x"},
                "addresses": {"z": 1, "a": 2}, "unknown": []}"#,
        )
        .unwrap();
        assert_eq!((row.swap, row.drive, row.name.as_str()), (0, true, ""));
        assert_eq!(row.metadata["a"], "1");
        assert_eq!(row.addresses.0, [("z".to_owned(), 1), ("a".to_owned(), 2)]);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(300)).chars().count(), 255);
    }
}
