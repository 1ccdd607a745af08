//! Scripted trouble: which requests go wrong and how; it may not know how the services work.

use std::collections::{HashMap, VecDeque};

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{Call, Service};
use super::reply::Body;

/// How many answers a rule with [`Action::Stale`] remembers for each path.
const REMEMBERED: usize = 64;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// The connection is reset before anything is done.
    ResetBefore,
    /// Everything is done, then the connection is reset without an answer.
    ResetAfter,
    /// Nothing comes until the faults are released or the milliseconds are over; then all goes on.
    Hang {
        /// The longest wait; without it, only a release ends it.
        milliseconds: Option<u64>,
        /// Whether the request is carried out before the wait.
        #[serde(default)]
        acted: bool,
    },
    /// This answer instead of the service's own.
    Answer {
        /// The status code.
        status: u16,
        /// The body; a string is sent as it is, anything else as JSON.
        #[serde(default)]
        body: Value,
        /// Headers, such as `Retry-After`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Whether the request is carried out all the same.
        #[serde(default)]
        acted: bool,
    },
    /// The request is carried out, but half of the answer's body is missing.
    Truncate,
    /// The request is carried out, but its answer is no JSON.
    Malformed,
    /// The request is carried out, but the answer speaks of another resource.
    OtherResource,
    /// The answer to the same request as it was so many matching requests ago.
    Stale {
        /// How many requests ago; until there were so many, the oldest.
        requests: usize,
    },
    /// What the request began never ends.
    Stuck,
    /// What the request began ends in this status.
    Status {
        /// The status that the resource then has.
        status: String,
    },
    /// What the request began ends in an error.
    Fail {
        /// The reason, where the resource has room for one.
        reason: String,
    },
    /// The request is carried out, and then its resource is gone without a trace.
    Vanish,
    /// The cloud's calendar is wrong by so many seconds from here on.
    ClockSkew {
        /// Seconds ahead of the true time.
        seconds: i64,
    },
}

/// Which requests an [`Action`] happens to. What is left out matches everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// The service.
    #[serde(default)]
    pub service: Option<Service>,
    /// The method, in capitals.
    #[serde(default)]
    pub method: Option<String>,
    /// A regular expression that is searched for in the path and query.
    #[serde(default)]
    pub path: Option<String>,
    /// A text that is searched for in the body.
    #[serde(default)]
    pub body: Option<String>,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it happens to; without it, to all that follow.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    pub action: Action,
}

impl Rule {
    /// A rule for every request.
    pub fn any(action: Action) -> Self {
        Self {
            service: None,
            method: None,
            path: None,
            body: None,
            skip: 0,
            times: None,
            action,
        }
    }

    /// A rule for a method and a path (a regular expression) of one service.
    pub fn on(service: Service, method: &str, path: &str, action: Action) -> Self {
        Self {
            service: Some(service),
            method: Some(method.to_owned()),
            path: Some(path.to_owned()),
            ..Self::any(action)
        }
    }

    /// The same, but only for the first match.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The same, but only for so many matches.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, but only after so many matches.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// The same, but only for bodies that have this text in them.
    #[must_use]
    pub fn with_body(self, text: &str) -> Self {
        Self {
            body: Some(text.to_owned()),
            ..self
        }
    }
}

#[derive(Debug)]
struct Armed {
    id: u64,
    rule: Rule,
    path: Option<Regex>,
    matched: u32,
    happened: u32,
    /// The answers that a stale rule has seen, by path.
    seen: HashMap<String, VecDeque<Body>>,
}

/// What was picked for one request.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    pub(crate) rule: u64,
    pub(crate) action: Action,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    last: u64,
}

impl Faults {
    /// Arms a rule and returns its number, or says why its path is no regular expression.
    pub(crate) fn add(&mut self, rule: Rule) -> Result<u64, String> {
        let path = match &rule.path {
            Some(text) => Some(Regex::new(text).map_err(|error| error.to_string())?),
            None => None,
        };
        self.last += 1;
        let id = self.last;
        self.armed.push(Armed {
            id,
            rule,
            path,
            matched: 0,
            happened: 0,
            seen: HashMap::new(),
        });
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.armed.retain(|armed| armed.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The rules with their numbers and how often each one has happened.
    pub(crate) fn list(&self) -> Vec<(u64, &Rule, u32)> {
        self.armed
            .iter()
            .map(|armed| (armed.id, &armed.rule, armed.happened))
            .collect()
    }

    pub(crate) fn happened(&self, id: u64) -> u32 {
        self.armed
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.happened)
    }

    /// The first rule that this request falls under, counted.
    pub(crate) fn pick(&mut self, call: &Call) -> Option<Picked> {
        for armed in &mut self.armed {
            if !armed.fits(call) {
                continue;
            }
            armed.matched += 1;
            let used_up = armed
                .rule
                .times
                .is_some_and(|times| armed.happened >= times);
            if used_up || armed.matched <= armed.rule.skip {
                continue;
            }
            armed.happened += 1;
            return Some(Picked {
                rule: armed.id,
                action: armed.rule.action.clone(),
            });
        }
        None
    }

    /// Remembers an answer for a stale rule and gives the one of so many requests ago.
    pub(crate) fn stale(&mut self, rule: u64, path: &str, requests: usize, fresh: Body) -> Body {
        let Some(armed) = self.armed.iter_mut().find(|armed| armed.id == rule) else {
            return fresh;
        };
        let seen = armed.seen.entry(path.to_owned()).or_default();
        seen.push_back(fresh.clone());
        if seen.len() > REMEMBERED {
            seen.pop_front();
        }
        let index = seen.len().saturating_sub(requests + 1);
        seen.get(index).cloned().unwrap_or(fresh)
    }
}

impl Armed {
    fn fits(&self, call: &Call) -> bool {
        let rule = &self.rule;
        rule.service.is_none_or(|service| service == call.service)
            && rule
                .method
                .as_ref()
                .is_none_or(|method| *method == call.method)
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.is_match(&call.path_and_query))
            && rule
                .body
                .as_ref()
                .is_none_or(|text| String::from_utf8_lossy(&call.body).contains(text))
    }
}
