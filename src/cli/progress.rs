//! How work under way looks: bars where a person looks at a terminal, else a line for each change; it
//! may not know where events come from.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{
    config::Output,
    failure::Failure,
    follow::Watcher,
    out::{Out, visible_line},
    present, shown,
};
use crate::api::pb;

/// The line of the whole work.
const WHOLE: &str = "{prefix:.bold} {wide_msg} [{bar:24.green/dim}] {pos}/{len} {elapsed:>4}";
/// The line of work that ended and did not reach its goal.
const WHOLE_FAILED: &str = "{prefix:.bold} {wide_msg} [{bar:24.red/dim}] {pos}/{len} {elapsed:>4}";
/// The line of a volume that something happens to.
const VOLUME: &str = "  {spinner:.green} {prefix} {wide_msg:.dim}";
/// The line of a volume whose part is done.
const VOLUME_DONE: &str = "  {prefix:.green} {wide_msg}";
/// The line of a volume for which something failed.
const VOLUME_FAILED: &str = "  {prefix:.red} {wide_msg}";

/// How often what moves by itself is drawn.
const TICK: Duration = Duration::from_millis(120);

/// Bars in a terminal, lines elsewhere, nothing when nobody wants to see it.
pub(super) fn watcher<'out>(
    out: &'out mut Out,
    title: &str,
    quiet: bool,
) -> Box<dyn Watcher + 'out> {
    if quiet {
        return Box::new(Silence);
    }
    if out.is_live() {
        return Box::new(Bars::new(title));
    }
    Box::new(Lines {
        out,
        title: title.to_owned(),
        last: String::new(),
    })
}

/// Every event as a part of the answer.
pub(super) struct Answers<'out> {
    pub(super) out: &'out mut Out,
    pub(super) output: Output,
}

impl Watcher for Answers<'_> {
    fn event(&mut self, event: &pb::Event) -> Result<(), Failure> {
        present::next(self.out, self.output, event)
    }

    fn trouble(&mut self, why: &str) {
        self.out.remark(&format!("waiting for the service: {why}"));
    }

    fn end(&mut self) {}
}

struct Silence;

impl Watcher for Silence {
    fn event(&mut self, _event: &pb::Event) -> Result<(), Failure> {
        Ok(())
    }

    fn trouble(&mut self, _why: &str) {}

    fn end(&mut self) {}
}

struct Lines<'out> {
    out: &'out mut Out,
    title: String,
    last: String,
}

impl Watcher for Lines<'_> {
    fn event(&mut self, event: &pb::Event) -> Result<(), Failure> {
        let mut line = format!("{}: {}", self.title, shown::state(event.state));
        if !event.runtime_state.is_empty() {
            line = format!("{line}  {}", event.runtime_state);
        }
        let waiting = event
            .progress
            .as_ref()
            .map_or("", |one| one.waiting.as_str());
        if !waiting.is_empty() {
            line = format!("{line}  (waiting: {waiting})");
        }
        if line != self.last {
            self.out
                .remark(&format!("{} {line}", shown::time(event.time.as_ref())));
            self.last = line;
        }
        Ok(())
    }

    fn trouble(&mut self, why: &str) {
        let line = format!("{}: waiting for the service: {why}", self.title);
        if line != self.last {
            self.out.remark(&line);
            self.last = line;
        }
    }

    fn end(&mut self) {}
}

/// One bar for the whole work and a line below for each volume.
struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    volumes: HashMap<String, ProgressBar>,
}

impl Bars {
    fn new(title: &str) -> Self {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(0));
        whole.set_style(style(WHOLE));
        whole.set_prefix(visible_line(title).into_owned());
        whole.enable_steady_tick(TICK);
        Self {
            all,
            whole,
            volumes: HashMap::new(),
        }
    }

    fn message(&self, text: &str) {
        self.whole.set_message(visible_line(text).into_owned());
    }

    fn volume(&mut self, volume: &pb::VolumeProgress) {
        let line = self
            .volumes
            .entry(volume.volume_id.clone())
            .or_insert_with(|| {
                let line = self.all.add(ProgressBar::new_spinner());
                line.set_style(style(VOLUME));
                line.enable_steady_tick(TICK);
                line
            });
        let name = if volume.volume_name.is_empty() {
            &volume.volume_id
        } else {
            &volume.volume_name
        };
        line.set_prefix(format!("{} ({} GiB)", visible_line(name), volume.size_gib));
        line.set_message(visible_line(&volume.status).into_owned());
        if volume.failed {
            line.set_style(style(VOLUME_FAILED));
        } else if volume.done && !line.is_finished() {
            line.set_style(style(VOLUME_DONE));
            line.finish();
        } else if !volume.done {
            line.set_style(style(VOLUME));
        }
    }
}

impl Watcher for Bars {
    fn event(&mut self, event: &pb::Event) -> Result<(), Failure> {
        self.message(&event.runtime_state);
        if event.state() == pb::State::Erred {
            self.whole.set_style(style(WHOLE_FAILED));
        }
        let Some(progress) = &event.progress else {
            return Ok(());
        };
        self.whole
            .set_length(u64::try_from(progress.effects_total).unwrap_or(0));
        self.whole
            .set_position(u64::try_from(progress.effects_done).unwrap_or(0));
        if !progress.waiting.is_empty() {
            self.message(&format!(
                "{}, waiting: {}",
                event.runtime_state, progress.waiting
            ));
        }
        for volume in &progress.volumes {
            self.volume(volume);
        }
        Ok(())
    }

    fn trouble(&mut self, why: &str) {
        self.message(&format!("waiting for the service: {why}"));
    }

    fn end(&mut self) {
        for line in self.volumes.values() {
            line.abandon();
        }
        self.whole.abandon();
    }
}

/// A template of ours; one with a mistake shows itself as indicatif's own bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_mistakes() {
        for template in [WHOLE, WHOLE_FAILED, VOLUME, VOLUME_DONE, VOLUME_FAILED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
