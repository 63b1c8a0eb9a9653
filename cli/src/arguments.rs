//! The commands and their arguments. What stands here is also the help, the manual and the completions.

use std::time::Duration;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use posada::TenantId;
use posada::auth::Role;
use posada::locks::Resource;
use posada::pms::{BookingId, HotelId};
use posada::tenants::{Channel, TenantStatus};

use crate::exit::STATUSES;

/// Operates an installation of posada: the database, what is wrong with it, and what it keeps.
///
/// The environment is that of the app: DATABASE_URL, REDIS_URL and the others that `posada settings --example` lists.
#[derive(Debug, Parser)]
#[command(name = "posada", version, after_help = STATUSES, propagate_version = true)]
pub(crate) struct Arguments {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours; never with NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Do not ask before something is destroyed
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The schema of the database: what is to do, doing it, what was done
    #[command(subcommand)]
    Migrate(Migrate),
    /// Print the migrations as SQL, for Supabase's SQL editor or psql
    Schema,
    /// Check the tables, rights and migrations of the database
    Validate,
    /// Delete what the database keeps for too long, in batches that no guest notices
    ///
    /// One process works and the others skip; it may be interrupted at any moment, and goes on with the next run.
    Maintain {
        /// Stay, and do it again after this time, such as 24h
        #[arg(long, value_parser = duration)]
        every: Option<Duration>,
        /// For how many days an ended sign-in session is kept
        #[arg(long, default_value_t = 7)]
        sessions: u32,
        /// How many old passwords of each user are kept
        #[arg(long, default_value_t = 10)]
        passwords: u32,
        /// For how many days a row of the lock audit is kept
        #[arg(long, default_value_t = 30)]
        audit: u32,
    },
    /// Look for everything that usually is wrong with an installation
    Doctor,
    /// Whether the servers answer now
    Health,
    /// Show what was read from the environment; secrets are hidden
    Settings {
        /// Print a .env file with every variable, its meaning and its default instead
        #[arg(long)]
        example: bool,
    },
    /// How many connections the settings need, beside what the server admits
    Size {
        /// How many processes of the app run
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        replicas: u32,
    },
    /// Hotels
    #[command(subcommand)]
    Tenants(Tenants),
    /// The numbers and names by which the guests of hotels write
    #[command(subcommand)]
    Identifiers(Identifiers),
    /// Feature flags
    #[command(subcommand)]
    Flags(Flags),
    /// Users of the app
    #[command(subcommand)]
    Users(Users),
    /// Conversations
    #[command(subcommand)]
    Sessions(Sessions),
    /// Named locks
    #[command(subcommand)]
    Locks(Locks),
    /// The live stay holds of a room or room type that touch some nights
    Holds {
        /// `room:101` or `room_type:1/5`
        resource: Resource,
        /// The first night
        #[arg(long)]
        from: NaiveDate,
        /// The day after the last night
        #[arg(long)]
        to: NaiveDate,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Rate limits
    #[command(subcommand)]
    Limits(Limits),
    /// The newest rows of the lock audit for a key
    Audit {
        /// The name of a lock, or `tenant:HOTEL:lock:room:101:2027-03-10:2027-03-12`
        lock_key: String,
        /// How many rows at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// The hotel's own system
    #[command(subcommand)]
    Pms(Pms),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual, for `man -l`
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Print what `apply` would do
    Plan {
        /// End with status 3 when there is something to do
        #[arg(long)]
        exit_code: bool,
    },
    /// Apply what is missing; any number of machines may do it at once, also through a transaction pooler
    Apply {
        /// Wait for a database that is not up yet, at most so many seconds
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", value_parser = seconds)]
        wait: Option<Duration>,
    },
    /// Print what was applied, and what is to do
    Status {
        /// Wait until there is nothing to do, at most so many seconds: for what starts beside a migration job
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "600", value_parser = seconds)]
        wait_for_current: Option<Duration>,
    },
}

