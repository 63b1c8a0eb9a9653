//! A socket that tokio watches until an event loop does.
//!
//! It belongs to the work of its connection alone, and is closed with it. What watches it has a [`WeakSocket`]: the
//! waker of the work must not keep alive what keeps the waker.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Plain};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::loop_connections::Watch;
use crate::sync;

/// A connected socket.
pub(super) struct Socket {
    watched: Arc<Mutex<Watched>>,
    descriptor: RawFd,
    runtime: Handle,
}

/// A socket as long as its connection works.
pub(super) struct WeakSocket {
    watched: Weak<Mutex<Watched>>,
    descriptor: RawFd,
    runtime: Handle,
}

/// What watches the socket.
enum Watched {
    Tokio(TcpStream),
    EventLoop {
        /// Goes before the stream.
        watch: Option<Watch>,
        stream: Plain,
        /// Whether all was read that there was when the event loop last looked.
        is_drained: bool,
    },
    /// It could not be handed over.
    Lost,
}

impl Socket {
    /// Must be called in a runtime.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            descriptor: stream.as_raw_fd(),
            watched: Arc::new(Mutex::new(Watched::Tokio(stream))),
            runtime: Handle::current(),
        }
    }

    pub(super) fn downgrade(&self) -> WeakSocket {
        WeakSocket {
            watched: Arc::downgrade(&self.watched),
            descriptor: self.descriptor,
            runtime: self.runtime.clone(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        lock(&self.watched)
    }
}

impl WeakSocket {
    /// From now on an event loop watches, which `watch` makes it do. The connection must be driven once more.
    pub(super) fn move_to_loop(&self, watch: impl FnOnce(RawFd) -> io::Result<Watch>) -> io::Result<()> {
        let Some(socket) = self.watched.upgrade() else {
            return Err(not_connected());
        };
        let mut watched = lock(&socket);
        if let Watched::Tokio(stream) = std::mem::replace(&mut *watched, Watched::Lost) {
            let stream = stream.into_std()?;
            *watched = Watched::EventLoop {
                watch: Some(watch(self.descriptor)?),
                stream,
                is_drained: false,
            };
        }
        Ok(())
    }

    /// From now on tokio watches again. The connection must be driven once more.
    pub(super) fn move_to_tokio(&self) -> io::Result<()> {
        let Some(socket) = self.watched.upgrade() else {
            return Ok(());
        };
        let mut watched = lock(&socket);
        if let Watched::EventLoop { watch, stream, .. } = std::mem::replace(&mut *watched, Watched::Lost) {
            drop(watch);
            let _inside = self.runtime.enter();
            *watched = Watched::Tokio(TcpStream::from_std(stream)?);
        }
        Ok(())
    }

    /// Something may have come.
    pub(super) fn mark_readable(&self) {
        if let Some(socket) = self.watched.upgrade()
            && let Watched::EventLoop { is_drained, .. } = &mut *lock(&socket)
        {
            *is_drained = false;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self.watched() {
            Watched::Tokio(stream) => Pin::new(stream).poll_read(context, buffer),
            Watched::EventLoop { is_drained: true, .. } => Poll::Pending,
            Watched::EventLoop {
                stream, is_drained, ..
            } => {
                let room = buffer.initialize_unfilled();
                let size = room.len();
                let outcome = attempt(|| stream.read(room));
                // The event loop says when there is more. The end is to be read again and again.
                *is_drained = matches!(outcome, Poll::Pending | Poll::Ready(Ok(1..)))
                    && !matches!(outcome, Poll::Ready(Ok(count)) if count == size);
                buffer.advance(ready!(outcome)?);
                Poll::Ready(Ok(()))
            }
            Watched::Lost => Poll::Ready(Err(not_connected())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.watched() {
            Watched::Tokio(stream) => Pin::new(stream).poll_write(context, bytes),
            Watched::EventLoop { stream, .. } => attempt(|| stream.write(bytes)),
            Watched::Lost => Poll::Ready(Err(not_connected())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.watched() {
            Watched::Tokio(stream) => Pin::new(stream).poll_shutdown(context),
            Watched::EventLoop { stream, .. } => Poll::Ready(stream.shutdown(Shutdown::Write)),
            Watched::Lost => Poll::Ready(Ok(())),
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    sync::lock(watched)
}

/// What would block is pending: the event loop drives the connection when it would not any more.
fn attempt<T>(mut work: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            outcome => return Poll::Ready(outcome),
        }
    }
}

fn not_connected() -> io::Error {
    io::Error::new(
        ErrorKind::NotConnected,
        "the socket was lost between tokio and an event loop",
    )
}
