//! Answers in the form that was asked for; it may not know what they are about.
//!
//! In a terminal a table is as wide as that is. An id, a time and whatever else is one word is never broken, so
//! that it can be copied; where there is no room for all columns, those go that say the least.

use std::fmt::Write as _;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::{
    config::Output,
    failure::Failure,
    json::{self, Document},
    out::{Out, visible_line},
    shown::Shown,
};

/// Headings in the order in which their columns go where a terminal is too narrow. What is not named stays.
const LEAST_FIRST: [&str; 17] = [
    "CAUSE",
    "ZONE",
    "DOMAIN",
    "REGION",
    "AUTH URL",
    "ENCRYPTED",
    "RESTORATION",
    "SERVER",
    "ENDED",
    "CLOUD",
    "BACKUP",
    "RECORD",
    "INSTANCE",
    "CREATED",
    "DETAIL",
    "BEGAN",
    "RECOVERABLE",
];
/// The width at least of a column whose texts can be broken.
const NARROWEST: u16 = 12;

/// Writes one thing.
pub(super) fn one<T: Shown>(out: &mut Out, output: Output, thing: &T) -> Result<(), Failure> {
    match output {
        Output::Table => out.answer(&page(thing, out.width())),
        Output::Wide => out.answer(&page(thing, None)),
        Output::Json => out.document(&json::pretty(&document(thing)?)?),
        Output::Yaml => out.document(&json::yaml(&document(thing)?)?),
        // Nothing has an id yet when it was only checked.
        Output::Id if thing.id().is_empty() => Ok(()),
        Output::Id => out.line(thing.id()),
    }
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
        Output::Table | Output::Wide => {
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
    let rows = || things.iter().map(T::row).collect::<Vec<_>>();
    match output {
        Output::Table => {
            let (text, left_out) = table(T::COLUMNS, &rows(), out.width());
            out.answer(&text)?;
            if !left_out.is_empty() {
                let headings = left_out.join(", ");
                out.remark(&format!("no room for {headings}; -o wide shows all"));
            }
            Ok(())
        }
        Output::Wide => out.answer(&table(T::COLUMNS, &rows(), None).0),
        Output::Json => out.document(&json::pretty(&documents(things)?)?),
        Output::Yaml => out.document(&json::yaml(&documents(things)?)?),
        Output::Id => {
            let ids = things.iter().flat_map(|thing| [thing.id(), "\n"]);
            out.answer(&ids.collect::<String>())
        }
    }
}

/// Writes one of a stream of things, none of which knows whether it is the last.
pub(super) fn next<T: Shown>(out: &mut Out, output: Output, thing: &T) -> Result<(), Failure> {
    match output {
        Output::Table | Output::Wide => out.line(&visible_line(&thing.row().join("  "))),
        Output::Json => out.document(&json::line(&document(thing)?)?),
        Output::Yaml => out.document(&format!("---\n{}", json::yaml(&document(thing)?)?)),
        Output::Id => out.line(thing.id()),
    }
}

fn document<T: Shown>(thing: &T) -> Result<Document, Failure> {
    Document::of(T::MESSAGE, thing)
}

fn documents<T: Shown>(things: &[T]) -> Result<Vec<Document>, Failure> {
    things.iter().map(document).collect()
}

fn page<T: Shown>(thing: &T, width: Option<u16>) -> String {
    let page = thing.page();
    let mut facts = plain(width);
    for (label, text) in page.facts.iter().filter(|(_, text)| !text.is_empty()) {
        facts.add_row([visible_line(label), visible_line(text)]);
    }
    if let Some(labels) = facts.column_mut(0).filter(|_| width.is_some()) {
        labels.set_constraint(ColumnConstraint::ContentWidth);
    }
    let mut text = finish(facts);
    for part in page.tables.into_iter().filter(|part| !part.rows.is_empty()) {
        let title = part.title;
        let (rows, _) = table(part.columns, &part.rows, width);
        text = format!("{text}\n{title}\n{rows}");
    }
    text
}

/// The table, and the headings for which it had no room.
fn table<'c>(
    columns: &[&'c str],
    rows: &[Vec<String>],
    width: Option<u16>,
) -> (String, Vec<&'c str>) {
    let mut table = plain(width);
    table.set_header(columns);
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| visible_line(cell)));
    table.add_rows(rows);
    let Some(width) = width else {
        return (finish(table), Vec::new());
    };
    let widest = table.column_max_content_widths();
    let whole = |index: usize| {
        let mut cells = table
            .row_iter()
            .filter_map(|row| row.cell_iter().nth(index));
        cells.all(|cell| !cell.content().contains(' '))
    };
    let columns: Vec<(&str, bool, u16)> = columns
        .iter()
        .zip(&widest)
        .enumerate()
        .map(|(index, (heading, widest))| {
            let whole = whole(index);
            let least = if whole {
                *widest
            } else {
                NARROWEST.min(*widest)
            };
            (*heading, whole, least.saturating_add(PADDING))
        })
        .collect();
    let mut needed: u16 = columns.iter().map(|(_, _, least)| least).sum();
    let mut left_out = Vec::new();
    for heading in LEAST_FIRST {
        if needed <= width {
            break;
        }
        if let Some((heading, _, least)) = columns.iter().find(|(one, _, _)| *one == heading) {
            needed = needed.saturating_sub(*least);
            left_out.push(*heading);
        }
    }
    for (index, (heading, whole, _)) in columns.iter().enumerate() {
        let constraint = match (left_out.contains(heading), whole) {
            (true, _) => ColumnConstraint::Hidden,
            (false, true) => ColumnConstraint::ContentWidth,
            (false, false) => continue,
        };
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(constraint);
        }
    }
    (finish(table), left_out)
}

/// Blanks behind each column.
const PADDING: u16 = 2;

/// A table without lines; with a width cells are broken to that, otherwise they stay whole.
fn plain(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, PADDING));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a22770-4074-71c2-bb11-cce5688a05cd";
    const TIME: &str = "2026-11-29T13:00:00Z";
    const COLUMNS: [&str; 6] = ["ID", "NAME", "CLOUD", "STATE", "DETAIL", "CREATED"];

    fn row() -> Vec<String> {
        let detail = "waiting for the volume backups of two volumes";
        [ID, "friday", "source", "CREATING", detail, TIME]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn in_a_narrow_terminal_columns_go_and_no_id_is_broken() {
        let (text, left_out) = table(&COLUMNS, &[row()], Some(80));
        assert_eq!(left_out, ["CLOUD", "CREATED"]);
        assert!(text.contains(ID), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for width in [40, 60, 100, 120] {
            let (text, left_out) = table(&COLUMNS, &[row()], Some(width));
            assert!(text.contains(ID), "{text}");
            assert_eq!(
                text.contains(TIME),
                !left_out.contains(&"CREATED"),
                "{text}"
            );
        }
    }

    #[test]
    fn without_a_width_everything_is_there_in_one_line() {
        let (text, left_out) = table(&COLUMNS, &[row()], None);
        assert!(left_out.is_empty());
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_name_with_a_line_end_makes_no_line_of_its_own() {
        let mut row = row();
        row[1] = "friday\n\u{1b}[31mOK".to_owned();
        let (text, _) = table(&COLUMNS, &[row], None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("friday\\n\\u{1b}[31mOK"), "{text}");
    }
}
