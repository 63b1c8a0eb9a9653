//! Conversations.

mod json;

pub use json::{Json, JsonNumber, JsonObject, JsonText};
