//! Sign-in: tokens and passwords.

mod password;
mod role;
mod token;

pub use password::PasswordPolicy;
pub use role::{Permission, Role};
pub use token::{Profile, TokenKind};
