//! posada in Node.
