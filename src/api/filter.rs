//! The small language of `filter` and `order_by`; it may not know how rows are found.
//!
//! ```text
//! filter   = [ term { "AND" term } ]
//! term     = field operator value
//! operator = "=" | ">=" | "<"
//! value    = '"' text '"' | "'" text "'" | word         in a text \ stands before a quote or a \
//! order_by = [ field [ "desc" ] ]
//! ```

use std::{fmt, iter::Peekable, str::Chars};

use super::point_summary::PointSummary;
use crate::domain::{
    id::{CloudName, PointId, PointKind, ProjectId, ServerId},
    lifecycle::State,
    page::{Filter, Order, OrderField},
    schedule::RunOutcome,
    time::Timestamp,
};

/// Characters of a filter at most.
const FILTER_CHARACTERS: usize = 4096;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// The same.
    Equal,
    /// At that or after it.
    From,
    /// Before that.
    Before,
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Equal => "=",
            Self::From => ">=",
            Self::Before => "<",
        })
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// The field.
    pub(super) field: String,
    /// How it is compared.
    pub(super) operator: Operator,
    /// With what.
    pub(super) value: String,
}

/// The filter of a list of points of a kind.
pub(super) fn points(kind: PointKind, text: &str) -> Result<Filter, String> {
    let filter = ours(
        text,
        &["instance_id", "schedule_id"],
        |filter, field, value| {
            if field == "schedule_id" {
                filter.schedule = Some(id(field, value)?);
            } else {
                filter.server = Some(ServerId::new(value));
            }
            Ok(())
        },
    )?;
    Ok(Filter {
        kind: Some(kind),
        ..filter
    })
}

/// The filter of a list of schedules.
pub(super) fn schedules(text: &str) -> Result<Filter, String> {
    let own = ["instance_id", "is_active"];
    let filter = ours(text, &own, |filter, field, value| {
        if field == "instance_id" {
            filter.server = Some(ServerId::new(value));
            return Ok(());
        }
        let active = value.parse();
        filter.active = Some(active.map_err(|_| format!("{field} is true or false"))?);
        Ok(())
    })?;
    if filter.states.is_empty() {
        return Ok(filter);
    }
    Err("there is no field `state`; is_active tells whether one runs".to_owned())
}

/// The filter of a list of runs: an outcome, where one is named.
pub(super) fn runs(text: &str) -> Result<Option<RunOutcome>, String> {
    let mut outcome = None;
    for (_, name) in texts(text, &["outcome"])? {
        let read = RunOutcome::from_name(&name);
        outcome = Some(read.ok_or_else(|| {
            let known = RunOutcome::ALL.map(RunOutcome::name).join(", ");
            format!("`{name}` is no outcome; there are: {known}")
        })?);
    }
    Ok(outcome)
}

/// The filter of a list of restorations.
pub(super) fn restorations(text: &str) -> Result<Filter, String> {
    ours(
        text,
        &["dr_backup_id", "backup_id"],
        |filter, field, value| {
            filter.points.push(match field {
                "backup_id" => PointId::regular(id(field, value)?),
                _ => PointId::dr(id(field, value)?),
            });
            Ok(())
        },
    )
}

/// An id of ours.
fn id<T: std::str::FromStr>(field: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{field}: `{value}` is not an id"))
}

/// The filter of a list of ours, with the fields that only this list has.
fn ours(
    text: &str,
    own: &[&str],
    take_own: impl Fn(&mut Filter, &str, &str) -> Result<(), String>,
) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for Term {
        field,
        operator,
        value,
    } in once_each(text)?
    {
        match (field.as_str(), operator) {
            ("cloud", Operator::Equal) => filter.cloud = Some(CloudName::new(value)),
            ("tenant", Operator::Equal) => filter.project = Some(ProjectId::new(value)),
            ("name", Operator::Equal) => filter.name = Some(value),
            ("state", Operator::Equal) => filter.states = vec![state(&value)?],
            ("create_time", Operator::From) => filter.created_from = Some(time(&value)?),
            ("create_time", Operator::Before) => filter.created_before = Some(time(&value)?),
            ("create_time", Operator::Equal) => {
                return Err("create_time is compared with >= or <".to_owned());
            }
            (field, Operator::Equal) if own.contains(&field) => {
                take_own(&mut filter, field, &value)?;
            }
            ("cloud" | "tenant" | "name" | "state", Operator::From | Operator::Before) => {
                return Err(format!("{field} is compared with ="));
            }
            (field, _) if own.contains(&field) => {
                return Err(format!("{field} is compared with ="));
            }
            (field, _) => {
                return Err(format!(
                    "there is no field `{field}`; there are: cloud, tenant, {}, name, state, create_time",
                    own.join(", ")
                ));
            }
        }
    }
    Ok(filter)
}

