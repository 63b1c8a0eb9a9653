//! A handle as JavaScript holds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use napi_derive::napi;
use posada::bridge::Work;
use posada::error::codes;
use posada::flags::Context;
use posada::locks::{Hold, LockGuard};
use posada::sessions::Session;
use posada::tenants::Channel;
use posada::{IdempotencyKey, Posada, PosadaBuilder, Settings, TenantId};
use posada_bindings::Refusal;
use posada_bindings::arguments as shared;
use posada_bindings::bridge::{OpenHandle, RuntimeHandle};

use crate::arguments::Arguments;
use crate::bridge::{lock, no_runtime};
use crate::kept::Kept;
use crate::outcome::{Outcome, json, thrown};

/// The services and what JavaScript holds of them.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) posada: Posada,
    pub(crate) guards: Arc<Kept<LockGuard>>,
    pub(crate) holds: Arc<Kept<Hold>>,
    pub(crate) sessions: Arc<Kept<Session>>,
    pub(crate) runtime: RuntimeHandle,
    pub(crate) open: Option<OpenHandle>,
}

impl Services {
    fn new(posada: Posada, runtime: RuntimeHandle) -> Self {
        let open = Some(OpenHandle::note(&posada));
        Self {
            posada,
            guards: Arc::default(),
            holds: Arc::default(),
            sessions: Arc::default(),
            runtime,
            open,
        }
    }
}

/// Handles that are connected and not yet fetched.
static OPENED: Mutex<Option<HashMap<u32, Services>>> = Mutex::new(None);

/// A handle, bound to a tenant or not.
#[napi]
pub struct Target(Services);

#[napi]
impl Target {
    /// The key of the booking that a message asks for: the same in every language.
    #[napi]
    pub fn idempotency_key(namespace: String, message_id: String) -> napi::Result<String> {
        let key = IdempotencyKey::of(&namespace, &message_id).map_err(thrown)?;
        Ok(key.as_str().to_owned())
    }

    /// Everything in memory.
    #[napi(factory)]
    pub fn embedded(flags: String) -> napi::Result<Self> {
        Self::built(Settings::embedded(), &flags).map_err(thrown)
    }

    /// On the servers of these variables. Nothing connects.
    #[napi(factory)]
    pub fn build(variables: String, flags: String) -> napi::Result<Self> {
        settings(&variables)
            .and_then(|settings| Self::built(settings, &flags))
            .map_err(thrown)
    }

    /// The handle that `Bridge.connect` has opened.
    #[napi(factory)]
    pub fn opened(number: u32) -> napi::Result<Self> {
        let found = lock(&OPENED).as_mut().and_then(|opened| opened.remove(&number));
        found.map(Self).ok_or_else(|| thrown(crate::kept::gone()))
    }

    /// The same handle, bound to one tenant. No I/O.
    #[napi]
    pub fn for_tenant(&self, tenant: String) -> napi::Result<Self> {
        let scoped = shared::tenant(&tenant).and_then(|tenant| Ok(self.0.posada.for_tenant(&tenant)?));
        let posada = scoped.map_err(thrown)?;
        Ok(Self(Services {
            posada,
            open: None,
            ..self.0.clone()
        }))
    }

    /// The tenant to which it is bound.
    #[napi(getter)]
    pub fn tenant(&self) -> Option<String> {
        self.0.posada.tenant().map(TenantId::to_string)
    }

    /// Whether a flag is on, as memory knows it.
    #[napi]
    pub fn is_enabled(&self, flag: String, context: String, default: bool) -> napi::Result<bool> {
        let evaluated = with_context(self.0.posada.tenant(), &context, |context| {
            let _inside = self.0.runtime.handle()?.enter();
            Ok(self.0.posada.flags().evaluate_or(&flag, context, default).value)
        });
        evaluated.map_err(thrown)
    }

    /// A whole evaluation, as JSON.
    #[napi]
    pub fn evaluate(&self, flag: String, context: String, default: bool) -> napi::Result<String> {
        let evaluated = with_context(self.0.posada.tenant(), &context, |context| {
            let _inside = self.0.runtime.handle()?.enter();
            json(&self.0.posada.flags().evaluate_or(&flag, context, default))
        });
        evaluated.map_err(thrown)
    }

