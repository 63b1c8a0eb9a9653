//! One live connection to Redis, whatever the topology, and how it is made.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError, TlsCertificates, TlsMode,
    Value,
};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::driver_task::DriverTask;
#[cfg(unix)]
use super::loop_registration::LoopRegistration;
use super::refusal::{Meaning, Refusal};
#[cfg(unix)]
use super::socket::Socket;
use crate::backends::tls;
use crate::error::{Error, Result, codes};
use crate::settings::{RedisNode, RedisSettings, RedisTopology};

/// After this many unanswered commands in a row the connection is given up: the driver itself stays on a
/// half-open connection until the kernel does (redis-rs pull request 1032 made time-outs non-fatal).
const TIMEOUTS_BEFORE_REBUILD: u32 = 3;

/// Commands that may wait for the socket before senders are held back.
const PIPELINE_BUFFER: usize = 1024;

/// The event loop that drives a connection.
#[cfg(unix)]
pub(super) type WeakLoop = std::sync::Weak<crate::loop_connections::Inner>;
/// Without descriptors an event loop has no connections.
#[cfg(not(unix))]
pub(super) type WeakLoop = std::convert::Infallible;

/// Knows how to make connections.
pub(super) struct Connector {
    clients: Clients,
    settings: RedisSettings,
}

enum Clients {
    Single(Client),
    /// Asked anew for each connection, because the primary moves.
    Sentinel {
        nodes: Vec<RedisNode>,
        primary: String,
        certificates: Option<TlsCertificates>,
    },
    Cluster {
        client: Box<ClusterClient>,
        nodes: Vec<Client>,
    },
}

/// One live connection; clones of the inner handle share one socket (per node).
pub(super) struct Link {
    connection: Connection,
    timeouts: AtomicU32,
    gone: Arc<AtomicBool>,
}

enum Connection {
    Node(MultiplexedConnection, Option<DriverTask>),
    Cluster(ClusterConnection),
}

impl Connector {
    /// Checks the settings; nothing connects.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self> {
        tls::install_provider();
        let invalid = |error: RedisError| {
            let message = error.detail().unwrap_or_else(|| error.category()).to_owned();
            Error::field_invalid(codes::SETTINGS_INVALID, "REDIS_URL", message).caused_by(error)
        };
        let certificates = certificates(settings)?;
        let client = |node| node_client(node, settings, certificates.as_ref()).map_err(invalid);
        let clients = match &settings.topology {
            RedisTopology::Single(node) => Clients::Single(client(node)?),
            RedisTopology::Sentinel { nodes, primary } => {
                // Also says whether the certificates can be used.
                nodes.iter().try_for_each(|node| client(node).map(drop))?;
                Clients::Sentinel {
                    nodes: nodes.clone(),
                    primary: primary.clone(),
                    certificates,
                }
            }
            RedisTopology::Cluster(nodes) => Clients::Cluster {
                client: Box::new(cluster_client(nodes, settings, certificates.clone()).map_err(invalid)?),
                nodes: nodes.iter().map(client).collect::<Result<_, _>>()?,
            },
        };
        Ok(Self {
            clients,
            settings: settings.clone(),
        })
    }

    /// Makes a connection, which the event loop drives if there is one. The caller bounds the time.
    pub(super) async fn connect(&self, event_loop: Option<&WeakLoop>) -> Result<Link, RedisError> {
        let gone = Arc::new(AtomicBool::new(false));
        let connection = match &self.clients {
            Clients::Single(client) => self.open(client, &gone, event_loop).await?,
            Clients::Sentinel {
                nodes,
                primary,
                certificates,
            } => {
                let client = self.ask_sentinels(nodes, primary, certificates.as_ref()).await?;
                self.open(&client, &gone, event_loop).await?
            }
            Clients::Cluster { client, .. } => Connection::Cluster(client.get_async_connection().await?),
        };
        Ok(Link {
            connection,
            timeouts: AtomicU32::new(0),
            gone,
        })
    }

    /// A client for a subscribing connection: the server, the primary, or the cluster's node of that turn (every
    /// node of a cluster sees every message). A failed attempt takes the next turn.
    pub(super) async fn subscriber(&self, turn: usize) -> Result<Client, RedisError> {
        match &self.clients {
            Clients::Single(client) => Ok(client.clone()),
            Clients::Sentinel {
                nodes,
                primary,
                certificates,
            } => self.ask_sentinels(nodes, primary, certificates.as_ref()).await,
            Clients::Cluster { nodes, .. } => {
                let node = turn.checked_rem(nodes.len()).and_then(|index| nodes.get(index));
                node.cloned()
                    .ok_or_else(|| RedisError::from((redis::ErrorKind::Client, "a cluster without nodes")))
            }
        }
    }

    async fn open(
        &self,
        client: &Client,
        gone: &Arc<AtomicBool>,
        event_loop: Option<&WeakLoop>,
    ) -> Result<Connection, RedisError> {
        let flag = gone.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            // `send` has the deadline. One of the driver would end the call as well, a little sooner or later, and set a
            // second timer for each command.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            // Otherwise the next command alone would find out that the server hung up, and fail.
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    flag.store(true, Ordering::Release);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let info = client.get_connection_info();
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            let node = client.get_multiplexed_async_connection_with_config(&config);
            return Ok(Connection::Node(node.await?, None));
        };
        let socket = TcpStream::connect((host.as_str(), *port)).await?;
        // What was sent on by itself must not wait for what was sent before it.
        socket.set_nodelay(true)?;
        let settings = info.redis_settings();
        #[cfg(unix)]
        if let Some(event_loop) = event_loop.and_then(WeakLoop::upgrade) {
            let socket = Socket::new(socket);
            let watched = socket.downgrade();
            let made = MultiplexedConnection::new_with_config(settings, socket, config).await;
            let (node, work) = with_refusal(made, host, *port).await?;
            let driver = DriverTask::new(work);
            LoopRegistration::register(&driver, watched, &event_loop)?;
            return Ok(Connection::Node(node, Some(driver)));
        }
        let made = MultiplexedConnection::new_with_config(settings, socket, config).await;
        let (node, work) = with_refusal(made, host, *port).await?;
        Ok(Connection::Node(node, Some(DriverTask::new(work))))
    }

    /// Whether an event loop may drive its connections: in the clear over the network to one server, whichever that is.
    pub(super) fn fits_event_loops(&self) -> bool {
        let has_socket = self
            .settings
            .topology
            .nodes()
            .iter()
            .any(|node| node.socket().is_some());
        !self.settings.tls && !has_socket && !matches!(self.clients, Clients::Cluster { .. })
    }

    async fn ask_sentinels(
        &self,
        nodes: &[RedisNode],
        primary: &str,
        certificates: Option<&TlsCertificates>,
    ) -> Result<Client, RedisError> {
        sentinel_client(nodes, primary, &self.settings, certificates)?
            .async_get_client()
            .await
    }
}

