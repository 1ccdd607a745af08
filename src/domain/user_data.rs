//! What an instance is told when it first starts, often with passwords in it; it may not know where it is
//! kept, nor who may see it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// User data, base64 as Nova keeps it. It is written like any text where it is stored or sent; a log line or
/// an error that prints it says only that it was there.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserData(String);

impl UserData {
    /// User data in base64.
    pub fn new(base64: impl Into<String>) -> Self {
        Self(base64.into())
    }

    /// The base64 of it, for whoever sends it on.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it, which is how a caller says that an instance is to have none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_stored_as_a_text_and_printed_as_none() {
        let data = UserData::new("c2VjcmV0");
        assert_eq!(serde_json::to_string(&data).unwrap(), r#""c2VjcmV0""#);
        let read: UserData = serde_json::from_str(r#""c2VjcmV0""#).unwrap();
        assert_eq!(read, data);
        assert_eq!(format!("{:?}", Some(data)), "Some([redacted])");
    }
}
