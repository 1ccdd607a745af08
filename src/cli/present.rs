//! Answers in the form that was asked for; it may not know what they are about.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::{
    config::Output,
    failure::Failure,
    json::{self, Document},
    out::Out,
    shown::Shown,
};

/// Writes one thing.
pub(super) fn one<T: Shown>(out: &mut Out, output: Output, thing: &T) -> Result<(), Failure> {
    let text = match output {
        Output::Table => page(thing, out.is_terminal()),
        Output::Json => json::pretty(&document(thing)?)?,
        Output::Yaml => json::yaml(&document(thing)?)?,
        // Nothing has an id yet when it was only checked.
        Output::Id if thing.id().is_empty() => String::new(),
        Output::Id => format!("{}\n", thing.id()),
    };
    out.answer(&text)
}

/// Writes what would have been begun, where it was only checked: for people in words of its own, so that
/// nobody takes it for something that was.
pub(super) fn checked<T: Shown>(
    out: &mut Out,
    output: Output,
    thing: &T,
    would: &str,
    beside: &[String],
) -> Result<(), Failure> {
    match output {
        Output::Table => {
            let mut text = format!("{would}; nothing was started\n");
            for one in beside {
                let _written = writeln!(text, "  {one}");
            }
            out.answer(&text)
        }
        Output::Json | Output::Yaml | Output::Id => one(out, output, thing),
    }
}

/// Writes several things.
pub(super) fn list<T: Shown>(out: &mut Out, output: Output, things: &[T]) -> Result<(), Failure> {
    let text = match output {
        Output::Table => {
            let rows = things.iter().map(T::row).collect();
            table(T::COLUMNS, rows, out.is_terminal())
        }
        Output::Json => json::pretty(&documents(things)?)?,
        Output::Yaml => json::yaml(&documents(things)?)?,
        Output::Id => {
            let ids = things.iter().flat_map(|thing| [thing.id(), "\n"]);
            ids.collect()
        }
    };
    out.answer(&text)
}

/// Writes one of a stream of things, none of which knows whether it is the last.
pub(super) fn next<T: Shown>(out: &mut Out, output: Output, thing: &T) -> Result<(), Failure> {
    let text = match output {
        Output::Table => format!("{}\n", thing.row().join("  ")),
        Output::Json => json::line(&document(thing)?)?,
        Output::Yaml => format!("---\n{}", json::yaml(&document(thing)?)?),
        Output::Id => format!("{}\n", thing.id()),
    };
    out.answer(&text)
}

fn document<T: Shown>(thing: &T) -> Result<Document, Failure> {
    Document::of(T::MESSAGE, thing)
}

fn documents<T: Shown>(things: &[T]) -> Result<Vec<Document>, Failure> {
    things.iter().map(document).collect()
}

fn page<T: Shown>(thing: &T, terminal: bool) -> String {
    let page = thing.page();
    let mut facts = plain(terminal);
    for (label, text) in page.facts.iter().filter(|(_, text)| !text.is_empty()) {
        facts.add_row([label, text]);
    }
    let mut text = finish(facts);
    for part in page.tables.into_iter().filter(|part| !part.rows.is_empty()) {
        let title = part.title;
        text = format!(
            "{text}\n{title}\n{}",
            table(part.columns, part.rows, terminal)
        );
    }
    text
}

fn table(columns: &[&str], rows: Vec<Vec<String>>, terminal: bool) -> String {
    let mut table = plain(terminal);
    table.set_header(columns);
    table.add_rows(rows);
    finish(table)
}

/// A table without lines; in a terminal cells are broken to its width, otherwise they stay whole.
fn plain(terminal: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