/// The texts that fields of a row of a cloud must have, for a list that is narrowed here.
pub(super) fn texts(text: &str, known: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut texts = Vec::new();
    for Term {
        field,
        operator,
        value,
    } in once_each(text)?
    {
        if !known.contains(&field.as_str()) {
            return Err(format!(
                "there is no field `{field}`; there are: {}",
                known.join(", ")
            ));
        }
        if operator != Operator::Equal {
            return Err(format!("{field} is compared with ="));
        }
        texts.push((field, value));
    }
    Ok(texts)
}

/// The order of a list of ours.
pub(super) fn order(text: &str) -> Result<Order, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (field, descending) = match words.as_slice() {
        [] => return Ok(Order::default()),
        [field] => (*field, false),
        [field, "desc"] => (*field, true),
        _ => return Err("is one field, and `desc` behind it for the largest first".to_owned()),
    };
    let field = match field {
        "create_time" => OrderField::Created,
        "update_time" => OrderField::Updated,
        "name" => OrderField::Name,
        _ => {
            return Err(format!(
                "there is no order by `{field}`; there are: create_time, update_time, name"
            ));
        }
    };
    Ok(Order { field, descending })
}

/// Whether a backup is one of those that a filter lets through, as the store would judge.
pub(super) fn fits(filter: &Filter, point: &PointSummary) -> bool {
    fn same<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == is)
    }
    same(filter.kind.as_ref(), &point.id.kind)
        && same(filter.cloud.as_ref(), &point.tenant.cloud)
        && same(filter.project.as_ref(), &point.tenant.project)
        && same(filter.server.as_ref(), &point.server)
        && (filter.schedule.is_none() || filter.schedule == point.schedule)
        && (filter.states.is_empty() || filter.states.contains(&point.state))
        && same(filter.name.as_ref(), &point.name)
        && filter.created_from.is_none_or(|from| point.created >= from)
        && filter
            .created_before
            .is_none_or(|before| point.created < before)
}

fn state(name: &str) -> Result<State, String> {
    // DELETED is only ever told by an event, nothing is listed in it.
    let possible = || {
        State::ALL
            .into_iter()
            .filter(|state| *state != State::Deleted)
    };
    possible()
        .find(|state| state.name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = possible().map(State::name).collect();
            format!(
                "there is no state `{name}`; there are: {}",
                names.join(", ")
            )
        })
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("`{text}` is not a time such as 2026-01-31T00:00:00Z"))
}

/// The terms of a filter, no field twice in the same sense.
fn once_each(text: &str) -> Result<Vec<Term>, String> {
    let terms = parse(text)?;
    for (index, term) in terms.iter().enumerate() {
        let before = terms.iter().take(index);
        if before
            .clone()
            .any(|one| one.field == term.field && one.operator == term.operator)
        {
            return Err(format!("{} {} is there twice", term.field, term.operator));
        }
    }
    Ok(terms)
}

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Vec<Term>, String> {
    if text.chars().count() > FILTER_CHARACTERS {
        return Err(format!("is longer than {FILTER_CHARACTERS} characters"));
    }
    let mut reader = Reader {
        rest: text.chars().peekable(),
        at: 0,
    };
    let mut terms = Vec::new();
    reader.skip_blanks();
    if reader.peek().is_none() {
        return Ok(terms);
    }
    loop {
        let field = reader.word("a field")?;
        if matches!(field.as_str(), "AND" | "OR" | "NOT") {
            return Err(reader.expected(&format!("a field, not {field}")));
        }
        reader.skip_blanks();
        let operator = reader.operator()?;
        reader.skip_blanks();
        let value = reader.value()?;
        terms.push(Term {
            field,
            operator,
            value,
        });
        reader.skip_blanks();
        if reader.peek().is_none() {
            return Ok(terms);
        }
        if reader.word("AND")? != "AND" {
            return Err(reader.expected("AND (in capitals; there is no OR)"));
        }
        reader.skip_blanks();
    }
}

