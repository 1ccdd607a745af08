//! Pages: the size that is asked for, and tokens that bind a place to the question it belongs to;
//! it may not know what is listed.
//!
//! A token is a seal and a place. The seal is a code (HMAC) over the question and the place under a secret of
//! the database, so that a place which nobody was handed reaches no query, and no log.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    page::{Cursor, OrderValue, PageKey},
    time::Timestamp,
};

/// Bytes of the seal of a token.
const SEAL_BYTES: usize = 32;

/// The refusal of a token.
const NOT_OURS: &str = "is not a token of this list with these fields, or of before an upgrade: start again \
                        without one";

/// The question that a token belongs to: the method and everything that narrows or orders its list.
pub(super) struct Question {
    key: hmac::Key,
    parts: Vec<u8>,
}

impl Question {
    /// A question made of these parts, in this order.
    pub(super) fn new(key: &PageKey, parts: &[&str]) -> Self {
        let mut whole = Vec::new();
        for part in parts {
            // With its length, so that two parts can't be shifted into each other.
            whole.extend(part.len().to_be_bytes());
            whole.extend(part.as_bytes());
        }
        whole.extend(usize::MAX.to_be_bytes());
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()),
            parts: whole,
        }
    }

    /// The token of a place in the answer.
    fn seal<T: Serialize>(&self, place: &T) -> String {
        // A place is plain numbers and texts: writing it can't fail, and an empty one is refused.
        let place = serde_json::to_vec(place).unwrap_or_default();
        let seal = hmac::sign(&self.key, &[&self.parts, place.as_slice()].concat());
        URL_SAFE_NO_PAD.encode([seal.as_ref(), &place].concat())
    }

    /// The place that a token stands for; nothing for the empty token of a first page.
    fn open<T: for<'a> Deserialize<'a>>(&self, token: &str) -> Result<Option<T>, &'static str> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| NOT_OURS)?;
        let (seal, place) = bytes.split_at_checked(SEAL_BYTES).ok_or(NOT_OURS)?;
        let sealed = [&self.parts, place].concat();
        hmac::verify(&self.key, &sealed, seal).map_err(|_| NOT_OURS)?;
        serde_json::from_slice(place)
            .map(Some)
            .map_err(|_| NOT_OURS)
    }
}

/// A row of ours as it is written into a token.
#[derive(Serialize, Deserialize)]
enum Row {
    #[serde(rename = "t")]
    Time(i64, Uuid),
    #[serde(rename = "x")]
    Text(String, Uuid),
}

/// The token of the page behind a row of ours; empty when there is none.
pub(super) fn token(question: &Question, next: Option<Cursor>) -> String {
    let Some(Cursor { value, id }) = next else {
        return String::new();
    };
    question.seal(&match value {
        OrderValue::Time(time) => Row::Time(time.0, id),
        OrderValue::Text(text) => Row::Text(text, id),
    })
}

/// The row of ours behind which the page of a token starts.
pub(super) fn cursor(question: &Question, token: &str) -> Result<Option<Cursor>, &'static str> {
    let row = question.open::<Row>(token)?;
    Ok(row.map(|row| match row {
        Row::Time(time, id) => Cursor {
            value: OrderValue::Time(Timestamp(time)),
            id,
        },
        Row::Text(text, id) => Cursor {
            value: OrderValue::Text(text),
            id,
        },
    }))
}

/// The size of a page; what is too much is cut, what is negative is refused.
pub(super) fn size(asked: i32, default: u32, most: u32) -> Result<u32, &'static str> {
    match u32::try_from(asked) {
        Ok(0) => Ok(default.min(most)),
        Ok(size) => Ok(size.min(most)),
        Err(_) => Err("is negative"),
    }
}

