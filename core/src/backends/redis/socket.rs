//! A socket that tokio watches until a lane does.
//!
//! It belongs to the work of its connection alone, and is closed with it. Whoever watches has it by a [`WeakSocket`]:
//! the waker of the work must not keep alive what keeps the waker.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Plain};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::lane::Watch;

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

/// By whom.
enum Watched {
    Tokio(TcpStream),
    Lane {
        /// Goes before the stream.
        watch: Option<Watch>,
        stream: Plain,
        /// Whether all was read that there was when the lane last looked.
        is_dry: bool,
    },
    /// It could not be handed over.
    Nobody,
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
    /// From now on a lane watches, which `watch` makes it do. Whoever waits must look once more.
    pub(super) fn go_into_lane(&self, watch: impl FnOnce(RawFd) -> io::Result<Watch>) -> io::Result<()> {
        let Some(socket) = self.watched.upgrade() else {
            return Err(nobody());
        };
        let mut watched = lock(&socket);
        if let Watched::Tokio(stream) = std::mem::replace(&mut *watched, Watched::Nobody) {
            let stream = stream.into_std()?;
            *watched = Watched::Lane {
                watch: Some(watch(self.descriptor)?),
                stream,
                is_dry: false,
            };
        }
        Ok(())
    }

    /// From now on tokio watches again. Whoever waits must look once more.
    pub(super) fn leave_lane(&self) -> io::Result<()> {
        let Some(socket) = self.watched.upgrade() else {
            return Ok(());
        };
        let mut watched = lock(&socket);
        if let Watched::Lane { watch, stream, .. } = std::mem::replace(&mut *watched, Watched::Nobody) {
            drop(watch);
            let _inside = self.runtime.enter();
            *watched = Watched::Tokio(TcpStream::from_std(stream)?);
        }
        Ok(())
    }

    /// Something may have come.
    pub(super) fn has_become_readable(&self) {
        if let Some(socket) = self.watched.upgrade()
            && let Watched::Lane { is_dry, .. } = &mut *lock(&socket)
        {
            *is_dry = false;
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
            Watched::Lane { is_dry: true, .. } => Poll::Pending,
            Watched::Lane { stream, is_dry, .. } => {
                let room = buffer.initialize_unfilled();
                let size = room.len();
                let outcome = attempt(|| stream.read(room));
                // The lane says when there is more. The end is to be read again and again.
                *is_dry = matches!(outcome, Poll::Pending | Poll::Ready(Ok(1..)))
                    && !matches!(outcome, Poll::Ready(Ok(count)) if count == size);
                buffer.advance(ready!(outcome)?);
                Poll::Ready(Ok(()))
            }
            Watched::Nobody => Poll::Ready(Err(nobody())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.watched() {
            Watched::Tokio(stream) => Pin::new(stream).poll_write(context, bytes),
            Watched::Lane { stream, .. } => attempt(|| stream.write(bytes)),
            Watched::Nobody => Poll::Ready(Err(nobody())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.watched() {
            Watched::Tokio(stream) => Pin::new(stream).poll_shutdown(context),
            Watched::Lane { stream, .. } => Poll::Ready(stream.shutdown(Shutdown::Write)),
            Watched::Nobody => Poll::Ready(Ok(())),
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What would block is pending: the lane has the connection carried on when it would not any more.
fn attempt<T>(mut work: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match work() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            outcome => return Poll::Ready(outcome),
        }
    }
}

fn nobody() -> io::Error {
    io::Error::new(
        ErrorKind::NotConnected,
        "the socket was lost between tokio and a lane",
    )
}
