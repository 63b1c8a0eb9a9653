//! The one cryptography provider of the process.

/// Installs ring as rustls' provider, unless the program has installed one already. Without this, two crates
/// that choose different providers make the first TLS handshake panic.
pub(crate) fn install_provider() {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
}