/// What goes to the server in one piece.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    One(&'a Cmd),
    /// Answered by an array.
    All(&'a Pipeline),
}

impl Request<'_> {
    async fn send_on(self, connection: &mut impl ConnectionLike) -> Result<Value, RedisError> {
        match self {
            Self::One(command) => connection.req_packed_command(command).await,
            Self::All(commands) => {
                let answers = connection
                    .req_packed_commands(commands, 0, commands.len())
                    .await?;
                Ok(Value::Array(answers))
            }
        }
    }
}

impl Link {
    /// Sends, and waits for the answer until the deadline.
    pub(super) async fn send(
        &self,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<Result<Value, RedisError>, Elapsed> {
        let outcome = match &self.connection {
            Connection::Node(node, Some(driver)) => {
                let mut node = node.clone();
                let mut exchange = std::pin::pin!(driver.exchange(request.send_on(&mut node)));
                match timeout_at(deadline, &mut exchange).await {
                    Ok(outcome) => outcome,
                    Err(elapsed) => {
                        // The answer may be in the socket while the event loop that reads it stands still: look once before the
                        // call fails.
                        driver.read_again();
                        exchange.now_or_never().ok_or(elapsed)?
                    }
                }
            }
            Connection::Node(node, None) => timeout_at(deadline, request.send_on(&mut node.clone())).await?,
            Connection::Cluster(cluster) => {
                timeout_at(deadline, request.send_on(&mut cluster.clone())).await?
            }
        };
        self.timeouts.store(0, Ordering::Relaxed);
        Ok(outcome.and_then(Value::extract_error))
    }

    /// Runs commands in one piece on the server that has this key.
    pub(super) async fn send_to_owner(
        &self,
        commands: &Pipeline,
        key: &[u8],
    ) -> Result<Vec<Value>, RedisError> {
        let count = commands.len();
        match &self.connection {
            Connection::Node(node, _) => node.clone().req_packed_commands(commands, 0, count).await,
            Connection::Cluster(cluster) => {
                let owner = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                cluster
                    .clone()
                    .route_pipeline(commands.clone(), 0, count, owner)
                    .await
            }
        }
    }

    /// Notes a command without an answer. Says whether the connection should be given up.
    pub(super) fn timed_out(&self) -> bool {
        self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_BEFORE_REBUILD
    }

    /// Whether the socket is known to be closed.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
            || matches!(&self.connection, Connection::Node(_, Some(driver)) if driver.is_closed())
    }

    /// Whether this error means that the connection is of no more use. A cluster handle mends itself.
    pub(super) fn is_broken_by(&self, error: &RedisError) -> bool {
        match self.connection {
            Connection::Node(..) => {
                error.is_unrecoverable_error()
                    || error.is_connection_dropped()
                    || error.is_io_error()
                    // What a server cannot do for now, it cannot do on a new connection either.
                    || Refusal::of(error).is_some_and(|refusal| {
                        matches!(refusal.meaning, Meaning::Elsewhere | Meaning::NotAdmitted)
                    })
            }
            Connection::Cluster(_) => error.is_unrecoverable_error(),
        }
    }
}

/// How long to wait for what a server says without being asked.
const UNASKED: Duration = Duration::from_millis(200);
/// More than a refusal of a new connection has.
const LONGEST_REFUSAL: u64 = 1024;

