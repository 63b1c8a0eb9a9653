//! One request and its answer over HTTP. What changes something is sent at most once.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;

use super::answer::{Answer, Effect};
use super::query::Query;
use super::redact::Redactor;
use crate::backends::tls;
use crate::correlation::Correlation;
use crate::error::{Error, Result, codes};
use crate::pms::resilience::{Attempt, Class, Resilience};
use crate::settings::{QloAppsSettings, Secret};

/// The largest answer that is read.
const LARGEST_BODY: usize = 5 * 1024 * 1024;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an unused connection is kept. PHP's web servers close theirs after five to 75 seconds.
const IDLE: Duration = Duration::from_secs(4);

/// One request.
pub(super) struct Call<'a> {
    method: Method,
    /// The path below `/api/`.
    path: &'a str,
    query: Query,
    body: Option<String>,
    class: Class,
    /// The name under which the answer holds what was asked for.
    root: &'a str,
}

/// The connection to one server.
pub(super) struct HttpClient {
    client: Client,
    base: String,
    key: Secret,
    redactor: Redactor,
    resilience: Resilience,
}

impl HttpClient {
    /// Prepares the connection; nothing is sent.
    ///
    /// # Errors
    /// `settings.invalid` when the system's certificates cannot be read.
    pub(super) fn new(settings: &QloAppsSettings, resilience: Resilience) -> Result<Self> {
        tls::install_provider();
        let client = Client::builder()
            .user_agent(concat!("posada/", env!("CARGO_PKG_VERSION")))
            // A redirect means a wrong base URL; following it would hand the key to the host that it names.
            .redirect(Policy::none())
            .referer(false)
            // A proxy of the environment would read the key of every server that speaks plain HTTP.
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|failure| {
                Error::field_invalid(
                    codes::SETTINGS_INVALID,
                    "PMS_BASE_URL",
                    "no HTTP client can be made on this system",
                )
                .caused_by(failure)
            })?;
        Ok(Self {
            client,
            base: settings.base_url.clone(),
            key: settings.api_key.clone(),
            redactor: Redactor::new(&settings.api_key),
            resilience,
        })
    }

    /// Whether lists are asked for now; nothing is sent.
    ///
    /// # Errors
    /// `pms.unavailable` while the breaker is open.
    pub(super) fn is_asked(&self) -> Result<()> {
        self.resilience.refusal(Class::Read).map_or(Ok(()), Err)
    }

    /// Reads a list of objects; `root` is the list's name, which often is not that of the resource.
    ///
    /// # Errors
    /// As [`Answer::read`], `pms.timeout`, `pms.unavailable`.
    pub(super) async fn list(&self, resource: &str, root: &str, query: Query) -> Result<Value> {
        self.send(Call {
            method: Method::GET,
            path: resource,
            query,
            body: None,
            class: Class::Read,
            root,
        })
        .await
    }

    /// Asks for free rooms and prices: a read, although it is sent as a POST.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub(super) async fn ask(&self, resource: &str, root: &str, xml: String) -> Result<Value> {
        self.send(Call {
            method: Method::POST,
            path: resource,
            query: Query::new(),
            body: Some(xml),
            class: Class::Availability,
            root,
        })
        .await
    }

    /// Makes something new. Never repeated.
    ///
    /// # Errors
    /// As [`Answer::read`]; `pms.unavailable` when it was not sent; otherwise `pms.outcome_unknown`.
    pub(super) async fn create(&self, resource: &str, root: &str, body: String) -> Result<Value> {
        self.write(Method::POST, resource, root, body).await
    }

    /// Replaces something with a complete new description of it. Never repeated.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub(super) async fn replace(&self, path: &str, root: &str, body: String) -> Result<Value> {
        self.write(Method::PUT, path, root, body).await
    }

    async fn write(&self, method: Method, path: &str, root: &str, body: String) -> Result<Value> {
        self.send(Call {
            method,
            path,
            query: Query::new(),
            body: Some(body),
            class: Class::Write,
            root,
        })
        .await
    }

    async fn send(&self, call: Call<'_>) -> Result<Value> {
        let answer = self.resilience.run(call.class, || self.attempt(&call)).await;
        answer.map_err(|error| error.with("resource", call.path))
    }

    async fn attempt(&self, call: &Call<'_>) -> Attempt<Value> {
        let effect = match call.class {
            Class::Read | Class::Availability => Effect::Read,
            Class::Write => Effect::Write,
        };
        match self.exchange(call).await {
            Ok(answer) => Attempt {
                answered: answer.is_from_the_shop(effect),
                outcome: answer.read(call.root, effect, &self.redactor),
            },
            Err(failure) => Attempt {
                answered: matches!(failure, Failure::TooLarge),
                outcome: Err(transport_failure(failure, effect)),
            },
        }
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let url = format!("{}/api/{}?{}", self.base, call.path, call.query.as_str());
        let mut request = self
            .client
            .request(call.method.clone(), url)
            .basic_auth(self.key.expose(), Some(""));
        if let Some(ids) = Correlation::current() {
            for name in ["X-Request-ID", "X-Correlation-ID"] {
                request = request.header(name, ids.request_id());
            }
            if let Some(traceparent) = ids.get_traceparent() {
                request = request.header("traceparent", traceparent);
            }
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let location = header(response.headers(), LOCATION.as_str());
        let retry_after = header(response.headers(), RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            body,
            location,
            retry_after,
        })
    }
}

/// Why there is no answer.
enum Failure {
    /// Nothing was sent.
    NotSent(reqwest::Error),
    /// The connection ended before the answer did.
    Lost(reqwest::Error),
    /// The answer is larger than anything that QloApps has to say.
    TooLarge,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The address holds filters, and filters hold personal data.
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::NotSent(error)
        } else {
            Self::Lost(error)
        }
    }
}

fn transport_failure(failure: Failure, effect: Effect) -> Error {
    match (failure, effect) {
        (Failure::NotSent(cause), _) => {
            Error::new(codes::PMS_UNAVAILABLE, "the server cannot be reached").caused_by(cause)
        }
        (Failure::Lost(cause), Effect::Read) => {
            Error::new(codes::PMS_UNAVAILABLE, "the connection to the server broke").caused_by(cause)
        }
        (Failure::Lost(cause), Effect::Write) => Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the connection to the server broke before it answered",
        )
        .caused_by(cause),
        (Failure::TooLarge, Effect::Read) => {
            super::answer::not_understood("the answer is larger than 5 MiB; it was not read")
        }
        (Failure::TooLarge, Effect::Write) => Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the answer is larger than 5 MiB; it was not read",
        ),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
