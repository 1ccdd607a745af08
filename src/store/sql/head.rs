//! The columns that hold the head of a resource, and the events that tell of it; it may not know what else
//! a resource has.

use crate::{
    domain::{decision::Ending, error::OperationError, event::Event, head::Head, id::ResourceId},
    port::{journal::ResourceUpdate, store::StoreError},
    store::{
        aside::Gaps,
        text::{from_json_option, json, number},
    },
};

/// Declares the columns of a head in a table, and what a change writes into them; rows embed the one,
/// and updates set the other.
macro_rules! head_columns {
    ($table:ident) => {
        #[derive(Queryable, Selectable, Insertable, Serialize, Deserialize)]
        #[diesel(table_name = $table, treat_none_as_default_value = false)]
        struct HeadRow {
            state: String,
            runtime_state: String,
            progress: String,
            error: Option<String>,
            created: i64,
            updated: i64,
            revision: i64,
        }

        impl HeadRow {
            fn of(head: &Head) -> Result<Self, StoreError> {
                Ok(Self {
                    state: head.state.name().to_owned(),
                    runtime_state: head.runtime_state.clone(),
                    progress: json(&head.progress)?,
                    error: json_option(head.error.as_ref())?,
                    created: head.created.0,
                    updated: head.updated.0,
                    revision: head.revision,
                })
            }

            /// What can be read of it; `whose` says so in the gaps.
            fn read(self, whose: &str, gaps: &mut Gaps) -> Head {
                let progress = from_json(&format!("the progress of {whose}"), &self.progress);
                let error = from_json_option(&format!("the error of {whose}"), self.error);
                Head {
                    state: gaps.fill(state(&self.state), State::Erred),
                    runtime_state: self.runtime_state,
                    progress: gaps.or_default(progress),
                    error: gaps.or_default(error),
                    created: Timestamp(self.created),
                    updated: Timestamp(self.updated),
                    revision: self.revision,
                }
            }
        }

        /// What a change writes of a head; an `error` of `None` stays as it is.
        #[derive(AsChangeset)]
        #[diesel(table_name = $table)]
        struct HeadChange {
            state: String,
            runtime_state: String,
            progress: String,
            error: Option<Option<String>>,
            updated: i64,
        }

        impl HeadChange {
            /// What a caller changed.
            fn of(head: &Head) -> Result<Self, StoreError> {
                Ok(Self {
                    state: head.state.name().to_owned(),
                    runtime_state: head.runtime_state.clone(),
                    progress: json(&head.progress)?,
                    error: Some(json_option(head.error.as_ref())?),
                    updated: head.updated.0,
                })
            }

            /// What a turn tells.
            fn told(news: &ResourceUpdate, ending: &Ending) -> Result<Self, StoreError> {
                Ok(Self {
                    state: news.state.name().to_owned(),
                    runtime_state: news.report.runtime_state.clone(),
                    progress: json(&news.report.progress)?,
                    error: ended(ending)?,
                    updated: news.time.0,
                })
            }
        }
    };
}
pub(super) use head_columns;

/// The error that an ending leaves; of one that is open the one before stays.
#[expect(
    clippy::option_option,
    reason = "diesel's way to tell what stays from what becomes nothing"
)]
pub(super) fn ended(ending: &Ending) -> Result<Option<Option<String>>, StoreError> {
    Ok(match ending {
        Ending::Open => None,
        Ending::Done => Some(None),
        Ending::Erred(error) => Some(Some(json(error)?)),
    })
}

/// The event that tells of a head as it is.
pub(super) fn event_of(resource: ResourceId, head: &Head) -> Result<Event, StoreError> {
    Ok(Event {
        resource,
        sequence: number("a revision", head.revision)?,
        time: head.updated,
        state: head.state,
        runtime_state: head.runtime_state.clone(),
        progress: head.progress.clone(),
        error: head.error.clone(),
    })
}

/// The event of what a turn told, with the revision and the error that the row has now.
pub(super) fn event_told(
    resource: ResourceId,
    news: &ResourceUpdate,
    revision: i64,
    error: Option<String>,
) -> Result<Event, StoreError> {
    let error: Result<Option<OperationError>, StoreError> =
        from_json_option("the error of a resource", error);
    Ok(Event {
        resource,
        sequence: number("a revision", revision)?,
        time: news.time,
        state: news.state,
        runtime_state: news.report.runtime_state.clone(),
        progress: news.report.progress.clone(),
        error: Gaps::default().or_default(error),
    })
}