    /// What `tenants.resolve` answers at once, as JSON.
    #[napi]
    pub fn cached(&self, identifier: String, channel: Option<String>) -> napi::Result<Option<String>> {
        let channel: Option<Channel> = shared::channel(channel.as_deref()).map_err(thrown)?;
        let held = self.0.posada.tenants().cached(&identifier, channel);
        held.map(|resolution| json(&resolution))
            .transpose()
            .map_err(thrown)
    }

    /// Whether a lock is still held, by this process's clock.
    #[napi]
    pub fn is_held(&self, number: u32) -> bool {
        let held = self.0.guards.now(number, |guard| guard.ensure_held().is_ok());
        held.unwrap_or(false)
    }

    /// Forgets a lock, hold or conversation that JavaScript has no reference to any more.
    #[napi]
    pub fn forget(&self, number: u32) {
        self.0.guards.forget(number);
        self.0.holds.forget(number);
        self.0.sessions.forget(number);
    }

    pub(crate) fn services(&self) -> &Services {
        &self.0
    }

    pub(crate) fn runtime(&self) -> &RuntimeHandle {
        &self.0.runtime
    }

    fn built(settings: Settings, flags: &str) -> Result<Self, Refusal> {
        let runtime = RuntimeHandle::current().map_err(|error| no_runtime(&error))?;
        // The handle remembers the runtime that it is built in.
        let inside = runtime.handle()?.enter();
        let posada = with_flags(Posada::builder().settings(settings), flags)?.build()?;
        drop(inside);
        Ok(Self(Services::new(posada, runtime)))
    }
}

/// Builds every service and makes sure that every server answers.
pub(crate) fn connecting(
    runtime: &RuntimeHandle,
    variables: &str,
    flags: &str,
) -> Result<Work<Outcome>, Refusal> {
    let builder = with_flags(Posada::builder().settings(settings(variables)?), flags)?;
    let runtime = runtime.clone();
    Ok(Box::pin(async move {
        let services = Services::new(builder.connect().await?, runtime);
        let mut opened = lock(&OPENED);
        let opened = opened.get_or_insert_default();
        let number = (1..=u32::MAX)
            .find(|number| !opened.contains_key(number))
            .unwrap_or_default();
        opened.insert(number, services);
        json(&number)
    }))
}

fn settings(variables: &str) -> Result<Settings, Refusal> {
    let variables: HashMap<String, String> = Arguments::read(variables)?.value("variables")?;
    Ok(Settings::from_vars(variables)?)
}

fn with_flags(builder: PosadaBuilder, flags: &str) -> Result<PosadaBuilder, Refusal> {
    let flags: HashMap<String, bool> = Arguments::read(flags)?.optional("flags")?.unwrap_or_default();
    Ok(builder.default_flags(flags.iter().map(|(flag, on)| (flag.as_str(), *on))))
}

/// Reads who asks for a flag. A handle that is bound to a tenant answers for no other.
fn with_context<T>(
    bound: Option<&TenantId>,
    text: &str,
    ask: impl FnOnce(&Context<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    if text.is_empty() {
        return ask(&Context::new());
    }
    let given = Arguments::read(text)?;
    let tenant = given.whose()?;
    if let (Some(bound), Some(tenant)) = (bound, &tenant)
        && bound != tenant
    {
        let message = "the handle is bound to another tenant".to_owned();
        return Err(Refusal::own(codes::TENANTS_OUT_OF_SCOPE, message));
    }
    let text = |name| given.optional::<String>(name);
    let (user, session, address) = (text("user")?, text("session")?, text("remote_address")?);
    let (environment, app_name) = (text("environment")?, text("app_name")?);
    let properties: HashMap<String, String> = given.optional("properties")?.unwrap_or_default();
    let mut context = Context::new().tenant(tenant.as_ref());
    if let Some(user) = &user {
        context = context.user(user);
    }
    if let Some(session) = &session {
        context = context.session(session);
    }
    if let Some(address) = &address {
        context = context.remote_address(address);
    }
    if let Some(environment) = &environment {
        context = context.environment(environment);
    }
    if let Some(app_name) = &app_name {
        context = context.app_name(app_name);
    }
    for (name, value) in &properties {
        context = context.property(name.as_str(), value.as_str());
    }
    ask(&context)
}
