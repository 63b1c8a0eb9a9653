//! How a question that the cache cannot answer is answered: once, however many callers wait for it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::answer::{Answer, Entry, Hit, OpenQuestion, Outcome, Waiting};
use super::cache::Cache;
use super::gathering::{Asked, BATCH, Gathering, QueryPermit};
use super::identifier::Identifier;
use super::invalidation::{Change, Invalidation, Listener, ListenerEvent};
use super::meters::Meters;
use super::model::Tenant;
use super::options::TenantOptions;
use super::question::{Raw, Spelling, Target};
use super::resolution::{Resolution, ResolutionSource, Verdict};
use super::rows::Rows;
use super::snapshot::Snapshot;
use super::store::TenantStore;
use super::{TenantId, snapshot};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::rng;
use crate::task::{Need, Tasks};

/// How long a question waits for the answer of another before it is asked beside it.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// How long the announcement of a change is repeated that fails. Then the caches of other processes have asked anew.
const ANNOUNCED: Duration = Duration::from_mins(10);

/// Everything behind a [`TenantResolver`](super::TenantResolver).
pub(super) struct Inner {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) clock: SharedClock,
    pub(super) tasks: Tasks,
    pub(super) cache: Cache,
    pub(super) options: TenantOptions,
    pub(super) meters: Meters,
    invalidation: Arc<dyn Invalidation>,
    name: String,
    snapshot: Option<Snapshot>,
    started: OnceCell<()>,
    gathering: Gathering,
    default_tenant: Option<Arc<Tenant>>,
}

