//! `posada`: the program that operates an installation of posada.
//!
//! It reads the same environment as the app (`posada settings --example` lists it). The result of a command goes to
//! standard output, everything else to standard error; `--json` prints one object of a stable shape. No output holds a
//! secret.

mod arguments;
mod commands;
mod exit;
mod failure;
mod installation;
mod report;
mod table;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::report::Printer;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer::new(&arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments, &printer)),
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Failed
        }
    };
    ExitCode::from(exit.status())
}

/// Runs the command until it ends or the operator ends it. What it was doing in a transaction is rolled back then.
async fn run(arguments: Arguments, printer: &Printer) -> Exit {
    let name = arguments.command.name();
    tokio::select! {
        outcome = commands::run(arguments.command, printer) => printer.print(name, outcome),
        () = received(SignalKind::interrupt()) => Exit::Interrupted,
        () = received(SignalKind::terminate()) => Exit::Terminated,
    }
}

async fn received(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // Then the signal ends the process, as it does by default.
        Err(_) => std::future::pending().await,
    }
}
