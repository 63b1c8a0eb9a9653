//! A TCP proxy that misbehaves on demand: the network between a program and its server, in a test's hand.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::task::Tasks;

/// A proxy in front of one server. It behaves until it is told otherwise, and ends with the value.
///
/// ```no_run
/// # async fn example() {
/// use posada::testkit::Proxy;
/// let proxy = Proxy::in_front_of("redis://127.0.0.1:6379").await;
/// let url = proxy.url();       // give this one to the program under test
/// let before = proxy.requests();
/// proxy.hold_answers();        // the server works, and nobody hears of it
/// // … the program sends a write …
/// proxy.wait_for_requests(before + 1).await;
/// proxy.reset();               // the write happened, and its answer is lost
/// proxy.heal();
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    url: String,
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    passed: watch::Sender<Passed>,
}

/// How the network is.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// How often the connections were cut. A connection lives while this stays as it was at its beginning.
    cuts: u64,
    resets: bool,
    refuses: bool,
    holds_requests: bool,
    holds_answers: bool,
    delay: Duration,
}

/// What went through.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    connections: u64,
    requests: u64,
}

/// One way of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// A proxy on a free loopback port in front of the one server that the URL names.
    pub async fn in_front_of(url: &str) -> Self {
        let server = address_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (weather, forecast) = watch::channel(Weather::default());
        let (passed, _) = watch::channel(Passed::default());
        let url = url.replacen(&server, &address.to_string(), 1);
        Tasks::new().in_background(accept(listener, server, forecast, passed.clone()));
        Self {
            url,
            address,
            weather,
            passed,
        }
    }

    /// The server's URL with the proxy's address in it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The proxy's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Delays every piece of data by this long, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Lets nothing through in either direction: connections stay open, new ones are accepted, all are silent.
    /// What was sent meanwhile arrives after [`heal`](Self::heal), as on a network that comes back.
    pub fn black_hole(&self) {
        self.weather.send_modify(|weather| {
            weather.holds_requests = true;
            weather.holds_answers = true;
        });
    }

    /// Lets requests through and keeps the answers back.
    pub fn hold_answers(&self) {
        self.weather.send_modify(|weather| weather.holds_answers = true);
    }

    /// Refuses new connections, by a reset; those that exist go on.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| weather.refuses = true);
    }

    /// Resets every connection (RST). What was held back is lost.
    pub fn reset(&self) {
        self.cut(true);
    }

    /// Closes every connection in good order (FIN). What was held back is lost.
    pub fn close(&self) {
        self.cut(false);
    }

    /// Ends delay, black hole, held answers and refusal. Connections that were cut stay cut.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            *weather = Weather {
                cuts: weather.cuts,
                ..Weather::default()
            }
        });
    }

    /// How many connections were accepted so far, the refused ones included.
    pub fn connections(&self) -> u64 {
        self.passed.borrow().connections
    }

    /// How many pieces of data were handed to the server so far. A small request is one piece.
    pub fn requests(&self) -> u64 {
        self.passed.borrow().requests
    }

    /// Waits until at least this many pieces were handed to the server.
    pub async fn wait_for_requests(&self, count: u64) {
        let mut passed = self.passed.subscribe();
        passed
            .wait_for(|passed| passed.requests >= count)
            .await
            .expect("the proxy runs");
    }

    fn cut(&self, resets: bool) {
        self.weather.send_modify(|weather| {
            weather.cuts += 1;
            weather.resets = resets;
        });
    }
}

/// Ends when the proxy is dropped: the sender of its weather goes with it.
async fn accept(
    listener: TcpListener,
    server: String,
    mut weather: watch::Receiver<Weather>,
    passed: watch::Sender<Passed>,
) {
    loop {
        let client = tokio::select! {
            _ = weather.wait_for(|_| false) => return,
            accepted = listener.accept() => accepted.expect("the listener is open").0,
        };
        passed.send_modify(|passed| passed.connections += 1);
        if weather.borrow().refuses {
            drop_with_reset(&client);
            continue;
        }
        Tasks::new().in_background(connect(client, server.clone(), weather.clone(), passed.clone()));
    }
}

async fn connect(
    mut client: TcpStream,
    server: String,
    mut weather: watch::Receiver<Weather>,
    passed: watch::Sender<Passed>,
) {
    let cuts = weather.borrow().cuts;
    let Ok(mut server) = TcpStream::connect(&server).await else {
        // The server is down: the client learns it as it would without us.
        drop_with_reset(&client);
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both_ways = async {
            tokio::join!(
                forward(
                    from_client,
                    to_server,
                    Direction::ToServer,
                    weather.clone(),
                    &passed
                ),
                forward(
                    from_server,
                    to_client,
                    Direction::ToClient,
                    weather.clone(),
                    &passed
                ),
            )
        };
        let mut until_cut = weather.clone();
        tokio::select! {
            biased;
            _ = until_cut.wait_for(|weather| weather.cuts != cuts) => {}
            _ = both_ways => return,
        }
    }
    if weather.borrow_and_update().resets {
        drop_with_reset(&client);
        drop_with_reset(&server);
    }
}