impl Inner {
    pub(super) fn new(
        store: Arc<dyn TenantStore>,
        invalidation: Arc<dyn Invalidation>,
        clock: SharedClock,
        tasks: Tasks,
        options: TenantOptions,
    ) -> Self {
        Self {
            store,
            invalidation,
            clock,
            tasks,
            cache: Cache::new(&options),
            snapshot: options.snapshot_dir.as_deref().map(Snapshot::in_folder),
            meters: Meters::new(),
            name: rng::token(),
            started: OnceCell::new(),
            gathering: Gathering::default(),
            default_tenant: options
                .default_tenant
                .clone()
                .map(|id| Arc::new(Tenant::bare(id))),
            options,
        }
    }

    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.clock.coarse_millis()).unwrap_or(i64::MAX / 4)
    }

    /// What the cache answers without waiting; counts it.
    pub(super) fn hit(&self, raw: Raw<'_>) -> Option<Hit> {
        let now = self.now();
        let mut hit = self.cache.probe(raw, now)?;
        if matches!(hit.resolution, Resolution::Unknown)
            && let Some(default) = &self.default_tenant
        {
            hit = self.cache.probe(Raw::id(&default.id), now)?;
            hit.resolution = as_default(hit.resolution, default);
            hit.due = false;
        }
        self.meters.count(&hit.resolution);
        Some(hit)
    }

    /// What the cache holds, be it due, stale, or known under another spelling only; counts it.
    pub(super) fn remembered(&self, raw: Raw<'_>) -> Option<Resolution> {
        if let Some(hit) = self.hit(raw) {
            return Some(hit.resolution);
        }
        let target = self.target(raw).ok()?;
        let resolution = self.cache.held(raw, &target, self.now())?.resolution(self.now());
        self.meters.count(&resolution);
        Some(resolution)
    }

    /// Begins what runs beside the calls, once: the ear for changes, and the disk.
    pub(super) async fn start(self: &Arc<Self>) -> Result<()> {
        self.tasks.ensure_open()?;
        let start = || async {
            if let Some(snapshot) = &self.snapshot {
                let wall = self.clock.now();
                for kept in snapshot.read().await {
                    let age = (wall - kept.fetched).num_milliseconds().max(0);
                    self.cache.restore(&kept.target, kept.verdict, self.now() - age);
                }
                let writer = snapshot::write_when_changed(
                    Arc::downgrade(self),
                    snapshot.changes(),
                    self.tasks.clone(),
                );
                self.tasks.in_background(writer);
            }
            self.tasks
                .run_until_closed(listen(Arc::downgrade(self), self.invalidation.listen()));
        };
        self.started.get_or_init(start).await;
        Ok(())
    }

    /// Answers what [`hit`](Self::hit) did not.
    pub(super) async fn ask(self: &Arc<Self>, raw: Raw<'_>) -> Result<Resolution> {
        self.start().await?;
        let answered = match self.target(raw) {
            Ok(target) => self.answer(raw, &target).await,
            Err(error) => Err(error),
        };
        self.finish(answered).await.inspect_err(|_| self.meters.failed())
    }

    /// Refreshes a slot that is due, in the background.
    pub(super) fn refresh_ahead(self: &Arc<Self>, raw: Raw<'_>) {
        if self.tasks.is_closed() {
            return;
        }
        if let Some(target) = self.cache.claim_refresh(raw)
            && let Entry::Lead(question, ..) = self.cache.enter(&target, self.now(), true)
            && let Some(work) = self.start_question(target, question)
        {
            self.tasks.in_background(work);
        }
    }

    /// A tenant by its id.
    pub(super) async fn tenant(self: &Arc<Self>, raw: Raw<'_>) -> Result<Option<Arc<Tenant>>> {
        let resolution = if let Some(hit) = self.cache.probe(raw, self.now()) {
            if hit.due {
                self.refresh_ahead(raw);
            }
            hit.resolution
        } else {
            self.start().await?;
            let target = self.target(raw)?;
            self.answer(raw, &target).await?.resolution(self.now())
        };
        Ok(match resolution {
            Resolution::Found { tenant, .. } | Resolution::Suspended { tenant } => Some(tenant),
            Resolution::Unknown | Resolution::Ambiguous { .. } => None,
        })
    }

    /// Answers many questions with as few statements as possible; one answer for each, in their order.
    pub(super) async fn ask_many(self: &Arc<Self>, raws: &[Raw<'_>], again: bool) -> Vec<Result<Resolution>> {
        if let Err(error) = self.start().await {
            return raws.iter().map(|_| Err(error.repeat())).collect();
        }
        let mut resolutions: Vec<Option<Result<Resolution>>> = Vec::with_capacity(raws.len());
        let mut open: Vec<(usize, Target)> = Vec::new();
        for (index, raw) in raws.iter().enumerate() {
            let hit = if again { None } else { self.hit(*raw) };
            resolutions.push(match (hit, self.target(*raw)) {
                (Some(hit), _) => Some(Ok(hit.resolution)),
                (None, Err(error)) => Some(Err(error)),
                (None, Ok(target)) => {
                    open.push((index, target));
                    None
                }
            });
        }
        for batch in open.chunks(BATCH) {
            let generation = self.cache.generation();
            let questions = batch.iter().map(|(_, target)| (target, generation));
            for ((index, _), outcome) in batch.iter().zip(self.look_up(questions).await) {
                if let (Some(place), Some(raw)) = (resolutions.get_mut(*index), raws.get(*index)) {
                    *place = Some(self.finish(self.take_outcome(*raw, &outcome)).await);
                }
            }
        }
        self.note_size();
        let answered = resolutions
            .into_iter()
            .map(|resolution| resolution.unwrap_or_else(|| Err(lost())));
        answered
            .inspect(|resolution| {
                if resolution.is_err() {
                    self.meters.failed();
                }
            })
            .collect()
    }

    /// Asks again for every identifier that is remembered. Returns how many there were.
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<usize> {
        self.start().await?;
        let tenants = self.store.list().await?;
        self.count_tenants(&tenants);
        self.cache.expire_all();
        let remembered = self.cache.answers().into_iter().map(|(target, _)| target);
        let identifiers: Vec<_> = remembered
            .filter(|target| matches!(target, Target::Identifier(_)))
            .collect();
        for batch in identifiers.chunks(BATCH) {
            let generation = self.cache.generation();
            for outcome in self
                .look_up(batch.iter().map(|target| (target, generation)))
                .await
            {
                if let Outcome::Failed(error) = outcome {
                    return Err(error.repeat());
                }
            }
        }
        self.note_size();
        Ok(identifiers.len())
    }

    /// Fills the cache with identifiers from the store.
    pub(super) async fn warm(self: &Arc<Self>, limit: usize) -> Result<usize> {
        self.start().await?;
        let tenants = self.store.list().await?;
        self.count_tenants(&tenants);
        let identifiers = self
            .store
            .all_identifiers(limit.min(self.options.capacity))
            .await?;
        let raws: Vec<_> = identifiers
            .iter()
            .map(|text| Raw::identifier(text, None))
            .collect();
        let mut warmed = 0;
        for resolution in self.ask_many(&raws, false).await {
            match resolution {
                Ok(Resolution::Unknown) => {}
                Ok(_) => warmed += 1,
                // A row that is no identifier leads nowhere; only the store's own failures end this.
                Err(error) if error.is(codes::TENANTS_INVALID_IDENTIFIER) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(warmed)
    }

    /// Runs a write to its end, then makes everybody forget what it changed.
    pub(super) async fn write<T, F>(
        self: &Arc<Self>,
        tenant: &TenantId,
        identifier: Option<&Identifier>,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.start().await?;
        let inner = self.clone();
        let change = Change {
            from: self.name.clone(),
            tenant: tenant.to_string(),
            identifiers: identifier
                .map(|identifier| identifier.candidates().to_vec())
                .unwrap_or_default(),
        };
        self.tasks
            .detach(async move {
                let outcome = work.await;
                inner.cache.forget(&change.tenant, &change.identifiers);
                inner.note_size();
                // No caller waits for the announcement: a Redis that is down must not slow down a change.
                if let Ok(message) = serde_json::to_vec(&change) {
                    let what = "the announcement that a tenant changed";
                    let announcing = inner.clone();
                    let announce = move || {
                        let (inner, message) = (announcing.clone(), message.clone());
                        async move { inner.invalidation.announce(message).await }
                    };
                    inner.tasks.until_done(what, Need::Sure, ANNOUNCED, announce);
                }
                outcome
            })
            .await
    }

    pub(super) fn count_tenants(&self, tenants: &[Tenant]) {
        self.meters
            .tenants(tenants.iter().filter(|tenant| tenant.is_active()).count());
    }

    /// What the disk should remember.
    pub(super) async fn save_snapshot(&self) {
        if let Some(snapshot) = &self.snapshot {
            snapshot
                .write(self.cache.answers(), self.now(), self.clock.now())
                .await;
        }
    }

    fn target(&self, raw: Raw<'_>) -> Result<Target> {
        if let Some(target) = self.cache.target(raw) {
            return Ok(target);
        }
        match raw.spelling {
            Spelling::Hinted(hint) => Identifier::parse_hinted(raw.text, hint).map(Target::Identifier),
            Spelling::Id => TenantId::parse(raw.text).map(Target::Tenant),
        }
    }

    async fn answer(self: &Arc<Self>, raw: Raw<'_>, target: &Target) -> Result<Answer> {
        loop {
            let (waiting, old) = match self.cache.enter(target, self.now(), false) {
                Entry::Known(answer, slot) => {
                    self.cache.remember(raw, &answer, Some(slot));
                    return Ok(Answer::clone(&answer));
                }
                Entry::Join(waiting, old) => (waiting, old),
                Entry::Lead(question, waiting, old) => {
                    if let Some(work) = self.start_question(target.clone(), question) {
                        self.tasks.begin(work);
                    }
                    (waiting, old)
                }
            };
            match self.wait(waiting, old.is_some()).await {
                Some(outcome) => return self.take_outcome(raw, &outcome?),
                None => {
                    if let Some(stale) = self.cache.stop_waiting(target, self.now()) {
                        return Ok(Answer::clone(&stale));
                    }
                    // A change made the older answer wrong while we waited; now only the store knows.
                }
            }
        }
    }

    /// Waits for a question; `None` when the longest wait ended, which only those have who can be served stale.
    async fn wait(&self, waiting: Waiting, can_be_stale: bool) -> Option<Result<Outcome>> {
        let landed = async { waiting.outcome().await.ok_or_else(lost) };
        if can_be_stale {
            tokio::time::timeout(self.options.longest_wait, landed).await.ok()
        } else {
            Some(landed.await)
        }
    }

    fn take_outcome(&self, raw: Raw<'_>, outcome: &Outcome) -> Result<Answer> {
        match outcome {
            Outcome::Failed(error) => Err(error.repeat()),
            Outcome::Answered { answer, slot } => {
                self.cache.remember(raw, answer, slot.clone());
                Ok(Answer::clone(answer))
            }
        }
    }

    /// Turns an answer into what the caller sees; here alone the default tenant comes in.
    async fn finish(self: &Arc<Self>, answer: Result<Answer>) -> Result<Resolution> {
        let mut resolution = answer?.resolution(self.now());
        if matches!(resolution, Resolution::Unknown)
            && let Some(default) = &self.default_tenant
        {
            let target = Target::Tenant(default.id.clone());
            let answer = self.answer(Raw::id(&default.id), &target).await?;
            resolution = as_default(answer.resolution(self.now()), default);
        }
        self.meters.count(&resolution);
        Ok(resolution)
    }

    /// The work that answers a question, unless it was left to work that is under way.
    fn start_question(
        self: &Arc<Self>,
        target: Target,
        question: OpenQuestion,
    ) -> Option<BoxFuture<'static, ()>> {
        if let Target::Tenant(id) = target {
            return Some(Box::pin(ask_for_tenant(self.clone(), id, question)));
        }
        let (permit, asked) = self.gathering.join((target, question))?;
        Some(ask_for_identifiers(self.clone(), permit, vec![asked]))
    }

    /// One statement for a batch of questions, each with the generation of the cache at which it was asked.
    async fn look_up<'a>(&self, batch: impl Iterator<Item = (&'a Target, u64)> + Clone) -> Vec<Outcome> {
        let started = self.clock.instant();
        let mut keys: Vec<String> = Vec::new();
        for (target, _) in batch.clone() {
            if let Target::Identifier(identifier) = target {
                keys.extend_from_slice(identifier.keys());
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let found = self.store.find(&keys).await;
        self.meters.asked(self.clock.instant() - started);
        let now = self.now();
        match found {
            Ok(rows) => {
                let rows = Rows::new(rows);
                let judge = |(target, generation): (&Target, u64)| match target {
                    Target::Identifier(identifier) => {
                        self.cache
                            .install(target, generation, rows.judge(identifier), now)
                    }
                    Target::Tenant(_) => Outcome::Failed(Arc::new(lost())),
                };
                batch.map(judge).collect()
            }
            Err(error) => batch
                .map(|(target, generation)| self.cache.fail(target, generation, error.repeat(), now))
                .collect(),
        }
    }

    fn note_size(&self) {
        self.meters.cached(self.cache.sizes().0);
        if let Some(snapshot) = &self.snapshot {
            snapshot.changes().notify_one();
        }
    }
}

/// Asks the store once, for everybody who waits.
async fn ask_for_tenant(inner: Arc<Inner>, id: TenantId, question: OpenQuestion) {
    let started = inner.clock.instant();
    let found = inner.store.get(&id).await;
    inner.meters.asked(inner.clock.instant() - started);
    let (target, now) = (Target::Tenant(id), inner.now());
    let outcome = match found {
        Ok(tenant) => {
            let verdict = Verdict::of(tenant.map(Arc::new).into_iter().collect());
            inner.cache.install(&target, question.generation, verdict, now)
        }
        Err(error) => inner.cache.fail(&target, question.generation, error, now),
    };
    inner.note_size();
    question.leader.complete(outcome);
}

/// Asks the store, then for all that gathered in the meantime, until nothing waits. In a box, because it begins others
/// like itself.
fn ask_for_identifiers(inner: Arc<Inner>, permit: QueryPermit, first: Vec<Asked>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut turn = Some((permit, first));
        while let Some((permit, batch)) = turn {
            let questions = batch
                .iter()
                .map(|(target, question)| (target, question.generation));
            let mut answers = std::pin::pin!(inner.look_up(questions));
            let outcomes = loop {
                match tokio::time::timeout(LONGEST_WAIT, &mut answers).await {
                    Ok(outcomes) => break outcomes,
                    Err(_) => {
                        if let Some((permit, waiting)) = inner.gathering.overtake() {
                            let beside = ask_for_identifiers(inner.clone(), permit, waiting);
                            inner.tasks.in_background(beside);
                        }
                    }
                }
            };
            inner.note_size();
            for ((_, question), outcome) in batch.iter().zip(outcomes) {
                question.leader.complete(outcome);
            }
            turn = permit.next();
        }
    })
}

