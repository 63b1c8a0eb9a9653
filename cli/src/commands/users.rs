//! Users of the app.

use std::io::Read as _;

use posada::auth::{NewUser, TokenKind, User};
use posada::settings::Secret;
use serde_json::json;

use crate::arguments::{Password, Users};
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::Report;

/// No password is longer; what is piped in by mistake is not read to its end.
const LONGEST: u64 = 4096;

pub(super) async fn run(what: Users) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| match what {
        Users::Create {
            username,
            email,
            role,
            full_name,
            superuser,
            password,
            of,
        } => {
            let mut new = NewUser::new(&username, &email, read(&password)?)?.tenant(of.tenant.as_ref());
            if let Some(role) = role {
                new = new.role(role);
            }
            if let Some(full_name) = full_name {
                new = new.full_name(&full_name)?;
            }
            if superuser {
                new = new.superuser();
            }
            if password.must_change {
                new = new.must_change_password();
            }
            Ok(shown(&posada.auth().create_user(new).await?))
        }
        Users::SetPassword { user, password, of } => {
            let new = read(&password)?;
            let auth = posada.auth();
            auth.set_password(of.tenant.as_ref(), &user, new.expose(), password.must_change)
                .await?;
            let text = format!("The password of {user} is set, and every session of the user has ended.");
            Ok(Report::new(json!({"user": user}), text))
        }
        Users::ResetToken { user, of } => {
            let token = posada
                .auth()
                .issue(of.tenant.as_ref(), &user, TokenKind::ResetPassword)
                .await?;
            Ok(Report::new(json!({"user": user, "token": token}), token))
        }
    })
    .await
}

/// The password on standard input, without the end of its line.
fn read(password: &Password) -> Outcome<Secret> {
    if !password.password_stdin {
        return Err(Failure::refused(
            "a password is needed, and never is an argument",
            "pipe it in and say --password-stdin: posada users … --password-stdin <password.txt",
        ));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    if read.is_err() {
        return Err(Failure::refused(
            "the password on standard input is not UTF-8",
            "write it as UTF-8",
        ));
    }
    Ok(Secret::from(text.trim_end_matches(['\r', '\n'])))
}

fn shown(user: &User) -> Report {
    let data = json!({
        "id": user.id,
        "username": user.username,
        "tenant": user.tenant.as_ref().map(posada::TenantId::as_str),
        "role": user.role.as_str(),
        "is_superuser": user.is_superuser,
        "must_change_password": user.must_change_password,
    });
    Report::new(
        data,
        format!("{} is added as {}, id {}.", user.username, user.role, user.id),
    )
}
