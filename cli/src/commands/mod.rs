//! What each command does.

mod doctor;
mod flags;
mod locks;
mod maintain;
mod migrate;
mod pms;
mod sessions;
mod settings;
mod tenants;
mod users;

use clap::CommandFactory as _;
use posada::Posada;
use posada::maintenance::Retention;
use serde_json::Value;

use crate::arguments::{Arguments, Command};
use crate::failure::Outcome;
use crate::report::{Printer, Report};

/// Runs one command to its end.
pub(crate) async fn run(command: Command, printer: &Printer) -> Outcome<Report> {
    match command {
        Command::Migrate(what) => migrate::run(what).await,
        Command::Schema => Ok(text(Posada::schema_sql())),
        Command::Maintain {
            every,
            sessions,
            passwords,
            audit,
        } => {
            let kept = Retention::new()
                .sessions(sessions)
                .passwords(passwords)
                .audit(audit);
            maintain::run(&kept, every, printer).await
        }
        Command::Validate => doctor::validate(printer).await,
        Command::Doctor => doctor::run(printer).await,
        Command::Health => doctor::health(printer).await,
        Command::Settings { example: true } => Ok(text(settings::example())),
        Command::Settings { example: false } => settings::show(),
        Command::Size { replicas } => doctor::size(replicas, printer).await,
        Command::Tenants(what) => tenants::run(what).await,
        Command::Identifiers(what) => tenants::identifiers(what, printer).await,
        Command::Flags(what) => flags::run(what).await,
        Command::Users(what) => users::run(what).await,
        Command::Sessions(what) => sessions::run(what, printer).await,
        Command::Locks(what) => locks::run(what, printer).await,
        Command::Holds {
            resource,
            from,
            to,
            of,
        } => locks::holds(&resource, from, to, of.tenant.as_ref()).await,
        Command::Limits(what) => locks::limits(what, printer).await,
        Command::Audit { lock_key, limit } => locks::audit(&lock_key, limit).await,
        Command::Pms(what) => pms::run(what).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "posada", &mut script);
            Ok(text(String::from_utf8_lossy(&script).into_owned()))
        }
        Command::Man => Ok(text(manual())),
    }
}

/// A result that is a text, for programs, too.
fn text(text: String) -> Report {
    Report::new(Value::String(text.clone()), text)
}

/// The pages of the program and of each command, in the language of `man`.
fn manual() -> String {
    let mut page = Vec::new();
    let command = Arguments::command();
    // Writing into memory cannot fail.
    let _ = clap_mangen::Man::new(command.clone()).render(&mut page);
    for below in command.get_subcommands() {
        let name: &'static str = Box::leak(format!("posada-{}", below.get_name()).into_boxed_str());
        let below = below.clone().name(name).display_name(name);
        let _ = clap_mangen::Man::new(below).render(&mut page);
    }
    String::from_utf8_lossy(&page).into_owned()
}