/// Hears of changes until the handle is closed or gone.
async fn listen(inner: Weak<Inner>, mut listener: Box<dyn Listener>) {
    loop {
        let heard = listener.next().await;
        let Some(inner) = inner.upgrade() else { return };
        match heard {
            ListenerEvent::Gap => inner.cache.expire_all(),
            ListenerEvent::Message(message) => match serde_json::from_slice::<Change>(&message) {
                Ok(change) if change.from == inner.name => {}
                Ok(change) => inner.cache.forget(&change.tenant, &change.identifiers),
                // There was an announcement; that it cannot be understood does not make it untrue.
                Err(_) => inner.cache.expire_all(),
            },
        }
        inner.note_size();
    }
}

/// The default tenant's own answer, in place of "unknown". The app never asks whether its default exists, so a
/// bare one stands in when it does not.
fn as_default(own: Resolution, bare: &Arc<Tenant>) -> Resolution {
    match own {
        Resolution::Found { tenant, age, .. } => Resolution::Found {
            tenant,
            source: ResolutionSource::Default,
            age,
        },
        Resolution::Unknown => Resolution::Found {
            tenant: bare.clone(),
            source: ResolutionSource::Default,
            age: Duration::ZERO,
        },
        refused => refused,
    }
}

fn lost() -> Error {
    Error::new(
        codes::POSADA_INTERNAL,
        "a look-up of a tenant ended without an answer",
    )
}
