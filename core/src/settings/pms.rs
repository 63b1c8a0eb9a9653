//! Which property management system the hotels use.

use std::time::Duration;

use super::Secret;

/// The property management system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PmsSettings {
    /// A small hotel in memory: for development and tests.
    Mock,
    /// QloApps over HTTP.
    QloApps(QloAppsSettings),
}

/// How to reach QloApps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QloAppsSettings {
    /// Address of the shop, `http://` or `https://`, without a slash at the end and without `/api`
    /// (`PMS_BASE_URL`).
    pub base_url: String,
    /// Key of the web service (`PMS_API_KEY`).
    pub api_key: Secret,
    /// The hotel that is meant when a call names none (`PMS_HOTEL_ID`).
    pub hotel_id: u64,
    /// Longest time that one HTTP request may take, connection included (`PMS_TIMEOUT`).
    pub timeout: Duration,
}

impl QloAppsSettings {
    /// Default of [`hotel_id`](Self::hotel_id): the first hotel of an installation.
    pub const DEFAULT_HOTEL_ID: u64 = 1;
    /// Default of [`timeout`](Self::timeout): 10 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
}
