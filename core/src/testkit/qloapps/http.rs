//! The few lines of HTTP/1.1 that a server's web server needs here.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::service::Service;
use crate::task::Tasks;

/// A request, read to its end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query, as sent.
    pub(super) target: String,
    pub(super) authorization: Option<String>,
    /// Of which request of somebody else this is a part: both ids and the place in a trace.
    pub(super) correlation: [Option<String>; 3],
    pub(super) body: String,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Response),
    /// The connection ends without a word.
    Cut,
    /// The same, and then the work is done.
    CutThenWork(Request),
}

#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    pub(super) body: String,
    /// How long the server thinks before it sends this.
    pub(super) after: Duration,
}

impl Response {
    pub(super) fn new(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            location: None,
            body,
            after: Duration::ZERO,
        }
    }
}

/// Accepts until the simulator is dropped.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, open: watch::Receiver<()>) {
    let mut until_dropped = open.clone();
    loop {
        let stream = tokio::select! {
            _ = until_dropped.wait_for(|()| false) => return,
            accepted = listener.accept() => accepted.expect("the listener is open").0,
        };
        Tasks::new().in_background(converse(stream, service.clone(), open.clone()));
    }
}

async fn converse(stream: TcpStream, service: Arc<Service>, mut open: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    loop {
        let request = tokio::select! {
            _ = open.wait_for(|()| false) => return,
            request = read(&mut stream) => request,
        };
        let Some(request) = request else { return };
        // A server works on although nobody listens any more, so the work is a task of its own.
        let (send, answered) = tokio::sync::oneshot::channel();
        let work = service.clone();
        Tasks::new().in_background(async move {
            let _ = send.send(work.answer(request).await);
        });
        match answered.await {
            Ok(Reply::Answer(response)) => {
                if !response.after.is_zero() {
                    tokio::time::sleep(response.after).await;
                }
                if write(&mut stream, &response).await.is_err() {
                    return;
                }
            }
            Ok(Reply::CutThenWork(request)) => {
                let _ = stream.get_ref().set_zero_linger();
                drop(stream);
                service.work(&request).await;
                return;
            }
            Ok(Reply::Cut) | Err(_) => {
                let _ = stream.get_ref().set_zero_linger();
                return;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream
        .read_line(&mut line)
        .await
        .ok()
        .filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization, mut correlation) = (0, None, [None, None, None]);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            "x-request-id" => correlation[0] = Some(value.trim().to_owned()),
            "x-correlation-id" => correlation[1] = Some(value.trim().to_owned()),
            "traceparent" => correlation[2] = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        target,
        authorization,
        correlation,
        body: String::from_utf8(body).ok()?,
    })
}

async fn write(stream: &mut BufReader<TcpStream>, response: &Response) -> std::io::Result<()> {
    let location = response
        .location
        .as_ref()
        .map(|location| format!("Location: {location}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} -\r\nX-Powered-By: PrestaShop Webservice\r\nPSWS-Version: 1.6.1.23\r\n\
         Content-Type: {}\r\nContent-Length: {}\r\n{location}\r\n",
        response.status,
        response.content_type,
        response.body.len(),
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(response.body.as_bytes()).await?;
    stream.flush().await
}