/// The hotel that is meant; without it what belongs to none.
#[derive(Debug, Args)]
pub(crate) struct OfTenant {
    /// The hotel; without it, what belongs to none
    #[arg(long)]
    pub(crate) tenant: Option<TenantId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenants {
    /// Every hotel
    List,
    /// One hotel
    Show {
        /// Its id
        tenant: TenantId,
    },
    /// Add a hotel
    Create {
        /// Its id, such as hotel-mirador
        tenant: String,
        /// Its name
        name: String,
        /// active or inactive
        #[arg(long)]
        status: Option<TenantStatus>,
        #[command(flatten)]
        hours: Hours,
    },
    /// Change a hotel; what is not named stays
    Update {
        /// Its id
        tenant: TenantId,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// active or inactive
        #[arg(long)]
        status: Option<TenantStatus>,
        #[command(flatten)]
        hours: Hours,
    },
    /// Suspend a hotel: its guests resolve to a suspended hotel from then on, everywhere
    Suspend {
        /// Its id
        tenant: TenantId,
    },
}

/// When the reception answers.
#[derive(Debug, Args)]
pub(crate) struct Hours {
    /// The hour at which the reception opens, 0 to 23
    #[arg(long, value_name = "HOUR")]
    pub(crate) opens: Option<u8>,
    /// The hour at which it closes, 0 to 24
    #[arg(long, value_name = "HOUR")]
    pub(crate) closes: Option<u8>,
    /// Its zone, such as America/Argentina/Buenos_Aires
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identifiers {
    /// Give a hotel a number or name to which its guests write
    Add {
        /// The hotel
        tenant: TenantId,
        /// A telephone number, an account or an e-mail address
        identifier: String,
        #[command(flatten)]
        on: OnChannel,
    },
    /// Take a number or name from a hotel
    Remove {
        /// The hotel
        tenant: TenantId,
        /// A telephone number, an account or an e-mail address
        identifier: String,
        #[command(flatten)]
        on: OnChannel,
    },
    /// Which hotel a guest reaches there
    Resolve {
        /// A telephone number, an account or an e-mail address
        identifier: String,
        #[command(flatten)]
        on: OnChannel,
    },
}

/// The channel of an identifier.
#[derive(Debug, Args)]
pub(crate) struct OnChannel {
    /// The channel, such as whatsapp or web; without it, any
    #[arg(long)]
    pub(crate) channel: Option<Channel>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Flags {
    /// Every flag with its value and where that comes from
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// Set a flag, for all or for one hotel
    Set {
        /// The flag, such as booking.enabled
        flag: String,
        /// true, false, or a definition as JSON
        value: String,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Remove a value, so that the next layer counts
    Unset {
        /// The flag
        flag: String,
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Add a user; the password is read from standard input
    Create {
        /// The name with which the user signs in
        username: String,
        /// The user's e-mail address
        email: String,
        /// What the user may do
        #[arg(long)]
        role: Option<Role>,
        /// The user's name
        #[arg(long)]
        full_name: Option<String>,
        /// May everything, in every hotel
        #[arg(long)]
        superuser: bool,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Set a user's password, read from standard input; every session of the user ends
    SetPassword {
        /// The user's id
        user: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Print a token with which the user sets a new password within a quarter of an hour
    ResetToken {
        /// The user's id
        user: String,
        #[command(flatten)]
        of: OfTenant,
    },
}

/// A password never is an argument, because every user of the machine sees those.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// Read the password from standard input, to its end
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// The user sets another one at the next sign-in
    #[arg(long)]
    pub(crate) must_change: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// Who is in a conversation
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// One conversation
    Show {
        /// The guest, such as 5491187654321
        user: String,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Delete a conversation
    Delete {
        /// The guest
        user: String,
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Locks {
    /// The locks that are held
    List {
        #[command(flatten)]
        of: OfTenant,
    },
    /// One lock
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        of: OfTenant,
    },
    /// Take a lock away from its holder
    Release {
        /// Its name
        name: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    /// How much of a limit is left
    Show(LimitOf),
    /// Forget what was counted
    Reset(LimitOf),
}

/// A limit and for whom it counts.
#[derive(Debug, Args)]
pub(crate) struct LimitOf {
    /// The limit, such as 5/minute
    pub(crate) limit: String,
    /// What is counted, as the app says it: an address, a route, a user
    #[arg(required = true)]
    pub(crate) identifiers: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pms {
    /// The hotels of the system
    Hotels,
    /// The room types of a hotel
    RoomTypes {
        #[command(flatten)]
        at: AtHotel,
    },
    /// Free rooms and prices
    Availability {
        /// The day of arrival
        check_in: NaiveDate,
        /// The day of departure
        check_out: NaiveDate,
        /// Grown-ups
        #[arg(long, default_value_t = 2)]
        adults: u32,
        /// The age of a child; once for each child
        #[arg(long, value_name = "AGE")]
        child: Vec<u8>,
        #[command(flatten)]
        at: AtHotel,
    },
    /// One booking
    Booking {
        /// Its id
        id: BookingId,
    },
    /// Who arrives on a day
    Arrivals {
        /// The day
        day: NaiveDate,
        #[command(flatten)]
        at: AtHotel,
    },
    /// Who departs on a day
    Departures {
        /// The day
        day: NaiveDate,
        #[command(flatten)]
        at: AtHotel,
    },
    /// What the credentials may not do, and for what it is needed
    SelfTest,
}

/// The hotel of the system.
#[derive(Debug, Args)]
pub(crate) struct AtHotel {
    /// The hotel's id in its system; without it PMS_HOTEL_ID, or 1
    #[arg(long)]
    pub(crate) hotel: Option<HotelId>,
}

/// Such as `90s`, `30m`, `24h` or `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 30m, 24h or 7d".to_owned();
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)];
    let with_unit = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
    let (number, seconds) = with_unit.ok_or_else(wrong)?;
    match number.parse::<u64>() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(Duration::from_secs(number * seconds)),
        _ => Err(wrong()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text.parse().map_err(|_| "expected whole seconds".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

impl Command {
    /// The name of the command in `--json`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Migrate(Migrate::Plan { .. }) => "migrate plan",
            Self::Migrate(Migrate::Apply { .. }) => "migrate apply",
            Self::Migrate(Migrate::Status { .. }) => "migrate status",
            Self::Schema => "schema",
            Self::Maintain { .. } => "maintain",
            Self::Validate => "validate",
            Self::Doctor => "doctor",
            Self::Health => "health",
            Self::Settings { .. } => "settings",
            Self::Size { .. } => "size",
            Self::Tenants(Tenants::List) => "tenants list",
            Self::Tenants(Tenants::Show { .. }) => "tenants show",
            Self::Tenants(Tenants::Create { .. }) => "tenants create",
            Self::Tenants(Tenants::Update { .. }) => "tenants update",
            Self::Tenants(Tenants::Suspend { .. }) => "tenants suspend",
            Self::Identifiers(Identifiers::Add { .. }) => "identifiers add",
            Self::Identifiers(Identifiers::Remove { .. }) => "identifiers remove",
            Self::Identifiers(Identifiers::Resolve { .. }) => "identifiers resolve",
            Self::Flags(Flags::List { .. }) => "flags list",
            Self::Flags(Flags::Set { .. }) => "flags set",
            Self::Flags(Flags::Unset { .. }) => "flags unset",
            Self::Users(Users::Create { .. }) => "users create",
            Self::Users(Users::SetPassword { .. }) => "users set-password",
            Self::Users(Users::ResetToken { .. }) => "users reset-token",
            Self::Sessions(Sessions::List { .. }) => "sessions list",
            Self::Sessions(Sessions::Show { .. }) => "sessions show",
            Self::Sessions(Sessions::Delete { .. }) => "sessions delete",
            Self::Locks(Locks::List { .. }) => "locks list",
            Self::Locks(Locks::Show { .. }) => "locks show",
            Self::Locks(Locks::Release { .. }) => "locks release",
            Self::Holds { .. } => "holds",
            Self::Limits(Limits::Show(_)) => "limits show",
            Self::Limits(Limits::Reset(_)) => "limits reset",
            Self::Audit { .. } => "audit",
            Self::Pms(Pms::Hotels) => "pms hotels",
            Self::Pms(Pms::RoomTypes { .. }) => "pms room-types",
            Self::Pms(Pms::Availability { .. }) => "pms availability",
            Self::Pms(Pms::Booking { .. }) => "pms booking",
            Self::Pms(Pms::Arrivals { .. }) => "pms arrivals",
            Self::Pms(Pms::Departures { .. }) => "pms departures",
            Self::Pms(Pms::SelfTest) => "pms self-test",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "h", "24", "-1h", "24 h", "9999999d", "1µ"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wait_has_a_length_only_where_one_is_given() {
        let wait = |words: &[&str]| {
            let words = ["posada", "migrate", "apply"].iter().chain(words);
            match Arguments::try_parse_from(words).unwrap().command {
                Command::Migrate(Migrate::Apply { wait }) => wait,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["--wait"]), Some(Duration::from_mins(1)));
        assert_eq!(wait(&["--wait=5"]), Some(Duration::from_secs(5)));
    }
}
