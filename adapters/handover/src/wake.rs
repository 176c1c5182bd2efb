//! `Wake`: wakes a thread that waits in `poll`.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Wake {
    read: UnixStream,
    write: UnixStream,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Arc::new(Self { read, write }))
    }

    pub(crate) fn wake(&self) {
        // If it is full, the thread is woken already.
        drop((&self.write).write(&[0]));
    }

    /// For what was waked before this call, it is over.
    pub(crate) fn clear(&self) {
        let mut some = [0; 64];
        while (&self.read).read(&mut some).is_ok_and(|it| it == some.len()) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl std::task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }
}
