//! What a variant of a flag carries.

/// One of the variants of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagVariant {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Option<FlagPayload>,
}

/// What a variant carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagPayload {
    /// Unleash's type: `string`, `json`, `csv` or `number`.
    pub kind: String,
    /// The value, as text.
    pub value: String,
}
