//! Reads the fields of a request and notes every bad one, for the doors and for the service itself; it may
//! not know what they are for, nor messages of a transport.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::settings::RequestSettings;
use crate::domain::{
    error::{BadField, Error},
    text::Text,
    user_data::UserData,
};

/// Bad fields of a request that are noted, and told, at most.
const NOTED: usize = 64;

/// Characters of an id that OpenStack gave.
const FOREIGN_ID_CHARACTERS: usize = 255;

/// The fields of one request.
pub struct Fields<'a> {
    limits: &'a RequestSettings,
    bad: Vec<BadField>,
}

impl<'a> Fields<'a> {
    /// None read yet.
    pub fn new(limits: &'a RequestSettings) -> Self {
        Self {
            limits,
            bad: Vec::new(),
        }
    }

    /// Notes a bad field. Whoever has mended as many as are noted hears of the rest.
    pub fn bad(&mut self, field: &str, problem: impl Into<String>) {
        if self.bad.len() >= NOTED {
            return;
        }
        self.bad.push(BadField {
            field: field.to_owned(),
            problem: problem.into(),
        });
    }

    /// What `result` holds; its problem is noted for the field.
    pub fn take<T: Default, P: Into<String>>(&mut self, field: &str, result: Result<T, P>) -> T {
        result.unwrap_or_else(|problem| {
            self.bad(field, problem);
            T::default()
        })
    }

    /// The answer to all of it: every bad field, or none.
    pub fn done(self) -> Result<(), Error> {
        if self.bad.is_empty() {
            Ok(())
        } else {
            Err(Error::fields(self.bad))
        }
    }

    /// A text must be there.
    pub(super) fn present(&mut self, field: &str, given: &str) {
        if given.trim().is_empty() {
            self.bad(field, "is required");
        }
    }

    /// An id of ours.
    pub fn id(&mut self, field: &str, given: &str) -> Uuid {
        if given.is_empty() {
            self.bad(field, "is required");
            return Uuid::nil();
        }
        let id = Uuid::parse_str(given).map_err(|_| format!("`{}` is not an id", brief(given)));
        self.take(field, id)
    }

    /// An id or a name that OpenStack or the configuration gave.
    pub fn required(&mut self, field: &str, given: String) -> String {
        self.present(field, &given);
        self.foreign(field, given)
    }

    /// The same where it may be missing.
    pub fn optional(&mut self, field: &str, given: String) -> Option<String> {
        Some(self.foreign(field, given)).filter(|text| !text.is_empty())
    }

    fn foreign(&mut self, field: &str, given: String) -> String {
        // It becomes part of a path in a request to a cloud.
        if given
            .chars()
            .any(|character| character.is_control() || "/?#\\".contains(character))
        {
            self.bad(
                field,
                "has characters that no id and no name in OpenStack has",
            );
        }
        self.at_most(field, &given, FOREIGN_ID_CHARACTERS);
        given
    }

    /// A name for people.
    pub fn name(&mut self, field: &str, given: String) -> String {
        self.words(field, given, self.limits.name_characters)
    }

    /// A description for people, which goes to things in a cloud.
    pub fn description(&mut self, field: &str, given: String) -> String {
        self.at_most(field, &given, self.limits.description_characters);
        self.fits(field, Text::Description, &given);
        given
    }

    /// The name of an instance that is to be made; empty means another one.
    pub fn instance_name(&mut self, field: &str, given: String) -> String {
        if given.is_empty() {
            return given;
        }
        self.at_most(field, &given, self.limits.name_characters);
        self.fits(field, Text::InstanceName, &given);
        given
    }

    /// Notes what the service that a text goes into has against it.
    pub fn fits(&mut self, field: &str, text: Text, given: &str) {
        let noted = self.bad.last().is_some_and(|bad| bad.field == field);
        if let Some(problem) = text.problem(given).filter(|_| !noted) {
            self.bad(field, problem);
        }
    }

    /// The word that makes a repeat safe.
    pub fn request_id(&mut self, given: String) -> String {
        self.words("request_id", given, self.limits.request_id_characters)
    }

    /// A text for people or of the caller's own.
    pub fn words(&mut self, field: &str, given: String, most: usize) -> String {
        // Tabs and line ends are words to some; the rest breaks logs, terminals or a database.
        if given
            .chars()
            .any(|one| one.is_control() && !"\t\n\r".contains(one))
        {
            self.bad(field, "has control characters");
        }
        self.at_most(field, &given, most);
        given
    }

    /// User data in base64.
    pub fn user_data(&mut self, field: &str, given: String) -> UserData {
        if STANDARD.decode(&given).is_err() {
            self.bad(field, "is not base64");
        }
        self.at_most(field, &given, self.limits.user_data_characters);
        UserData::new(given)
    }

    /// A text must not be longer than that.
    pub(super) fn at_most(&mut self, field: &str, given: &str, most: usize) {
        let characters = given.chars().count();
        if characters > most {
            self.bad(
                field,
                format!("has {characters} characters, at most {most} are possible"),
            );
        }
    }
}

/// Enough of a text to recognise it.
pub fn brief(text: &str) -> String {
    const CHARACTERS: usize = 60;
    text.chars().take(CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::ErrorKind;

    #[test]
    fn all_bad_fields_are_noted_in_order() {
        let limits = RequestSettings::default();
        let mut fields = Fields::new(&limits);
        fields.id("id", "seven");
        fields.required("cloud", " ".to_owned());
        fields.required("tenant", "../admin".to_owned());
        fields.name("name", "n".repeat(256));
        fields.description("description", "a\nb".to_owned());
        fields.instance_name("instance", "shop ".to_owned());
        fields.user_data("user_data", "#!/bin/sh".to_owned());

        let error = fields.done().expect_err("bad");
        let ErrorKind::Invalid(bad) = error.kind else {
            panic!("{error}")
        };
        let names: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            names,
            [
                "id",
                "cloud",
                "tenant",
                "name",
                "description",
                "instance",
                "user_data"
            ]
        );
    }

    #[test]
    fn bad_fields_are_noted_up_to_a_number() {
        let limits = RequestSettings::default();
        let mut fields = Fields::new(&limits);
        for index in 0..100_000 {
            fields.bad(&format!("networks[{index}]"), "is required");
        }
        let error = fields.done().expect_err("bad");
        let ErrorKind::Invalid(bad) = error.kind else {
            panic!("{error}")
        };
        assert_eq!(bad.len(), NOTED);
    }

    #[test]
    fn unicode_is_counted_in_characters() {
        let limits = RequestSettings::default();
        let mut fields = Fields::new(&limits);
        fields.name("name", "ü".repeat(255));
        assert!(fields.done().is_ok());
    }
}
