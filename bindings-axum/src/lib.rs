//! posada in axum.