/// Finds out why a server hung up. One that has no place for a client, or takes none from here, says so and closes, and
/// the driver, which was sending, learns no more than that. So a connection that failed is made once more, and only
/// listens.
async fn with_refusal<T>(made: Result<T, RedisError>, host: &str, port: u16) -> Result<T, RedisError> {
    let error = match made {
        Err(error) if error.is_io_error() => error,
        outcome => return outcome,
    };
    let listening = async {
        let socket = TcpStream::connect((host, port)).await?;
        let mut heard = String::new();
        let mut refusal = BufReader::new(socket).take(LONGEST_REFUSAL);
        refusal.read_line(&mut heard).await.map(|_| heard)
    };
    let heard = timeout(UNASKED, listening).await;
    let words = heard.ok().and_then(Result::ok);
    match words
        .as_deref()
        .and_then(|line| line.trim_end().strip_prefix('-'))
    {
        Some(words) => {
            let (code, detail) = words.split_once(' ').unwrap_or((words, ""));
            Err(redis::make_extension_error(
                code.to_owned(),
                Some(detail.to_owned()),
            ))
        }
        None => Err(error),
    }
}

fn node_client(
    node: &RedisNode,
    settings: &RedisSettings,
    certificates: Option<&TlsCertificates>,
) -> Result<Client, RedisError> {
    let info: ConnectionInfo = address(node, settings.tls).into_connection_info()?;
    let info = info.set_redis_settings(handshake(settings));
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        None => Client::open(info),
    }
}

fn address(node: &RedisNode, tls: bool) -> ConnectionAddr {
    if let Some(path) = node.socket() {
        return ConnectionAddr::Unix(path.into());
    }
    let (host, port) = (node.host.clone(), node.port);
    if tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// The files of the settings, if they name any.
fn certificates(settings: &RedisSettings) -> Result<Option<TlsCertificates>> {
    if settings.root_certificate.is_none() && settings.client_certificate.is_none() {
        return Ok(None);
    }
    let read = |option: &str, path: &Path| {
        fs::read(path).map_err(|error| {
            let message = format!("{option} cannot be read: {}: {error}", path.display());
            Error::field_invalid(codes::SETTINGS_INVALID, "REDIS_URL", message)
        })
    };
    let root = settings.root_certificate.as_deref();
    let root_cert = root.map(|path| read("ssl_ca_certs", path)).transpose()?;
    if root_cert.as_ref().is_some_and(|text| !holds_certificate(text)) {
        let message = "ssl_ca_certs must name a file with a certificate in PEM form";
        return Err(Error::field_invalid(
            codes::SETTINGS_INVALID,
            "REDIS_URL",
            message,
        ));
    }
    let client = settings.client_certificate.as_ref();
    let client_tls = client.map(|client| {
        Ok::<_, Error>(ClientTlsConfig {
            client_cert: read("ssl_certfile", &client.certificate)?,
            client_key: read("ssl_keyfile", &client.key)?,
        })
    });
    Ok(Some(TlsCertificates {
        client_tls: client_tls.transpose()?,
        root_cert,
    }))
}

/// The driver takes an empty file for no roots at all, and blames the server's certificate later.
fn holds_certificate(text: &[u8]) -> bool {
    let beginning = b"-----BEGIN CERTIFICATE-----";
    text.windows(beginning.len()).any(|part| part == beginning)
}

/// RESP3, because only there does the driver tell us at once that an idle connection was closed.
fn handshake(settings: &RedisSettings) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_db(settings.database)
        .set_protocol(ProtocolVersion::RESP3);
    if let Some(username) = &settings.username {
        info = info.set_username(username);
    }
    if let Some(password) = &settings.password {
        info = info.set_password(password.expose());
    }
    info
}

fn cluster_client(
    nodes: &[RedisNode],
    settings: &RedisSettings,
    certificates: Option<TlsCertificates>,
) -> Result<ClusterClient, RedisError> {
    let addresses: Vec<ConnectionInfo> = nodes
        .iter()
        .map(|node| address(node, settings.tls).into_connection_info())
        .collect::<Result<_, _>>()?;
    let mut builder = ClusterClient::builder(addresses)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.command_timeout)
        .use_protocol(ProtocolVersion::RESP3)
        .retries(3)
        .min_retry_wait(10)
        .max_retry_wait(100);
    if settings.tls {
        builder = builder.tls(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    if let Some(username) = &settings.username {
        builder = builder.username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.password(password.expose());
    }
    builder.build()
}

fn sentinel_client(
    nodes: &[RedisNode],
    primary: &str,
    settings: &RedisSettings,
    certificates: Option<&TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let sentinels = nodes.iter().map(|node| address(node, settings.tls));
    let mut builder = SentinelClientBuilder::new(sentinels, primary, SentinelServerType::Master)?
        .set_client_to_redis_db(settings.database)
        .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if settings.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates.clone());
    }
    if let Some(username) = &settings.sentinel_username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &settings.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    if let Some(username) = &settings.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    builder.build()
}
