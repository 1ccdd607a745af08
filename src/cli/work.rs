//! Work that was started: followed to its end, and how it ended; it may not know what was asked for.

use clap::Args;
use prost_types::Timestamp;
use tonic::Code;

use super::{
    Context,
    client::{Client, Opened},
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

/// What a resource is called.
pub trait Noun {
    /// Its noun as people read it.
    const NAME: &'static str;
    /// Its noun as the command line has it.
    const COMMAND: &'static str;
}

/// A resource that work is done on.
pub(super) trait Subject: Noun + Shown + Sized {
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
    /// Opens the stream of its events.
    async fn watch(client: &Client, id: &str, from: i64, until_settled: bool) -> Opened;
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
        command: S::COMMAND,
        id: answer.id(),
        from_sequence: 1,
        since: answer.updated(),
        patience: context.settings.patience.0,
    };
    let mut watcher = progress::watcher(context.out, &answer.title(), context.settings.quiet);
    let client = &context.client;
    let open = async |from| S::watch(client, answer.id(), from, true).await;
    follow::follow(client, trail, watcher.as_mut(), open).await?;
    drop(watcher);
    match S::read(&context.client, answer.id()).await {
        Err(Failure::Refused { status, .. }) if status.code() == Code::NotFound => {
            Ok(answer.gone())
        }
        other => other,
    }
}

/// Every event of one thing as the answer; a failure of the work on it is ours.
pub(super) async fn watch<S: Subject>(
    context: &mut Context<'_>,
    id: &str,
    sight: &Sight,
) -> Result<(), Failure> {
    let trail = Trail {
        command: S::COMMAND,
        id,
        from_sequence: sight.from_sequence,
        since: None,
        patience: context.settings.patience.0,
    };
    let mut answers = progress::Answers {
        out: context.out,
        output: context.settings.output,
    };
    let client = &context.client;
    let open = async |from| S::watch(client, id, from, !sight.forever).await;
    let last = follow::follow(client, trail, &mut answers, open).await?;
    match last.and_then(|event| event.error) {
        Some(error) => Err(Failure::Erred {
            subject: format!("the work on {} {id}", S::NAME),
            error: Box::new(error),
        }),
        None => Ok(()),
    }
}

impl Noun for pb::Restoration {
    const NAME: &'static str = "restoration";
    const COMMAND: &'static str = "restoration";
}

impl Subject for pb::Restoration {
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

    async fn watch(client: &Client, id: &str, from: i64, until_settled: bool) -> Opened {
        let request = pb::WatchRestorationRequest {
            id: id.to_owned(),
            from_sequence: from,
            until_settled,
        };
        client
            .streaming()
            .restorations()
            .watch_restoration(request)
            .await
    }
}
