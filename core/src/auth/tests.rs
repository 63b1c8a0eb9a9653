//! The promises on the memory store, and the failure table row by row.

mod accounts;
mod cases;
mod counted;
mod races;
mod sessionless;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeZone as _;

use super::store::{
    Asked, Attempt, NewSession, Owner, PasswordChange, Rotation, SessionSet, SessionState, StoredUser,
    UserKey,
};
use super::*;
use crate::clock::ManualClock;
use crate::error::{Kind, codes};
use crate::settings::Secret;
use crate::testkit::Dice;

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

/// A dependency that can be switched off.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn set(&self, off: bool) {
        self.0.store(off, Ordering::SeqCst);
    }

    fn check(&self, code: crate::error::Code) -> Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Error::new(code, "switched off"));
        }
        Ok(())
    }
}

struct Postgres(MemoryAuth, StoreFaults);
struct Redis(MemoryThrottle, Switch, Mutex<Vec<String>>);

/// What becomes of a call of the store.
#[derive(Clone, Default)]
struct StoreFaults {
    off: Switch,
    /// The one method that fails.
    broken: Arc<Mutex<Option<&'static str>>>,
    /// When others get their turn.
    dice: Arc<Mutex<Option<Dice>>>,
}

impl StoreFaults {
    fn set(&self, off: bool) {
        self.off.set(off);
    }

    fn break_only(&self, method: &'static str) {
        *self.broken.lock().unwrap() = Some(method);
    }

    fn shuffle(&self, dice: &mut Dice) {
        *self.dice.lock().unwrap() = Some(Dice::new(1 + dice.below(u64::MAX - 1)));
    }

    /// Everything works again, in order.
    fn sort(&self) {
        *self.broken.lock().unwrap() = None;
        *self.dice.lock().unwrap() = None;
    }
}

impl Postgres {
    async fn check(&self, method: &'static str) -> Result<()> {
        let turns = self
            .1
            .dice
            .lock()
            .unwrap()
            .as_mut()
            .map_or(0, |dice| dice.below(4));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if *self.1.broken.lock().unwrap() == Some(method) {
            return Err(Error::new(codes::POSTGRES_UNAVAILABLE, "broken"));
        }
        self.1.off.check(codes::POSTGRES_UNAVAILABLE)
    }
}

#[async_trait]
impl AuthStore for Postgres {
    async fn insert(&self, user: &StoredUser, now: DateTime<Utc>) -> Result<()> {
        self.check("insert").await?;
        self.0.insert(user, now).await
    }
    async fn find(&self, who: UserKey<'_>, tenant: Option<&TenantId>) -> Result<Option<StoredUser>> {
        self.check("find").await?;
        self.0.find(who, tenant).await
    }
    async fn user(&self, owner: &Owner) -> Result<Option<StoredUser>> {
        self.check("user").await?;
        self.0.user(owner).await
    }
    async fn rehash(&self, owner: &Owner, old: &str, new: &str) -> Result<bool> {
        self.check("rehash").await?;
        self.0.rehash(owner, old, new).await
    }
    async fn require_change(&self, owner: &Owner) -> Result<()> {
        self.check("require_change").await?;
        self.0.require_change(owner).await
    }
    async fn is_active(&self, tenant: &TenantId) -> Result<Option<bool>> {
        self.check("is_active").await?;
        self.0.is_active(tenant).await
    }
    async fn costliest_hash(&self) -> Result<Option<String>> {
        self.check("costliest_hash").await?;
        self.0.costliest_hash().await
    }
    async fn begin(&self, session: &NewSession) -> Result<Option<Vec<String>>> {
        self.check("begin").await?;
        self.0.begin(session).await
    }
    async fn session(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<SessionState>> {
        self.check("session").await?;
        self.0.session(id, tenant).await
    }
    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionState>> {
        self.check("rotate").await?;
        self.0.rotate(rotation).await
    }
    async fn revoke(&self, owner: &Owner, which: &SessionSet) -> Result<Vec<String>> {
        self.check("revoke").await?;
        self.0.revoke(owner, which).await
    }
    async fn sessions(&self, owner: &Owner, now: DateTime<Utc>) -> Result<Vec<SignInSession>> {
        self.check("sessions").await?;
        self.0.sessions(owner, now).await
    }
    async fn count(&self, now: DateTime<Utc>) -> Result<u64> {
        self.check("count").await?;
        self.0.count(now).await
    }
    async fn history(&self, owner: &Owner, limit: usize) -> Result<Vec<String>> {
        self.check("history").await?;
        self.0.history(owner, limit).await
    }
    async fn change_password(&self, change: &PasswordChange) -> Result<Option<Vec<String>>> {
        self.check("change_password").await?;
        self.0.change_password(change).await
    }
}

#[async_trait]
impl Throttle for Redis {
    async fn attempt(&self, attempt: &Attempt) -> Result<Option<Duration>> {
        self.1.check(codes::REDIS_UNAVAILABLE)?;
        self.0.attempt(attempt).await
    }
    async fn succeeded(&self, attempt: &Attempt) -> Result<()> {
        self.1.check(codes::REDIS_UNAVAILABLE)?;
        self.0.succeeded(attempt).await
    }
    async fn undo(&self, attempt: &Attempt) -> Result<()> {
        self.1.check(codes::REDIS_UNAVAILABLE)?;
        self.0.undo(attempt).await
    }
}

#[async_trait]
impl SessionCache for Redis {
    async fn get(&self, id: &str) -> Result<super::store::Shared> {
        self.1.check(codes::REDIS_UNAVAILABLE)?;
        NoCache.get(id).await
    }
    async fn put(&self, _: &str, _: &SessionState, _: Asked, _: Duration) -> Result<()> {
        self.1.check(codes::REDIS_UNAVAILABLE)
    }
    async fn revoke(&self, id: &str, _: Duration) -> Result<()> {
        self.1.check(codes::REDIS_UNAVAILABLE)?;
        self.2.lock().unwrap().push(id.to_owned());
        Ok(())
    }
}

struct Fixture {
    auth: Authenticator,
    clock: ManualClock,
    postgres: StoreFaults,
    redis: Switch,
    events: Arc<Mutex<Vec<AuthEvent>>>,
}

/// Every hotel is there and active, but `another-hotel`.
struct KnownHotels;

impl Hotels for KnownHotels {
    fn is_active(&self, tenant: &TenantId) -> Option<bool> {
        (tenant.as_str() != "another-hotel").then_some(true)
    }
}

impl Fixture {
    fn new() -> Self {
        Self::with(AuthOptions::default())
    }

