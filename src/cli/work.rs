//! Work that was started: followed to its end, and how it ended; it may not know what was asked for.

use clap::Args;
use prost_types::Timestamp;
use tonic::Code;

use super::{
    Context,
    client::{Client, Noun},
    config,
    failure::Failure,
    follow::{self, Trail},
    present, progress,
    shown::{self, Shown},
};
use crate::api::pb;

/// How to start work.
#[derive(Debug, Clone, Args)]
pub(super) struct Work {
    /// Do not wait for the end; the answer is the first state
    #[arg(long)]
    no_wait: bool,
    /// A word by which the service recognises a repeated request [default: a random one]
    #[arg(long, value_name = "WORD")]
    request_id: Option<String>,
}

/// From where and how far to follow.
#[derive(Debug, Clone, Args)]
pub(super) struct Sight {
    /// The first event to show, by its number
    #[arg(long = "from", value_name = "SEQUENCE", default_value_t = 1)]
    from_sequence: i64,
    /// Go on when it is at rest
    #[arg(long)]
    forever: bool,
}

/// A resource that work is done on.
pub(super) trait Subject: Shown + Sized {
    /// Its noun.
    const NOUN: Noun;

    /// Its name for people.
    fn title(&self) -> String;
    /// Where it stands.
    fn standing(&self) -> i32;
    /// Why the last work on it failed.
    fn failure(&self) -> Option<&pb::OperationError>;
    /// When it last changed.
    fn updated(&self) -> Option<Timestamp>;
    /// Itself after it is gone.
    fn gone(self) -> Self;
    /// Itself as it is now.
    async fn read(client: &Client, id: &str) -> Result<Self, Failure>;
}

impl Work {
    /// The word that makes a repeat of this request safe.
    pub(super) fn request_id(&self) -> String {
        self.request_id
            .clone()
            .unwrap_or_else(config::new_request_id)
    }

    /// Writes how the work ended that `answer` began, or just the answer when nobody waits.
    pub(super) async fn finish<S: Subject>(
        &self,
        context: &mut Context<'_>,
        answer: S,
    ) -> Result<(), Failure> {
        if self.no_wait {
            return present::one(context.out, context.settings.output, &answer);
        }
        let subject = to_rest(context, answer).await?;
        present::one(context.out, context.settings.output, &subject)?;
        match subject.failure() {
            Some(error) if subject.standing() == i32::from(pb::State::Erred) => {
                Err(Failure::Erred {
                    subject: format!("the work on {} ({})", subject.title(), subject.id()),
                    error: Box::new(error.clone()),
                })
            }
            _ => Ok(()),
        }
    }

    /// The same for work that was given up, whose failure is what was wanted.
    pub(super) async fn finish_cancelled<S: Subject>(
        &self,
        context: &mut Context<'_>,
        answer: S,
    ) -> Result<(), Failure> {
        let name = format!("{} ({})", answer.title(), answer.id());
        match self.finish(context, answer).await {
            Err(Failure::Erred { error, .. }) if error.reason == "CANCELLED" => Ok(()),
            Ok(()) if !self.no_wait => Err(Failure::Conflict(format!(
                "the work on {name} was finished before it could be given up"
            ))),
            other => other,
        }
    }
}

async fn to_rest<S: Subject>(context: &mut Context<'_>, answer: S) -> Result<S, Failure> {
    if shown::is_at_rest(answer.standing()) {
        return Ok(answer);
    }
    let trail = Trail {
        noun: S::NOUN,
        id: answer.id(),
        from_sequence: 1,
        until_rest: true,
        since: answer.updated(),
        patience: context.settings.patience.0,
    };
    let mut watcher = progress::watcher(context.out, &answer.title(), context.settings.quiet);
    follow::follow(&context.client, trail, watcher.as_mut()).await?;
    drop(watcher);
    match S::read(&context.client, answer.id()).await {
        Err(Failure::Refused { status, .. }) if status.code() == Code::NotFound => {
            Ok(answer.gone())
        }
        other => other,
    }
}

/// Every event of one thing as the answer; a failure of the work on it is ours.
pub(super) async fn watch(
    context: &mut Context<'_>,
    noun: Noun,
    id: &str,
    sight: &Sight,
) -> Result<(), Failure> {
    let trail = Trail {
        noun,
        id,
        from_sequence: sight.from_sequence,
        until_rest: !sight.forever,
        since: None,
        patience: context.settings.patience.0,
    };
    let mut answers = progress::Answers {
        out: context.out,
        output: context.settings.output,
    };
    let last = follow::follow(&context.client, trail, &mut answers).await?;
    match last.and_then(|event| event.error) {
        Some(error) => Err(Failure::Erred {
            subject: format!("the work on {} {id}", noun.name()),
            error: Box::new(error),
        }),
        None => Ok(()),
    }
}

impl Subject for pb::DrBackup {
    const NOUN: Noun = Noun::Backup;

    fn title(&self) -> String {
        format!("DR backup {}", self.name)
    }

    fn standing(&self) -> i32 {
        self.state
    }

    fn failure(&self) -> Option<&pb::OperationError> {
        self.error.as_ref()
    }

    fn updated(&self) -> Option<Timestamp> {
        self.update_time
    }

    fn gone(self) -> Self {
        Self {
            state: pb::State::Deleted.into(),
            runtime_state: "Deleted".to_owned(),
            progress: None,
            recoverable: false,
            ..self
        }
    }

    async fn read(client: &Client, id: &str) -> Result<Self, Failure> {
        client.backup(id).await
    }
}

impl Subject for pb::Backup {
    const NOUN: Noun = Noun::RegularBackup;

    fn title(&self) -> String {
        format!("regular backup {}", self.name)
    }

    fn standing(&self) -> i32 {
        self.state
    }

    fn failure(&self) -> Option<&pb::OperationError> {
        self.error.as_ref()
    }

    fn updated(&self) -> Option<Timestamp> {
        self.update_time
    }

    fn gone(self) -> Self {
        Self {
            state: pb::State::Deleted.into(),
            runtime_state: "Deleted".to_owned(),
            progress: None,
            recoverable: false,
            ..self
        }
    }

    async fn read(client: &Client, id: &str) -> Result<Self, Failure> {
        client.regular_backup(id).await
    }
}

impl Subject for pb::Restoration {
    const NOUN: Noun = Noun::Restoration;

    fn title(&self) -> String {
        let instance = self.instance.as_ref();
        format!(
            "restoration of {}",
            instance.map_or("an instance", |instance| instance.name.as_str())
        )
    }

    fn standing(&self) -> i32 {
        self.state
    }

    fn failure(&self) -> Option<&pb::OperationError> {
        self.error.as_ref()
    }

    fn updated(&self) -> Option<Timestamp> {
        self.update_time
    }

    fn gone(self) -> Self {
        Self {
            state: pb::State::Deleted.into(),
            runtime_state: "Deleted".to_owned(),
            progress: None,
            ..self
        }
    }

    async fn read(client: &Client, id: &str) -> Result<Self, Failure> {
        client.restoration(id).await
    }
}
