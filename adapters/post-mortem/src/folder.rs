//! The folder of the files: one for each process that drains.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::Oddity;
use crate::lock;
use crate::record::Record;

/// How the names of all files begin.
const PREFIX: &str = "ebbtide-drain-";
/// While a file is being written, its name has this at its end.
const UNFINISHED: &str = ".new";
/// No file is longer: 100 entries of 200 characters, each with a few more, of four bytes at most.
const LONGEST: u64 = 128 * 1024;
/// As many names are looked at, so that a folder of something else holds nothing up.
const MOST_NAMES: usize = 10_000;

/// The files in `folder` that have the name of one of ours, whoever has made them.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(folder)?.take(MOST_NAMES).filter_map(Result::ok);
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|it| it.to_str());
        name.is_some_and(|it| it.starts_with(PREFIX))
    };
    let mut files: Vec<_> = names.map(|it| it.path()).filter(is_one).collect();
    files.sort();
    Ok(files)
}

/// Whether a file was not yet written to its end.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(UNFINISHED)
}

/// Removes an unfinished file whose process has ended.
pub(crate) fn sweep(path: &Path) {
    // Without a lock it is not known whether its process lives. Then it stays: it is small, and there are few.
    if open(path).is_ok_and(|it| lock::take(&it).is_ok()) {
        let _or_not = fs::remove_file(path);
    }
}

/// What has been found in a file.
pub(crate) enum Found {
    /// The file is held for as long as this is: no other process that starts now tells of it too.
    Killed(Record, File),
    /// Its process lives, or it has been removed meanwhile, by its process or by another that has told of it.
    Nothing,
}

/// Reads a file that may be anything.
pub(crate) fn read(path: &Path) -> Result<Found, Oddity> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|it| !it.is_file()) => return Err(Oddity::NoFile),
        Err(error) => return Err(Oddity::Unreadable(error)),
    };
    let kind = file.metadata().map_err(Oddity::Unreadable)?;
    if !kind.is_file() {
        return Err(Oddity::NoFile);
    }
    if lock::take(&file).is_err_and(|it| it.kind() == ErrorKind::WouldBlock) {
        return Ok(Found::Nothing);
    }
    let mut bytes = Vec::new();
    (&file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(Oddity::Unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Oddity::TooLong);
    }
    let record = std::str::from_utf8(&bytes).ok().and_then(Record::parse).ok_or(Oddity::Garbage)?;
    // Two that start at once: the first has told of it and has let it go by now.
    let is_gone = fs::symlink_metadata(path).is_err();
    Ok(if is_gone || record.process.lives() { Found::Nothing } else { Found::Killed(record, file) })
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};

    // A link may lead anywhere, and a named pipe would have us wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

/// The file of this process and of one drain of it.
pub(crate) struct OwnFile {
    path: PathBuf,
    unfinished: PathBuf,
    /// Locked, so that others know that this process lives. `None` before the file is there.
    written: Option<File>,
}

impl OwnFile {
    pub(crate) fn new(folder: &Path) -> Self {
        // The number alone is not enough: in containers that share a folder, all are process 1.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos());
        let path = folder.join(format!("{PREFIX}{}-{now}", process::id()));
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        Self { path, unfinished: unfinished.into(), written: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file anew. If it cannot be, the one that was written before stays.
    ///
    /// With `lasts` it outlives a loss of power, too.
    pub(crate) fn write(&mut self, record: &Record, lasts: bool) -> io::Result<()> {
        let written = self.write_unfinished(record, lasts);
        let written = written.and_then(|file| fs::rename(&self.unfinished, &self.path).map(|()| file));
        match written {
            Ok(file) => self.written = Some(file),
            Err(error) => {
                // Of a full disk, it takes what there is.
                let _or_not = fs::remove_file(&self.unfinished);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write_unfinished(&self, record: &Record, lasts: bool) -> io::Result<File> {
        let mut file = create(&self.unfinished)?;
        // Before it has the name by which it can be found. Some network file systems have no locks.
        let _or_unknown = lock::take(&file);
        file.write_all(record.to_string().as_bytes())?;
        if lasts {
            file.sync_all()?;
        }
        Ok(file)
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        let Some(_locked_until_it_is_gone) = self.written.take() else { return Ok(()) };
        remove(&self.path)
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new file, readable by its owner alone: it has requests of users in it.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Never one that is there already, which could be a link that somebody else has made.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