    fn with(options: AuthOptions) -> Self {
        let clock = ManualClock::at(Utc.with_ymd_and_hms(2027, 3, 10, 12, 0, 0).unwrap());
        let shared = clock.shared();
        Self::on(options, clock, shared)
    }

    /// A fixture whose service reads another clock.
    fn on(options: AuthOptions, clock: ManualClock, read: SharedClock) -> Self {
        let (postgres, redis) = (StoreFaults::default(), Switch::default());
        let shared = Arc::new(Redis(
            MemoryThrottle::new(read.clone()),
            redis.clone(),
            Mutex::default(),
        ));
        let events: Arc<Mutex<Vec<AuthEvent>>> = Arc::default();
        let kept = events.clone();
        let parts = AuthParts {
            store: Arc::new(Postgres(MemoryAuth::new(Arc::new(KnownHotels)), postgres.clone())),
            cache: shared.clone(),
            throttle: shared,
            alone: Arc::new(MemoryThrottle::alone(read.clone())),
            own: Arc::new(MemoryThrottle::own(read.clone())),
            keys: KeyRing::new(&Secret::new(KEY)),
            options,
            app_life: Duration::from_hours(1),
            sink: Some(Arc::new(move |event| kept.lock().unwrap().push(event.clone()))),
        };
        Self {
            auth: Authenticator::new(parts, read, Tasks::new()),
            clock,
            postgres,
            redis,
            events,
        }
    }

    async fn ana(&self) -> TokenPair {
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        self.auth.create_user(ana).await.unwrap();
        self.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap()
    }

