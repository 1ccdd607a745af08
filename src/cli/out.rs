//! Standard output and standard error, for every command; it may not know what is written.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::failure::Failure;

/// Where a command writes: answers to one side, remarks to the other.
pub struct Out {
    answers: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    /// Whether answers are shown by a terminal, which has a width and a person in front of it.
    terminal: bool,
    /// Whether remarks are shown by a terminal, so that a line can be drawn again.
    live: bool,
}

impl Out {
    /// The standard streams of the process.
    pub fn standard() -> Self {
        Self {
            answers: Box::new(io::stdout()),
            remarks: Box::new(io::stderr()),
            terminal: io::stdout().is_terminal(),
            live: io::stderr().is_terminal(),
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

    /// Writes a part of the answer as it is. Whoever reads may have gone: that ends the command
    /// quietly.
    pub fn answer(&mut self, text: &str) -> Result<(), Failure> {
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
        if writeln!(self.remarks, "{text}").is_err() {
            self.live = false;
        }
    }

    /// Whether a terminal shows the answers.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a terminal shows the remarks.
    pub fn is_live(&self) -> bool {
        self.live
    }
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
