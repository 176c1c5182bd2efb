//! `Control`: the socket by which a successor asks, and the lock of the process in charge.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
use rustix::process::geteuid;

/// What the process in charge has, and gives to its successor.
///
/// The lock belongs to the open file, and a descriptor that is passed on shares it. So there is no moment without a lock, and
/// no second process can replace the socket file of a first one that lives.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) socket: Arc<OwnedFd>,
    pub(crate) lock: Arc<OwnedFd>,
}

/// What is found at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nobody was in charge. This process is.
    Nobody(Control),
    /// A predecessor, connected.
    Predecessor(UnixStream),
    /// Somebody holds the lock, and does not listen at the moment.
    Busy,
}

/// How many may be queued: who asks comes alone, so more are no use to anybody.
const BACKLOG: i32 = 16;

impl Control {
    /// Becomes the process in charge, or connects to it.
    ///
    /// # Errors
    ///
    /// The path cannot be used.
    pub(crate) fn find(path: &Path) -> io::Result<Found> {
        let lock = open_lock(path)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // For people who look for whoever holds it.
                drop(lock.set_len(0));
                drop((&lock).write_all(format!("{}\n", std::process::id()).as_bytes()));
                let socket = bind_control(path)?;
                Ok(Found::Nobody(Self { socket: Arc::new(socket), lock: Arc::new(lock.into()) }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => match connect(path) {
                Ok(stream) => Ok(Found::Predecessor(stream)),
                Err(error) if is_absent(&error) => Ok(Found::Busy),
                Err(error) => Err(error),
            },
            Err(error) => Err(io::Error::from(error)),
        }
    }

    /// The next connection, if there is one.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        match rustix::net::accept(&self.socket) {
            Ok(stream) => {
                rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::CLOEXEC)?;
                Ok(Some(stream.into()))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Who holds the lock, as the file says.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(beside(path)).ok()?.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn open_lock(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    // It is not removed: another process could lock the removed file, and a third one a new file.
    let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow);
    let lock = lock.open(beside(path)).map_err(|error| named(&beside(path), &error))?;
    let about = lock.metadata()?;
    if !about.is_file() || about.uid() != geteuid().as_raw() {
        let why = "it must be a file of the user whose process this is";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{}: {why}", beside(path).display())));
    }
    Ok(lock)
}

/// Replaces what a process that has ended left, under the lock.
fn bind_control(path: &Path) -> io::Result<OwnedFd> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => {
            let why = format!("{}: it exists, and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let address = SocketAddrUnix::new(path)?;
    let socket = stream_socket()?;
    bind(&socket, &address)?;
    // Nobody can connect before `listen`.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Without waiting: the queue of a process that is stopped may be full.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = stream_socket()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

fn stream_socket() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Whether nobody listens at a path.
fn is_absent(error: &io::Error) -> bool {
    // A full queue is `WouldBlock`.
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Who is on the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    /// `None` if the system does not tell.
    pub(crate) pid: Option<u32>,
}

impl Credentials {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn of(stream: impl AsFd) -> io::Result<Self> {
        let peer = rustix::net::sockopt::socket_peercred(stream)?;
        Ok(Self { uid: peer.uid.as_raw(), pid: u32::try_from(peer.pid.as_raw_pid()).ok() })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn of(stream: impl AsFd) -> io::Result<Self> {
        let (uid, _) = nix::unistd::getpeereid(stream)?;
        Ok(Self { uid: uid.as_raw(), pid: None })
    }

    /// Whether it is a process of the same user. Nobody else may: not root either, whose processes have other rights.
    pub(crate) fn is_ours(self) -> bool {
        self.uid == geteuid().as_raw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ebbtide-control-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_file_that_a_dead_process_left_is_replaced_and_that_of_a_living_one_is_not() {
        let path = path("stale");
        let Ok(Found::Nobody(first)) = Control::find(&path) else { panic!("nobody is there") };
        assert_eq!(fs::metadata(&path).expect("bound").permissions().mode() & 0o777, 0o600);
        assert!(matches!(Control::find(&path), Ok(Found::Predecessor(_))));
        assert_eq!(holder(&path), Some(std::process::id()));
        drop(first);
        assert!(path.exists());
        let Ok(Found::Nobody(_second)) = Control::find(&path) else { panic!("nobody is there any more") };
        fs::remove_file(&path).expect("bound");
        fs::remove_file(beside(&path)).expect("locked");
    }

    #[test]
    fn a_lock_that_was_passed_on_is_held_until_the_last_has_ended() {
        let path = path("lock");
        let Ok(Found::Nobody(first)) = Control::find(&path) else { panic!("nobody is there") };
        let passed_on = first.lock.try_clone().expect("a descriptor");
        drop(first);
        assert!(matches!(Control::find(&path), Ok(Found::Busy)));
        drop(passed_on);
        assert!(matches!(Control::find(&path), Ok(Found::Nobody(_))));
        fs::remove_file(&path).expect("bound");
        fs::remove_file(beside(&path)).expect("locked");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = path("file");
        fs::write(&path, "precious").expect("a file");
        let error = Control::find(&path).expect_err("it is no socket");
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
        fs::remove_file(&path).expect("a file");
        fs::remove_file(beside(&path)).expect("locked");
    }
}
