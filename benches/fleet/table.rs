//! The table: every figure beside what it is held against, printed as it comes and written at the end.

use std::{fmt::Write as _, io::Write as _, path::Path, time::Duration};

use serde::Serialize;

/// What became of a figure that has a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It reached its target.
    Met,
    /// It did not.
    Missed,
    /// It has none.
    Told,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    section: &'static str,
    /// What was measured.
    what: String,
    /// Ours.
    ours: String,
    /// What was measured beside it, in the same run.
    beside: String,
    /// One over the other, or whatever the target is about.
    ratio: String,
    target: String,
    verdict: Verdict,
}

impl Row {
    /// A figure.
    pub(crate) fn new(section: &'static str, what: impl Into<String>) -> Self {
        Self {
            section,
            what: what.into(),
            ours: String::new(),
            beside: String::new(),
            ratio: String::new(),
            target: String::new(),
            verdict: Verdict::Told,
        }
    }

    /// Our own figure.
    pub(crate) fn ours(mut self, text: impl Into<String>) -> Self {
        self.ours = text.into();
        self
    }

    /// The other one, or why there is none.
    pub(crate) fn beside(mut self, text: impl Into<String>) -> Self {
        self.beside = text.into();
        self
    }

    /// How the two compare.
    pub(crate) fn ratio(mut self, text: impl Into<String>) -> Self {
        self.ratio = text.into();
        self
    }

    /// The target, and whether it is met.
    pub(crate) fn target(mut self, text: impl Into<String>, met: bool) -> Self {
        self.target = text.into();
        self.verdict = if met { Verdict::Met } else { Verdict::Missed };
        self
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    remarks: Vec<String>,
}

impl Table {
    /// Adds a figure, and shows it at once: the whole run takes minutes.
    pub(crate) fn add(&mut self, row: Row) {
        let verdict = match row.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Told => "",
        };
        note(&format!(
            "  {} | {} | {} | {} | {} | {verdict}",
            row.what, row.ours, row.beside, row.ratio, row.target
        ));
        self.rows.push(row);
    }

    /// Adds what took so long with few stored and so long with many, and by how much it grew; at most twice as
    /// long, where that is `a_target`.
    pub(crate) fn growth(
        &mut self,
        section: &'static str,
        what: &str,
        [few, many]: [(usize, Duration); 2],
        a_target: bool,
    ) {
        let ((few, few_took), (many, many_took)) = (few, many);
        let grown = many_took.as_secs_f64() / few_took.as_secs_f64().max(1e-9);
        let row = Row::new(section, format!("{what}, {many} stored"))
            .ours(span(many_took))
            .beside(format!("{few} stored: {}", span(few_took)))
            .ratio(format!("{grown:.2}"));
        self.add(if a_target {
            row.target("at most 2", grown <= 2.0)
        } else {
            row
        });
    }

    /// Adds a sentence below the table.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| | Figure | Ours | Beside | Ratio | Target | |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::Met => "met",
                Verdict::Missed => "**missed**",
                Verdict::Told => "",
            };
            // Writing to a string cannot fail.
            let _written = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {verdict} |",
                row.section, row.what, row.ours, row.beside, row.ratio, row.target
            );
        }
        for remark in &self.remarks {
            let _written = write!(text, "\n- {remark}");
        }
        text.push('\n');
        text
    }

    /// Writes the table beside each other as Markdown and as JSON.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("fleet.md"), self.markdown())?;
        let json = serde_json::json!({"rows": self.rows, "remarks": self.remarks});
        std::fs::write(
            folder.join("fleet.json"),
            serde_json::to_string_pretty(&json)?,
        )?;
        Ok(())
    }
}

/// Tells what goes on.
pub(crate) fn note(text: &str) {
    // Whoever reads may have gone.
    let _told = writeln!(std::io::stdout(), "{text}");
}

/// A count as a number to divide by.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a benchmark are far below what a double holds exactly"
)]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

/// Something per second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    real(count) / time.as_secs_f64().max(1e-9)
}

/// A rate for people.
pub(crate) fn per_second(rate: f64) -> String {
    if rate >= 1000.0 {
        format!("{:.1} k/s", rate / 1000.0)
    } else {
        format!("{rate:.0} /s")
    }
}

/// A time for people.
pub(crate) fn span(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.2} s", time.as_secs_f64())
    } else if time >= Duration::from_millis(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{} us", time.as_micros())
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: f64) -> String {
    let mib = f64::from(1 << 20);
    if bytes >= mib {
        format!("{:.1} MiB", bytes / mib)
    } else {
        format!("{:.1} KiB", bytes / 1024.0)
    }
}

/// The value below which so many of a hundred lie.
pub(crate) fn percentile(values: &mut [Duration], hundredth: usize) -> Duration {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let place = (values.len() * hundredth).div_ceil(100).saturating_sub(1);
    values.get(place.min(last)).copied().unwrap_or_default()
}

/// The middle one of several rounds, so that one disturbed round says nothing.
pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
