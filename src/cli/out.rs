//! Standard output and standard error, for every command; it may not know what is written.
//!
//! What a cloud or a caller named anything can hold characters that a terminal obeys: ESC moves the cursor or
//! sets the title, a right-to-left mark turns a line around. All text for people leaves here, so all of it is
//! made visible here, whoever wrote it.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::{config::Output, failure::Failure};

/// Where a command writes: answers to one side, remarks to the other.
pub struct Out {
    answers: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    /// Whether answers are shown by a terminal, which has a width and a person in front of it.
    terminal: bool,
    /// Whether remarks are shown by a terminal, so that a line can be drawn again.
    live: bool,
    /// The form in which answers were asked for, and failures with them.
    output: Output,
}

impl Out {
    /// The standard streams of the process.
    pub fn standard() -> Self {
        Self {
            answers: Box::new(io::stdout()),
            remarks: Box::new(io::stderr()),
            terminal: io::stdout().is_terminal(),
            live: io::stderr().is_terminal(),
            output: Output::Table,
        }
    }

    /// Answers are kept instead of written; remarks go to standard error as always.
    pub fn kept() -> (Self, Kept) {
        let kept = Kept::default();
        let out = Self {
            answers: Box::new(kept.clone()),
            terminal: false,
            ..Self::standard()
        };
        (out, kept)
    }

    /// Writes a part of the answer for people. Whoever reads may have gone: that ends the command quietly.
    pub fn answer(&mut self, text: &str) -> Result<(), Failure> {
        self.document(&visible(text))
    }

    /// Writes a part of the answer as it is, because it is in a form that has its own way to write any
    /// character.
    pub fn document(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .answers
            .write_all(text.as_bytes())
            .and_then(|()| self.answers.flush());
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Failure::ReaderGone;
            }
            Failure::Local(format!("writing the answer: {error}"))
        })
    }

    /// Writes a line of the answer.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.answer(&format!("{text}\n"))
    }

    /// Writes a line that is no part of the answer. It is not worth failing for.
    pub fn remark(&mut self, text: &str) {
        self.note(&visible(text));
    }

    /// Tells why a command failed: to people in sentences, to a program that asked for documents as one.
    pub fn failed(&mut self, failure: &Failure) {
        match self.output {
            Output::Table | Output::Wide | Output::Id => {
                if let Some(text) = failure.text() {
                    self.remark(&text);
                }
            }
            Output::Json | Output::Yaml => {
                if let Some(document) = failure.document() {
                    self.note(&document);
                }
            }
        }
    }

    /// Failures are told in the form of the answers from here on.
    pub(super) fn speak(&mut self, output: Output) {
        self.output = output;
    }

    fn note(&mut self, text: &str) {
        if writeln!(self.remarks, "{text}").is_err() {
            self.live = false;
        }
    }

    /// The columns of the terminal that shows the answers, if one does.
    pub fn width(&self) -> Option<u16> {
        self.terminal.then(|| comfy_table::Table::new().width())?
    }

    /// Whether a terminal shows the remarks.
    pub fn is_live(&self) -> bool {
        self.live
    }
}

/// A text of any number of lines in which every character can be seen: one that a terminal would obey is
/// written as Rust writes it, such as `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    without(text, |one| one != '\n' && is_obeyed(one))
}

/// The same for a text that is to stay in one line.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    without(text, is_obeyed)
}

fn without(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for one in text.chars() {
        if hidden(one) {
            // Writing to a string cannot fail.
            let _written = write!(shown, "{}", one.escape_default());
        } else {
            shown.push(one);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with a character than to draw it: controls (C0, C1, DEL), ends of
/// lines, and what changes the direction of a text (Unicode TR 9).
pub fn is_obeyed(one: char) -> bool {
    one.is_control()
        || matches!(
            one,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Answers that were kept.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// What was written so far.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_leaves() {
        let name = "a\u{1b}]0;title\u{7}b\rc\u{9b}2J\u{202e}d\u{2028}e\u{7f}";
        let shown = visible(name);
        assert_eq!(
            shown,
            "a\\u{1b}]0;title\\u{7}b\\rc\\u{9b}2J\\u{202e}d\\u{2028}e\\u{7f}"
        );
        assert_eq!(
            visible("two\nlines, Füße – 東京"),
            "two\nlines, Füße – 東京"
        );
        assert_eq!(visible_line("two\nlines"), "two\\nlines");
    }
}
