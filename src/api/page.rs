//! Pages: the size that is asked for, and tokens that bind a place to the question it belongs to;
//! it may not know what is listed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::{
    page::{Cursor, OrderValue},
    time::Timestamp,
};

/// Bytes of the digest in a token: enough that another question is noticed.
const BINDING_BYTES: usize = 8;

/// The refusal of a token.
const NOT_OURS: &str = "is not a token of this list with these fields: start again without one";

/// The question that a token belongs to: the method and everything that narrows or orders its list.
pub(super) struct Question([u8; BINDING_BYTES]);

impl Question {
    /// A question made of these parts, in this order.
    pub(super) fn new(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            // With its length, so that two parts can't be shifted into each other.
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut binding = [0; BINDING_BYTES];
        for (to, from) in binding.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Self(binding)
    }

    /// The token of a place in the answer.
    fn seal<T: Serialize>(&self, place: &T) -> String {
        let mut bytes = self.0.to_vec();
        // A place is plain numbers and texts: writing it can't fail, and an empty one is refused.
        bytes.extend(serde_json::to_vec(place).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a token stands for; nothing for the empty token of a first page.
    fn open<T: for<'a> Deserialize<'a>>(&self, token: &str) -> Result<Option<T>, &'static str> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| NOT_OURS)?;
        let (binding, place) = bytes.split_at_checked(BINDING_BYTES).ok_or(NOT_OURS)?;
        if binding != self.0 {
            return Err(NOT_OURS);
        }
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
            let question = Question::new(&["ListDRBackups", &asked]);
            let token = token(&question, Some(place.clone()));
            prop_assert_eq!(cursor(&question, &token), Ok(Some(place)));
        }

        #[test]
        fn a_token_is_refused_under_another_question(place in cursors(), one: String, two: String) {
            prop_assume!(one != two);
            let token = token(&Question::new(&["List", &one]), Some(place));
            prop_assert_eq!(cursor(&Question::new(&["List", &two]), &token), Err(NOT_OURS));
        }

        #[test]
        fn no_text_breaks_the_reading_of_tokens(text: String) {
            prop_assume!(!text.is_empty());
            prop_assert!(cursor(&Question::new(&["List"]), &text).is_err());
        }

        #[test]
        fn pages_of_a_list_are_the_list(
            names in prop::collection::btree_set(("[a-c]{0,2}", "[a-z]{1,3}"), 0..20),
            size in 1_u32..5,
        ) {
            let question = Question::new(&["ListFlavors"]);
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
    fn two_parts_are_not_one() {
        let token = token(
            &Question::new(&["ab", "c"]),
            Some(Cursor {
                value: OrderValue::Text(String::new()),
                id: Uuid::nil(),
            }),
        );
        assert_eq!(cursor(&Question::new(&["a", "bc"]), &token), Err(NOT_OURS));
    }

    #[test]
    fn a_page_is_cut_to_what_is_possible() {
        assert_eq!(size(0, 50, 1000), Ok(50));
        assert_eq!(size(5000, 50, 1000), Ok(1000));
        assert!(size(-1, 50, 1000).is_err());
    }
}
