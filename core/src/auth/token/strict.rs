//! The form of a token: everything that is checked before its signature.
//!
//! The crate jsonwebtoken takes unknown `crit` headers, any `typ`, and an array as claims; Python's libraries take padded
//! and non-canonical base64. This reader takes one spelling of a token only: at most 8 KiB, three parts, base64url
//! without padding, spaces or spare bits, a header that is a strict JSON object with `alg` exactly `HS256` and none
//! of the members that send a verifier elsewhere for its key or change what is signed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::json::{self, Object, Value};

/// The longest token, in bytes.
pub(super) const LONGEST: usize = 8 * 1024;
/// The longest header, in bytes, before it is decoded.
const LONGEST_HEADER: usize = 1024;
/// The length of an HMAC-SHA256 in base64url.
const SIGNATURE: usize = 43;
/// Header members that change what is signed, or name another key. A verifier that ignored them would be tricked.
const REFUSED: [&str; 8] = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"];

/// A token of good form whose signature is not checked yet.
pub(super) struct Unverified<'a> {
    /// What is signed: header and claims with the dot between them.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    claims: &'a str,
}

impl<'a> Unverified<'a> {
    /// Reads the form. The reason of a refusal never repeats the token.
    pub(super) fn read(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > LONGEST {
            return Err("is longer than 8 KiB");
        }
        if token.is_empty() {
            return Err("is empty");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("does not have three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("does not have three parts")?;
        if claims.contains('.') {
            return Err("does not have three parts");
        }
        if signature.len() != SIGNATURE {
            return Err("does not have the signature of HS256");
        }
        decode(signature)?;
        if header.len() > LONGEST_HEADER {
            return Err("has too long a header");
        }
        let header = read_object(header)?;
        if header.get("alg") != Some(&Value::Text("HS256".to_owned())) {
            return Err("is not signed with HS256");
        }
        if REFUSED.iter().any(|name| header.get(name).is_some()) {
            return Err("has a header member that is not accepted");
        }
        Ok(Self {
            signed,
            signature,
            typ: text(&header, "typ")?,
            kid: text(&header, "kid")?,
            claims,
        })
    }

    /// The claims. Call it when the signature is good.
    pub(super) fn claims(&self) -> Result<Object, &'static str> {
        read_object(self.claims)
    }
}

fn text(header: &Object, name: &str) -> Result<Option<String>, &'static str> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err("has a header member of the wrong type"),
    }
}

fn read_object(part: &str) -> Result<Object, &'static str> {
    let text = String::from_utf8(decode(part)?).map_err(|_| "is not UTF-8")?;
    json::object(&text)
}

fn decode(part: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| "is not canonical base64url")
}
