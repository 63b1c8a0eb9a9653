//! What a command tells: to people as text, to programs as one JSON object.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use crate::arguments::{Arguments, Color};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// The version of the shape of `--json`. Members are only added while it stays the same.
const SHAPE: u32 = 1;

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) data: Value,
    pub(crate) text: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) exit: Exit,
}

impl Report {
    pub(crate) fn new(data: Value, text: impl Into<String>) -> Self {
        Self {
            data,
            text: text.into(),
            warnings: Vec::new(),
            exit: Exit::Done,
        }
    }

    pub(crate) fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// Writes reports where and how the operator wants them.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
    colors: bool,
    yes: bool,
}

impl Printer {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let colors = match arguments.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let set =
                    |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
            }
        };
        Self {
            json: arguments.json,
            colors,
            yes: arguments.yes,
        }
    }

    /// A word in a colour, where colours are wanted.
    pub(crate) fn colored(&self, word: &str, color: &str) -> String {
        if self.colors && !self.json {
            format!("\x1b[{color}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }

    /// Asks before something is destroyed: `--yes` says yes, a person at a terminal types the name of the thing.
    pub(crate) fn confirm(&self, what: &str, name: &str) -> Outcome<()> {
        if self.yes {
            return Ok(());
        }
        if self.json || !io::stdin().is_terminal() {
            return Err(Failure::refused(format!("this would {what}"), "say --yes"));
        }
        eprint!("This will {what}. Type {name} to go on: ");
        let mut typed = String::new();
        match io::stdin().read_line(&mut typed) {
            Ok(_) if typed.trim() == name => Ok(()),
            _ => Err(Failure::refused(
                "nothing was done",
                format!("type {name}, or say --yes"),
            )),
        }
    }

    /// Writes what a command told.
    pub(crate) fn print(&self, command: &str, outcome: Outcome<Report>) -> Exit {
        match outcome {
            Ok(report) => {
                self.tell(command, &report);
                report.exit
            }
            Err(failure) => {
                self.complain(command, &failure);
                failure.exit
            }
        }
    }

    /// Writes a result. A reader that went away is no error: `posada … | head` ends quietly.
    pub(crate) fn tell(&self, command: &str, report: &Report) {
        let text = if self.json {
            json!({
                "version": SHAPE,
                "command": command,
                "ok": true,
                "data": report.data,
                "warnings": report.warnings,
            })
            .to_string()
        } else {
            for warning in &report.warnings {
                eprintln!("warning: {warning}");
            }
            report.text.clone()
        };
        if !text.is_empty() {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let _reader_went_away = io::stdout().write_all(format!("{text}{end}").as_bytes());
        }
    }

    fn complain(&self, command: &str, failure: &Failure) {
        if self.json {
            let text = json!({
                "version": SHAPE,
                "command": command,
                "ok": false,
                "error": {"code": failure.code, "message": failure.message, "remedy": failure.remedy},
                "warnings": [],
            });
            let _reader_went_away = io::stdout().write_all(format!("{text}\n").as_bytes());
        } else {
            eprintln!("error: {}", failure.message);
            if let Some(remedy) = &failure.remedy {
                eprintln!("  → {remedy}");
            }
        }
    }
}
