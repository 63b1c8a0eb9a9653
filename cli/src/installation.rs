//! The installation that the environment describes.

use posada::settings::Store;
use posada::{Posada, Settings};

use crate::failure::{Failure, Outcome};

/// What a command needs to be on a server: memory would be empty, and gone when the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Postgres,
    Redis,
    Nothing,
}

/// The settings of the environment, with what the command needs.
pub(crate) fn settings(needs: Needs) -> Outcome<Settings> {
    let settings = Settings::from_env()?;
    match needs {
        Needs::Postgres if *settings.postgres() == Store::Memory => Err(Failure::usage(
            "there is no database: the environment names none",
            "set DATABASE_URL, as the app has it",
        )),
        Needs::Redis if *settings.redis() == Store::Memory => Err(Failure::usage(
            "there is no Redis: the environment names none",
            "set REDIS_URL, as the app has it",
        )),
        _ => Ok(settings),
    }
}

/// Does something with a handle, and closes it.
pub(crate) async fn with<T>(needs: Needs, work: impl AsyncFnOnce(&Posada) -> Outcome<T>) -> Outcome<T> {
    let posada = Posada::builder().settings(settings(needs)?).build()?;
    let outcome = work(&posada).await;
    let closed = posada.close().await;
    let value = outcome?;
    closed?;
    Ok(value)
}