/// Copies one way until that way ends, and then ends it on the other side too.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    mut weather: watch::Receiver<Weather>,
    passed: &watch::Sender<Passed>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_open = |weather: &Weather| match direction {
            Direction::ToServer => !weather.holds_requests,
            Direction::ToClient => !weather.holds_answers,
        };
        let Ok(delay) = weather.wait_for(is_open).await.map(|weather| weather.delay) else {
            return;
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
        if direction == Direction::ToServer {
            passed.send_modify(|passed| passed.requests += 1);
        }
    }
    let _ = to.shutdown().await;
}

/// Makes the coming drop of the stream a reset.
fn drop_with_reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// `host:port` of a URL.
fn address_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    assert!(
        address.contains(':') && !address.contains(','),
        "a URL with one host and port is needed, not {address}"
    );
    address
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A server that answers every piece of data with the same piece.
    async fn proxied_echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Tasks::new().in_background(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                Tasks::new().in_background(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Proxy::in_front_of(&format!("echo://user:a@{address}/path")).await
    }

    async fn connected(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    async fn answer(stream: &mut TcpStream) -> std::io::Result<usize> {
        let mut buffer = [0; 16];
        tokio::time::timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("something happens")
    }

    async fn is_silent(stream: &mut TcpStream) -> bool {
        let mut buffer = [0; 16];
        tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer))
            .await
            .is_err()
    }

    #[tokio::test]
    async fn a_url_through_the_proxy_differs_in_its_address_only() {
        let proxy = proxied_echo().await;
        assert_eq!(proxy.url(), format!("echo://user:a@{}/path", proxy.address()));
    }

    #[tokio::test]
    async fn in_good_weather_everything_passes() {
        let proxy = proxied_echo().await;
        let mut stream = connected(&proxy).await;
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap(), 5);
        assert_eq!((proxy.connections(), proxy.requests()), (1, 1));
    }

    #[tokio::test]
    async fn a_black_hole_delivers_after_it_is_healed() {
        let proxy = proxied_echo().await;
        let mut old = connected(&proxy).await;
        proxy.black_hole();
        let mut new = connected(&proxy).await;
        for stream in [&mut old, &mut new] {
            stream.write_all(b"hello").await.unwrap();
            assert!(is_silent(stream).await);
        }
        assert_eq!(proxy.requests(), 0);
        proxy.heal();
        assert_eq!(answer(&mut old).await.unwrap(), 5);
        assert_eq!(answer(&mut new).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn held_answers_are_lost_when_the_connection_is_reset() {
        let proxy = proxied_echo().await;
        let mut stream = connected(&proxy).await;
        proxy.hold_answers();
        stream.write_all(b"hello").await.unwrap();
        proxy.wait_for_requests(1).await;
        assert!(is_silent(&mut stream).await);
        proxy.reset();
        assert_eq!(
            answer(&mut stream).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }

    #[tokio::test]
    async fn a_close_is_an_orderly_end_and_the_next_connection_works() {
        let proxy = proxied_echo().await;
        let mut stream = connected(&proxy).await;
        stream.write_all(b"hello").await.unwrap();
        answer(&mut stream).await.unwrap();
        proxy.close();
        assert_eq!(answer(&mut stream).await.unwrap(), 0);
        let mut next = connected(&proxy).await;
        next.write_all(b"hello").await.unwrap();
        assert_eq!(answer(&mut next).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn refusal_meets_new_connections_only() {
        let proxy = proxied_echo().await;
        let mut old = connected(&proxy).await;
        old.write_all(b"hello").await.unwrap();
        answer(&mut old).await.unwrap();
        proxy.refuse();
        let mut new = connected(&proxy).await;
        assert!(answer(&mut new).await.is_err());
        old.write_all(b"hello").await.unwrap();
        assert_eq!(answer(&mut old).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn delay_counts_once_for_each_direction() {
        let proxy = proxied_echo().await;
        let mut stream = connected(&proxy).await;
        proxy.delay(Duration::from_millis(40));
        #[allow(clippy::disallowed_methods, reason = "real data takes real time")]
        let start = std::time::Instant::now();
        stream.write_all(b"hello").await.unwrap();
        answer(&mut stream).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(80));
    }

    #[tokio::test]
    async fn connections_end_with_the_proxy() {
        let proxy = proxied_echo().await;
        let mut stream = connected(&proxy).await;
        stream.write_all(b"hello").await.unwrap();
        answer(&mut stream).await.unwrap();
        drop(proxy);
        assert!(matches!(answer(&mut stream).await, Ok(0) | Err(_)));
    }
}
