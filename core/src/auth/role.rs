//! What people may do: five roles, and the permissions that the app's table gives to each.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// The role of a user. The enum of the database may spell it in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees and changes their own reservations.
    Guest,
    /// Works at the desk.
    Receptionist,
    /// Runs the hotel.
    Manager,
    /// Administers the installation.
    Admin,
    /// A program of ours.
    System,
}

impl Role {
    /// All roles, the least one first.
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::Receptionist,
        Self::Manager,
        Self::Admin,
        Self::System,
    ];

    /// The lower-case name, as tokens hold it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Receptionist => "receptionist",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }

    /// Reads a role, in any case.
    ///
    /// # Errors
    /// `auth.invalid_user` (field `role`) when no role has that name.
    pub fn parse(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter();
        let mut found = known.filter(|role| role.as_str().eq_ignore_ascii_case(name));
        found.next().ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let message = format_args!("must be one of {names}, is {}", Shown(name));
            Error::field_invalid(codes::AUTH_INVALID_USER, "role", message)
        })
    }

    /// The named permissions of the role, in the order of the app's table. [`Admin`](Self::Admin) and
    /// [`System`](Self::System) may do everything, also what has no name here; ask [`allows`](Self::allows).
    pub fn permissions(self) -> &'static [Permission] {
        let count = match self {
            Self::Guest => 2,
            Self::Receptionist => 8,
            Self::Manager | Self::Admin | Self::System => Permission::NAMED.len(),
        };
        Permission::NAMED.get(..count).unwrap_or_default()
    }

    /// Whether the role has a permission.
    pub fn allows(self, permission: &Permission) -> bool {
        matches!(self, Self::Admin | Self::System) || self.permissions().contains(permission)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a role may do in its hotel, such as `guest_checkin`: one of the constants, or the program's
/// [`own`](Permission::own). A name that is neither cannot be asked for, because a misspelled one would be a right of
/// every administrator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission(Cow<'static, str>);

/// The permissions that roles below [`Admin`](Role::Admin) have, by the names that the app's tokens hold.
impl Permission {
    /// See one's own reservations.
    pub const VIEW_OWN_RESERVATIONS: Self = Self(Cow::Borrowed("view_own_reservations"));
    /// Change one's own reservations.
    pub const MODIFY_OWN_RESERVATIONS: Self = Self(Cow::Borrowed("modify_own_reservations"));
    /// See every reservation of the hotel.
    pub const VIEW_RESERVATIONS: Self = Self(Cow::Borrowed("view_reservations"));
    /// Make reservations.
    pub const CREATE_RESERVATIONS: Self = Self(Cow::Borrowed("create_reservations"));
    /// Change reservations.
    pub const MODIFY_RESERVATIONS: Self = Self(Cow::Borrowed("modify_reservations"));
    /// Ask which rooms are free.
    pub const CHECK_AVAILABILITY: Self = Self(Cow::Borrowed("check_availability"));
    /// Check guests in.
    pub const GUEST_CHECKIN: Self = Self(Cow::Borrowed("guest_checkin"));
    /// Check guests out.
    pub const GUEST_CHECKOUT: Self = Self(Cow::Borrowed("guest_checkout"));
    /// Read reports.
    pub const VIEW_REPORTS: Self = Self(Cow::Borrowed("view_reports"));
    /// Set prices.
    pub const MANAGE_RATES: Self = Self(Cow::Borrowed("manage_rates"));
    /// Open and close rooms for sale.
    pub const MANAGE_INVENTORY: Self = Self(Cow::Borrowed("manage_inventory"));
    /// Read figures.
    pub const VIEW_ANALYTICS: Self = Self(Cow::Borrowed("view_analytics"));
    /// Cancel reservations.
    pub const CANCEL_RESERVATIONS: Self = Self(Cow::Borrowed("cancel_reservations"));

    const NAMED: [Self; 13] = [
        Self::VIEW_OWN_RESERVATIONS,
        Self::MODIFY_OWN_RESERVATIONS,
        Self::VIEW_RESERVATIONS,
        Self::CREATE_RESERVATIONS,
        Self::MODIFY_RESERVATIONS,
        Self::CHECK_AVAILABILITY,
        Self::GUEST_CHECKIN,
        Self::GUEST_CHECKOUT,
        Self::VIEW_REPORTS,
        Self::MANAGE_RATES,
        Self::MANAGE_INVENTORY,
        Self::VIEW_ANALYTICS,
        Self::CANCEL_RESERVATIONS,
    ];

    /// One of the constants, by its name.
    ///
    /// # Errors
    /// `auth.invalid_permission` for every other name.
    pub fn parse(name: &str) -> Result<Self> {
        let known = Self::NAMED.into_iter().find(|known| known.as_str() == name);
        known.ok_or_else(|| {
            invalid("is not one of the named permissions; declare what only administrators have as one of your own")
        })
    }

    /// A permission of the program's own, which [`Admin`](Role::Admin) and [`System`](Role::System) have and no one
    /// else. Declare it in one place.
    ///
    /// # Errors
    /// `auth.invalid_permission` for anything but 1 to 64 lower-case letters, digits and `_`.
    pub fn own(name: &str) -> Result<Self> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            return Err(invalid("must be 1 to 64 lower-case letters, digits and `_`"));
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of one of the constants above.
    pub(super) fn named(&self) -> &'static str {
        match self.0 {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::field_invalid(codes::AUTH_INVALID_PERMISSION, "permission", message)
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_both_cases() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()).unwrap(), role);
            assert_eq!(Role::parse(&role.as_str().to_uppercase()).unwrap(), role);
        }
        let error = Role::parse("root").unwrap_err();
        assert!(error.is(codes::AUTH_INVALID_USER) && error.field() == Some("role"));
    }

    #[test]
    fn each_role_has_what_the_apps_table_gives_it() {
        let counts = Role::ALL.map(|role| role.permissions().len());
        assert_eq!(counts[..3], [2, 8, 13]);
        assert!(Role::Receptionist.allows(&Permission::GUEST_CHECKOUT));
        assert!(!Role::Receptionist.allows(&Permission::MANAGE_RATES));
        assert!(!Role::Guest.allows(&Permission::VIEW_RESERVATIONS));
        let unnamed = Permission::own("rebuild_everything").unwrap();
        assert!(Role::Admin.allows(&unnamed) && !Role::Manager.allows(&unnamed));
    }

    #[test]
    fn a_parsed_permission_equals_the_constant() {
        assert_eq!(
            Permission::parse("guest_checkin").unwrap(),
            Permission::GUEST_CHECKIN
        );
        let refused = |outcome: Result<Permission>, name: &str| {
            assert!(outcome.unwrap_err().is(codes::AUTH_INVALID_PERMISSION), "{name}");
        };
        for name in ["", "Guest", "a b", "ñ", &"x".repeat(65)] {
            refused(Permission::own(name), name);
            refused(Permission::parse(name), name);
        }
        for name in ["guest_check_in", "manage_rate", "rebuild_everything"] {
            refused(Permission::parse(name), name);
        }
    }
}