/// Reads a text from left to right, and knows where it is.
struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.rest.next()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn expected(&self, what: &str) -> String {
        format!("near character {}: expected {what}", self.at)
    }

    fn word(&mut self, what: &str) -> Result<String, String> {
        let mut word = String::new();
        while let Some(character) = self.peek().filter(|character| is_of_word(*character)) {
            word.push(character);
            self.next();
        }
        if word.is_empty() {
            return Err(self.expected(what));
        }
        Ok(word)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let first = self.next();
        let equals = |reader: &mut Self| reader.peek() == Some('=');
        match first {
            Some('=') => Ok(Operator::Equal),
            Some('>') if equals(self) => {
                self.next();
                Ok(Operator::From)
            }
            Some('<') if !equals(self) => Ok(Operator::Before),
            Some(_) | None => Err(self.expected("=, >= or <")),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.next();
                self.quoted(quote)
            }
            Some(_) | None => self.word("a value, in quotes unless it is one word"),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.expected(&format!("{quote} at the end of the value"))),
                Some('\\') => match self.next() {
                    Some(escaped @ ('\\' | '"' | '\'')) => text.push(escaped),
                    Some(_) | None => return Err(self.expected("\\ or a quote behind \\")),
                },
                // No row holds it, and a database may stumble over it.
                Some('\0') => return Err(self.expected("no NUL character")),
                Some(end) if end == quote => return Ok(text),
                Some(other) => text.push(other),
            }
        }
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || "_-.:+".contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operators() -> impl Strategy<Value = Operator> {
        prop::sample::select(vec![Operator::Equal, Operator::From, Operator::Before])
    }

    fn terms() -> impl Strategy<Value = Term> {
        let field = "[a-z_]{1,12}";
        (field, operators(), "[^\0]*").prop_map(|(field, operator, value)| Term {
            field,
            operator,
            value,
        })
    }

    fn written(term: &Term, quote: char) -> String {
        let value = term
            .value
            .replace('\\', r"\\")
            .replace(quote, &format!("\\{quote}"));
        format!("{}{}{quote}{value}{quote}", term.field, term.operator)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            terms in prop::collection::vec(terms(), 0..5),
            quote in prop::sample::select(vec!['"', '\'']),
            blank in "[ \t\n]{1,3}",
        ) {
            let texts: Vec<String> = terms.iter().map(|term| written(term, quote)).collect();
            let text = texts.join(&format!("{blank}AND{blank}"));
            prop_assume!(text.chars().count() <= FILTER_CHARACTERS);
            prop_assert_eq!(parse(&text), Ok(terms));
        }

        #[test]
        fn no_text_breaks_the_reading(text: String) {
            drop((points(PointKind::Dr, &text), restorations(&text), texts(&text, &["name"]), order(&text)));
        }

        #[test]
        fn a_refusal_says_where(text in "[a-z=<> \"AND]{1,40}") {
            if let Err(problem) = parse(&text) {
                prop_assert!(problem.contains("near character"), "{}", problem);
            }
        }
    }

    #[test]
    fn every_documented_field_is_taken() {
        let filter = points(
            PointKind::Dr,
            r#"cloud = "one" AND tenant='t' AND instance_id = "i" AND name = "a \"b\" ü" AND state = OK
               AND create_time >= 2026-01-31T00:00:00Z AND create_time < "2026-02-01T00:00:00Z""#,
        )
        .expect("a good filter");
        assert_eq!(filter.name.as_deref(), Some("a \"b\" ü"));
        assert_eq!(filter.states, [State::Ok]);
        assert!(filter.created_from < filter.created_before);
    }

    #[test]
    fn refusals_name_what_there_is() {
        for (text, part) in [
            ("colour = red", "there are: cloud, tenant, instance_id"),
            ("state = READY", "there are: CREATION_SCHEDULED"),
            ("state = DELETED", "there is no state `DELETED`"),
            ("cloud >= a", "cloud is compared with ="),
            ("create_time = 2026", "compared with >= or <"),
            ("create_time >= yesterday", "is not a time"),
            ("cloud = a OR cloud = b", "there is no OR"),
            ("cloud = a and tenant = b", "AND (in capitals"),
            ("cloud = a AND", "expected a field"),
            ("cloud = a AND cloud = b", "is there twice"),
            ("(cloud = a)", "expected a field"),
            ("NOT cloud = a", "a field, not NOT"),
            ("cloud <= a", "=, >= or <"),
            ("cloud = \"a", "at the end of the value"),
        ] {
            let problem = points(PointKind::Dr, text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn an_order_is_one_field() {
        assert_eq!(order(""), Ok(Order::default()));
        assert_eq!(
            order(" name  desc "),
            Ok(Order {
                field: OrderField::Name,
                descending: true
            })
        );
        assert!(order("name, create_time").is_err());
        assert!(order("name asc").is_err());
    }
}