/// One page of a list that a cloud gave as a whole, by name and then id, and the token of the next.
///
/// A place is a name and an id, so what comes or goes meanwhile neither repeats nor hides a row.
pub(super) fn cut<T>(
    question: &Question,
    mut rows: Vec<T>,
    key: impl Fn(&T) -> (String, String),
    page_token: &str,
    size: u32,
) -> Result<(Vec<T>, String), &'static str> {
    let after = question.open::<(String, String)>(page_token)?;
    rows.sort_by_cached_key(&key);
    if let Some(after) = after {
        rows.retain(|row| key(row) > after);
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = match rows.last() {
        Some(last) if more => question.seal(&key(last)),
        Some(_) | None => String::new(),
    };
    Ok((rows, next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(parts: &[&str]) -> Question {
        Question::new(&PageKey::new("of a database".to_owned()), parts)
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        let value = prop_oneof![
            any::<i64>().prop_map(|time| OrderValue::Time(Timestamp(time))),
            any::<String>().prop_map(OrderValue::Text),
        ];
        (value, any::<u128>()).prop_map(|(value, id)| Cursor {
            value,
            id: Uuid::from_u128(id),
        })
    }

    proptest! {
        #[test]
        fn a_token_reads_back_under_the_same_question(place in cursors(), asked: String) {
            let question = question(&["ListDRBackups", &asked]);
            let token = token(&question, Some(place.clone()));
            prop_assert_eq!(cursor(&question, &token), Ok(Some(place)));
        }

        #[test]
        fn a_token_is_refused_under_another_question(place in cursors(), one: String, two: String) {
            prop_assume!(one != two);
            let token = token(&question(&["List", &one]), Some(place));
            prop_assert_eq!(cursor(&question(&["List", &two]), &token), Err(NOT_OURS));
        }

        #[test]
        fn no_text_breaks_the_reading_of_tokens(text: String) {
            prop_assume!(!text.is_empty());
            prop_assert!(cursor(&question(&["List"]), &text).is_err());
        }

        #[test]
        fn pages_of_a_list_are_the_list(
            names in prop::collection::btree_set(("[a-c]{0,2}", "[a-z]{1,3}"), 0..20),
            size in 1_u32..5,
        ) {
            let question = question(&["ListFlavors"]);
            let rows: Vec<(String, String)> = names.iter().cloned().rev().collect();
            let mut seen = Vec::new();
            let mut token = String::new();
            loop {
                let (page, next) =
                    cut(&question, rows.clone(), Clone::clone, &token, size).expect("our token");
                seen.extend(page);
                if next.is_empty() {
                    break;
                }
                token = next;
            }
            prop_assert_eq!(seen, names.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_token_is_taken_that_another_database_or_nobody_has_sealed() {
        let place = Cursor {
            value: OrderValue::Text("a name\nwith \u{1b}[31m".to_owned()),
            id: Uuid::nil(),
        };
        let parts = ["ListDRBackups", "", "name"];
        let ours = question(&parts);
        let good = token(&ours, Some(place.clone()));
        assert_eq!(cursor(&ours, &good), Ok(Some(place.clone())));
        let elsewhere = Question::new(&PageKey::new("of another".to_owned()), &parts);
        let foreign = token(&elsewhere, Some(place));
        assert_eq!(cursor(&ours, &foreign), Err(NOT_OURS));
        let bytes = URL_SAFE_NO_PAD.decode(&good).expect("our own");
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(cursor(&ours, &forged), Err(NOT_OURS), "byte {place}");
        }
        // As they were before they had a seal.
        let old = [
            [7_u8; 8].as_slice(),
            br#"{"x":["a","00000000-0000-0000-0000-000000000000"]}"#.as_slice(),
        ];
        let old = URL_SAFE_NO_PAD.encode(old.concat());
        assert_eq!(cursor(&ours, &old), Err(NOT_OURS));
    }

    #[test]
    fn two_parts_are_not_one() {
        let token = token(
            &question(&["ab", "c"]),
            Some(Cursor {
                value: OrderValue::Text(String::new()),
                id: Uuid::nil(),
            }),
        );
        assert_eq!(cursor(&question(&["a", "bc"]), &token), Err(NOT_OURS));
    }

    #[test]
    fn a_page_is_cut_to_what_is_possible() {
        assert_eq!(size(0, 50, 1000), Ok(50));
        assert_eq!(size(5000, 50, 1000), Ok(1000));
        assert!(size(-1, 50, 1000).is_err());
    }
}