    fn happened(&self, kind: AuthEventKind) -> bool {
        self.events.lock().unwrap().iter().any(|event| event.kind == kind)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_promises() {
    let fixture = Fixture::new();
    crate::testkit::auth::suite(&crate::testkit::auth::Run {
        auth: &fixture.auth,
        clock: &fixture.clock,
        prefix: "memory",
        tenant: &TenantId::parse("hotel-test").unwrap(),
        has_roles: true,
    })
    .await;
    for kind in [
        AuthEventKind::LoginSuccess,
        AuthEventKind::LoginFail,
        AuthEventKind::LoginThrottled,
        AuthEventKind::TokenReuse,
        AuthEventKind::TokenRevoked,
        AuthEventKind::PasswordChanged,
        AuthEventKind::PasswordChangeFail,
        AuthEventKind::ActedAcrossTenants,
        AuthEventKind::AuthorizationFail,
    ] {
        assert!(fixture.happened(kind), "{kind:?} was never raised");
    }
    let shown = format!("{:?}", fixture.events.lock().unwrap());
    assert!(
        !shown.contains("loro") && !shown.contains("-memory") && !shown.contains("eyJ"),
        "{shown}"
    );
}

/// Fills the pool and its queue; the answer opens the gate when it is dropped.
async fn fill(auth: &Authenticator) -> (mpsc::Sender<()>, Vec<tokio::task::JoinHandle<()>>) {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let mut waiting = Vec::new();
    while {
        let (pool, gate) = (auth.0.pool.clone(), gate.clone());
        let mut work = Box::pin(async move {
            let _gone_when_the_test_ends = pool
                .run(move |_| gate.lock().map(|gate| gate.recv().is_ok()).is_ok())
                .await;
        });
        let is_waiting = futures_util::poll!(&mut work).is_pending();
        if is_waiting {
            #[allow(clippy::disallowed_methods, reason = "a test that fills a pool")]
            waiting.push(tokio::spawn(work));
        }
        is_waiting
    } {}
    (open, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_failure_table_holds() {
    for (step, dependency, expected) in AUTH_FAILURE_POLICY {
        let what = format!("{step:?} without {dependency:?}");
        let fixture = Fixture::new();
        let pair = fixture.ana().await;
        let known = fixture.auth.verify(&pair.access).await.unwrap();
        if step == AuthStep::VerifyUnknown {
            fixture.clock.advance(Duration::from_secs(6));
        }
        fixture.postgres.set(dependency == AuthDependency::Postgres);
        fixture.redis.set(dependency == AuthDependency::Redis);
        let busy = if dependency == AuthDependency::HashPool {
            Some(fill(&fixture.auth).await)
        } else {
            None
        };
        let attempt = SignIn::new("ana", PASSWORD);
        let outcome = match step {
            AuthStep::VerifyKnown | AuthStep::VerifyUnknown => {
                fixture.auth.verify(&pair.access).await.map(drop)
            }
            AuthStep::VerifyPrivileged => fixture.auth.verify_privileged(&pair.access).await.map(drop),
            AuthStep::Login => fixture.auth.login(&attempt).await.map(drop),
            AuthStep::Refresh => fixture.auth.refresh(&pair.refresh).await.map(drop),
            AuthStep::Revoke => fixture.auth.logout(&pair.access).await,
            AuthStep::ChangePassword => fixture
                .auth
                .change_password(&pair.access, PASSWORD, SECOND)
                .await
                .map(drop),
        };
        fixture.postgres.set(false);
        fixture.redis.set(false);
        drop(busy);
        match expected {
            AuthFallback::Refuses => {
                let error = outcome.expect_err(&what);
                assert!(
                    matches!(error.kind(), Kind::Unavailable | Kind::Exhausted),
                    "{what}: {error}"
                );
                // Nothing was used up: the same call works when the fault is over, however often it failed.
                fixture
                    .auth
                    .verify(&pair.access)
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                fixture
                    .auth
                    .refresh(&pair.refresh)
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            AuthFallback::TellsNobody => {
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(fixture.happened(AuthEventKind::Degraded), "{what}");
                assert!(
                    fixture.auth.verify(&pair.access).await.is_err(),
                    "{what}: it has ended here"
                );
            }
            AuthFallback::Unaffected | AuthFallback::AsksPostgres | AuthFallback::CountsAlone => {
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
        drop(known);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_111_without_redis_attempts_are_counted_alone_and_stricter() {
    let fixture = Fixture::new();
    fixture.ana().await;
    fixture.redis.set(true);
    let guess = SignIn::new("ana", "wrong");
    let mut guessed = 0;
    while fixture
        .auth
        .login(&guess)
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {
        guessed += 1;
    }
    assert_eq!(guessed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_never_counts_as_a_failed_attempt() {
    let fixture = Fixture::new();
    fixture.ana().await;
    fixture.postgres.set(true);
    for _ in 0..20 {
        let error = fixture
            .auth
            .login(&SignIn::new("ana", PASSWORD))
            .await
            .unwrap_err();
        assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    }
    fixture.postgres.set(false);
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_elsewhere_is_seen_within_the_staleness() {
    let (one, other) = two_processes();
    let pair = one.ana().await;
    other.auth.verify(&pair.access).await.unwrap();
    one.auth.logout(&pair.access).await.unwrap();
    assert!(
        one.auth
            .verify(&pair.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED),
        "here at once"
    );
    let stale = other.auth.verify(&pair.access).await.unwrap();
    assert_eq!(stale.source, ClaimsSource::Local);
    let error = other.auth.verify_privileged(&pair.access).await.unwrap_err();
    assert!(
        error.is(codes::AUTH_SESSION_ENDED),
        "privileged requests see it at once"
    );
    assert!(
        other.auth.verify(&pair.access).await.is_err(),
        "and whoever saw it remembers"
    );
    let again = one.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    other.auth.verify(&again.access).await.unwrap();
    one.auth.logout(&again.access).await.unwrap();
    other.clock.advance(Duration::from_secs(5));
    let error = other.auth.verify(&again.access).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_everywhere_ends_here_also_what_ended_elsewhere_before() {
    let (one, other) = two_processes();
    let pair = one.ana().await;
    let claims = one.auth.verify(&pair.access).await.unwrap();
    other.auth.logout(&pair.access).await.unwrap();
    one.auth.verify(&pair.access).await.expect("not heard of yet");
    assert_eq!(one.auth.logout_everywhere(&claims, false).await.unwrap(), 0);
    let error = one.auth.verify(&pair.access).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
}

/// Two services on one store.
fn two_processes() -> (Fixture, Fixture) {
    let one = Fixture::new();
    let inner = &one.auth.0;
    let parts = AuthParts {
        store: inner.store.clone(),
        cache: Arc::new(NoCache),
        throttle: Arc::new(MemoryThrottle::new(one.clock.shared())),
        alone: Arc::new(MemoryThrottle::alone(one.clock.shared())),
        own: Arc::new(MemoryThrottle::own(one.clock.shared())),
        keys: KeyRing::new(&Secret::new(KEY)),
        options: AuthOptions::default(),
        app_life: Duration::from_hours(1),
        sink: None,
    };
    let other = Fixture {
        auth: Authenticator::new(parts, one.clock.shared(), Tasks::new()),
        clock: one.clock.clone(),
        postgres: one.postgres.clone(),
        redis: one.redis.clone(),
        events: one.events.clone(),
    };
    (one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strict_profile_goes_through_the_whole_life_of_a_session() {
    let fixture = Fixture::with(AuthOptions::new().profile(Profile::Strict));
    let pair = fixture.ana().await;
    let next = fixture.auth.refresh(&pair.refresh).await.unwrap();
    fixture.auth.verify(&next.access).await.unwrap();
    fixture.auth.logout(&next.refresh).await.unwrap();
    assert!(fixture.auth.verify(&next.access).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_too_old_must_be_changed() {
    let fixture = Fixture::with(AuthOptions::new().password_life(Duration::from_hours(24 * 90)));
    fixture.ana().await;
    fixture
        .clock
        .advance(Duration::from_millis(90 * 24 * 3_600_000 - 1));
    let pair = fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    fixture.auth.verify(&pair.access).await.unwrap();
    fixture.clock.advance(Duration::from_millis(1));
    let error = fixture.auth.verify(&pair.access).await.unwrap_err();
    assert!(error.is(codes::AUTH_PASSWORD_MUST_CHANGE));
}

#[tokio::test]
async fn without_a_key_sign_in_says_what_is_missing() {
    let settings = crate::Settings::builder()
        .redis_url("redis://127.0.0.1:1")
        .build()
        .unwrap();
    let posada = crate::Posada::builder().settings(settings).build().unwrap();
    let error = posada.auth().verify("x").await.unwrap_err();
    assert_eq!(
        (error.code(), error.field()),
        ("settings.missing", Some("SECRET_KEY"))
    );
}

/// A user whose sessions begin without a password, so that a thousand races take no minutes.
async fn without_a_password(fixture: &Fixture) -> User {
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    fixture.auth.create_user(ana).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn case_106_a_thousand_sign_ins_at_once_are_shed_and_verification_goes_on() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    let names: Vec<String> = (0..1000).map(|number| format!("user{number}")).collect();
    let attempts = names.iter().map(|name| {
        let attempt = SignIn::new(name, "wrong");
        let fixture = &fixture;
        async move { fixture.auth.login(&attempt).await.unwrap_err() }
    });
    let verifications = async {
        for _ in 0..100 {
            fixture.auth.verify(&pair.access).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (errors, ()) = tokio::join!(futures_util::future::join_all(attempts), verifications);
    let shed = errors
        .iter()
        .filter(|error| error.is(codes::AUTH_HASHING_BUSY))
        .count();
    let judged = errors
        .iter()
        .filter(|error| error.is(codes::AUTH_BAD_CREDENTIALS))
        .count();
    assert_eq!(shed + judged, 1000);
    assert!(shed > 500 && judged > 0, "{shed} shed, {judged} judged");
    let advice = errors
        .iter()
        .find(|error| error.is(codes::AUTH_HASHING_BUSY))
        .map(Error::retry);
    assert_eq!(advice, Some(crate::Retry::After(Duration::from_secs(1))));
}
