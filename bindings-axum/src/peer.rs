//! Who is at the other end of a connection, and which addresses belong together.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use tower_layer::Layer;
use tower_service::Service;

use crate::networks::Networks;

/// The IP address at the other end of the socket; `None` where there is none, as behind a Unix socket or where the
/// router is served without `into_make_service_with_connect_info::<SocketAddr>()`.
///
/// Behind a proxy that is the proxy's, unless [`ProxiesLayer`] names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(of(&parts.extensions)))
    }
}

/// An address as it is compared: one that is mapped into IPv6 is IPv4.
pub(crate) fn of(extensions: &Extensions) -> Option<IpAddr> {
    let given = extensions
        .get()
        .map(|ConnectInfo(address): &ConnectInfo<SocketAddr>| address);
    let mock = || {
        extensions
            .get()
            .map(|MockConnectInfo(address): &MockConnectInfo<SocketAddr>| address)
    };
    given.or_else(mock).map(|address| address.ip().to_canonical())
}

/// The name under which requests of a key are counted: addresses of one IPv6 /64 together, as sign-in does.
///
/// Everybody has a /64 of its own, at least. The port behind an address does not count.
pub(crate) fn together(key: &str) -> String {
    let Some(address) = address(key) else {
        return key.to_owned();
    };
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}.{b:x}.{c:x}.{d:x}/64")
        }
    }
}

/// The address that a text is, without the name of an interface or a port.
fn address(text: &str) -> Option<IpAddr> {
    if !text.contains(':') {
        return text.parse().ok();
    }
    let plain = |text: &str| text.split('%').next().unwrap_or(text).parse().ok();
    plain(text).or_else(|| match text.strip_prefix('[') {
        Some(rest) => plain(rest.split(']').next().unwrap_or(rest)),
        None => text.split_once(':').and_then(|(host, _)| plain(host)),
    })
}

/// Takes the address of the other end from `X-Forwarded-For` where a proxy of one's own sent the request.
///
/// The proxies are named; a header of anybody else is ignored, since everybody can write one. Of several addresses the
/// last one that is not a proxy's counts. What follows sees it as [`Peer`] and as `ConnectInfo<SocketAddr>`, so add this
/// layer last.
#[derive(Debug, Clone)]
pub struct ProxiesLayer(Networks);

impl ProxiesLayer {
    /// These proxies are trusted. Never name everybody.
    pub fn new(proxies: Networks) -> Self {
        Self(proxies)
    }
}

impl<S> Layer<S> for ProxiesLayer {
    type Service = BehindProxies<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BehindProxies {
            inner,
            proxies: self.0.clone(),
        }
    }
}

/// The service of [`ProxiesLayer`].
#[derive(Clone)]
pub struct BehindProxies<S> {
    inner: S,
    proxies: Networks,
}

impl<S> fmt::Debug for BehindProxies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BehindProxies")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

impl<S: Service<Request>> Service<Request> for BehindProxies<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let peer = of(request.extensions());
        if peer.is_some()
            && self.proxies.contains(peer)
            && let Some(client) = forwarded(&request, &self.proxies)
        {
            request
                .extensions_mut()
                .insert(ConnectInfo(SocketAddr::new(client, 0)));
        }
        self.inner.call(request)
    }
}

/// The last address that is not a proxy's; nothing when what stands there is no address.
fn forwarded(request: &Request, proxies: &Networks) -> Option<IpAddr> {
    let headers = request.headers().get_all("x-forwarded-for");
    let told: Vec<&str> = headers.iter().filter_map(|value| value.to_str().ok()).collect();
    let mut last = None;
    for text in told.iter().flat_map(|value| value.split(',')).rev() {
        let client = address(text.trim())?;
        last = Some(client);
        if !proxies.contains(last) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;

    use super::*;

    #[test]
    fn keys_that_are_addresses_of_one_caller_count_together() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/vectors/kits/kits.json")).unwrap();
        for case in vectors["together"].as_array().unwrap() {
            assert_eq!(together(case[0].as_str().unwrap()), case[1].as_str().unwrap());
        }
    }

    /// What a layer makes of a request of this peer, with these headers.
    fn seen(peer: &str, headers: &[&str]) -> Option<IpAddr> {
        let proxies = Networks::parse(["10.0.0.0/8", "127.0.0.1"]).unwrap();
        let mut request = Request::builder();
        for value in headers {
            request = request.header("x-forwarded-for", *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let address: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        let service = tower::service_fn(|request: Request| {
            std::future::ready(Ok::<_, Infallible>(of(request.extensions())))
        });
        let answer = ProxiesLayer::new(proxies).layer(service).call(request);
        answer.into_inner().unwrap()
    }

    #[test]
    fn a_forwarded_address_counts_only_where_a_proxy_says_it() {
        let is = |text: &str| Some(text.parse().unwrap());
        assert_eq!(seen("203.0.113.7:5", &["198.51.100.1"]), is("203.0.113.7"));
        assert_eq!(seen("10.0.0.1:5", &["198.51.100.1"]), is("198.51.100.1"));
        assert_eq!(seen("[::ffff:10.0.0.1]:5", &["2001:db8::1"]), is("2001:db8::1"));
        assert_eq!(seen("10.0.0.1:5", &[]), is("10.0.0.1"));
        assert_eq!(seen("10.0.0.1:5", &["unknown"]), is("10.0.0.1"));
        // What the client itself wrote stands in front of what the proxies wrote.
        let chain = ["1.1.1.1, 198.51.100.1:4000", "10.0.0.9"];
        assert_eq!(seen("10.0.0.1:5", &chain), is("198.51.100.1"));
        assert_eq!(seen("127.0.0.1:5", &["10.0.0.7, 10.0.0.8"]), is("10.0.0.7"));
    }
}
