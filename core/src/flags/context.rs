//! For whom a flag is evaluated.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::tenants::TenantId;

/// For whom a flag is evaluated: the tenant chooses the override, the rest is what strategies and constraints
/// look at. It borrows its texts, so that making one costs nothing.
///
/// ```
/// use posada::TenantId;
/// use posada::flags::Context;
/// let tenant = TenantId::parse("hotel-test")?;
/// let context = Context::new().tenant(&tenant).user("5491112345678").property("channel", "whatsapp");
/// # let _ = context;
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context<'a> {
    pub(super) tenant: Option<&'a TenantId>,
    pub(super) user_id: Option<&'a str>,
    pub(super) session_id: Option<&'a str>,
    pub(super) remote_address: Option<&'a str>,
    pub(super) environment: Option<&'a str>,
    pub(super) app_name: Option<&'a str>,
    pub(super) properties: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl<'a> Context<'a> {
    /// No tenant and no user: global values and code defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tenant whose overrides count; without one, only global values do.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Option<&'a TenantId>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Whom rollouts keep in the same bucket: the guest's id (Unleash's `userId`).
    #[must_use]
    pub fn user(mut self, id: &'a str) -> Self {
        self.user_id = Some(id);
        self
    }

    /// The conversation, which rollouts use when there is no user (`sessionId`).
    #[must_use]
    pub fn session(mut self, id: &'a str) -> Self {
        self.session_id = Some(id);
        self
    }

    /// The client's IP address (`remoteAddress`).
    #[must_use]
    pub fn remote_address(mut self, address: &'a str) -> Self {
        self.remote_address = Some(address);
        self
    }

    /// Such as `production` (`environment`).
    #[must_use]
    pub fn environment(mut self, name: &'a str) -> Self {
        self.environment = Some(name);
        self
    }

    /// The program that asks (`appName`).
    #[must_use]
    pub fn app_name(mut self, name: &'a str) -> Self {
        self.app_name = Some(name);
        self
    }

    /// Any other fact that constraints may name. Allocates.
    ///
    /// As in Unleash, `currentTime` (RFC 3339, such as `2027-03-10T12:00:00Z`) takes the place of the clock, to ask
    /// what holds at another moment; constraints on a time that cannot be read do not hold.
    #[must_use]
    pub fn property(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.properties
            .get_or_insert_default()
            .insert(name.into(), value.into());
        self
    }

    /// A property by name.
    pub(super) fn find_property(&self, name: &str) -> Option<&str> {
        self.properties
            .as_ref()
            .and_then(|properties| properties.get(name))
            .map(AsRef::as_ref)
    }
}
