//! A queue of jobs in SQLite, and a worker that takes them one by one.
//!
//! A job is waiting, taken or done. A worker that is stopped gives back what it has taken and not done; a worker that is
//! killed cannot, and its jobs stay taken. Doing a job and marking it done is one transaction, so no job is done twice.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ebbtide_service::{Part, Runtime};
use futures_util::future::join_all;
use rusqlite::{Connection, OptionalExtension, Result, params};

/// The queue. Clones share one connection to its database.
///
/// Each of its methods takes a fraction of a millisecond, so that they are called where they are needed. A database that is
/// slower is for threads that may block.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Mutex<Connection>>);

/// A job that was taken.
#[derive(Debug)]
pub struct Job {
    id: i64,
    /// How long it takes.
    pub time: Duration,
}

/// How many jobs there are in each state, and how many were done more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Those that wait.
    pub waiting: u32,
    /// Those that somebody works on, or that a worker was killed with.
    pub taken: u32,
    /// Those that are done.
    pub done: u32,
    /// Those that were done more than once.
    pub doubled: u32,
}

impl Queue {
    /// Opens it, and makes it if need be.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let database = Connection::open(path)?;
        database.busy_timeout(Duration::from_secs(5))?;
        database.pragma_update(None, "journal_mode", "wal")?;
        database.pragma_update(None, "synchronous", "normal")?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS jobs (
                 id INTEGER PRIMARY KEY, time INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting'
             );
             CREATE INDEX IF NOT EXISTS waiting ON jobs (id) WHERE state = 'waiting';
             CREATE TABLE IF NOT EXISTS effects (job INTEGER NOT NULL)",
        )?;
        Ok(Self(Arc::new(Mutex::new(database))))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds jobs that take so long each.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn add(&self, times: impl IntoIterator<Item = Duration>) -> Result<()> {
        self.with(|database| {
            let transaction = database.transaction()?;
            for time in times {
                let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                transaction.execute("INSERT INTO jobs (time) VALUES (?1)", [time])?;
            }
            transaction.commit()
        })
    }

    /// Takes the next job, if one waits.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn take(&self) -> Result<Option<Job>> {
        let take = "UPDATE jobs SET state = 'taken'
                    WHERE id = (SELECT id FROM jobs WHERE state = 'waiting' ORDER BY id LIMIT 1)
                    RETURNING id, time";
        let job = |row: &rusqlite::Row<'_>| {
            let time = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            Ok(Job { id: row.get(0)?, time: Duration::from_millis(time) })
        };
        self.with(|database| database.query_row(take, [], job).optional())
    }

    /// Does what the job is for, and marks it done.
    ///
    /// # Errors
    ///
    /// Those of SQLite: then it is not done.
    pub fn finish(&self, job: &Job) -> Result<()> {
        self.with(|database| {
            let transaction = database.transaction()?;
            transaction.execute("INSERT INTO effects (job) VALUES (?1)", [job.id])?;
            transaction.execute("UPDATE jobs SET state = 'done' WHERE id = ?1", [job.id])?;
            transaction.commit()
        })
    }

    /// Gives a job back, for another worker to take.
    ///
    /// # Errors
    ///
    /// Those of SQLite: then it stays taken.
    pub fn give_back(&self, job: &Job) -> Result<()> {
        let give = "UPDATE jobs SET state = 'waiting' WHERE id = ?1";
        self.with(|database| database.execute(give, params![job.id]).map(drop))
    }

    /// How it stands with all jobs.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn counts(&self) -> Result<Counts> {
        self.with(|database| {
            let count = |query: &str| database.query_row(query, [], |row| row.get(0));
            Ok(Counts {
                waiting: count("SELECT count(*) FROM jobs WHERE state = 'waiting'")?,
                taken: count("SELECT count(*) FROM jobs WHERE state = 'taken'")?,
                done: count("SELECT count(*) FROM jobs WHERE state = 'done'")?,
                doubled: count("SELECT count(*) FROM (SELECT 1 FROM effects GROUP BY job HAVING count(*) > 1)")?,
            })
        })
    }
}

/// How many jobs are worked on at a time.
const AT_A_TIME: usize = 8;

/// How often an empty queue is asked for more.
const PAUSE: Duration = Duration::from_millis(50);

/// A part of a service that takes jobs until the drain begins. What it has taken by then may be finished; what is not
/// finished when the last call comes is given back.
///
/// # Errors
///
/// Those of SQLite, which end the service.
pub async fn work<R: Runtime>(queue: Queue, part: Part) -> Result<()> {
    let workers = (0..AT_A_TIME).map(|_| one_by_one::<R>(&queue, &part));
    join_all(workers).await.into_iter().collect()
}

async fn one_by_one<R: Runtime>(queue: &Queue, part: &Part) -> Result<()> {
    while part.cause().is_none() {
        let Some(job) = queue.take()? else {
            part.until_draining(R::sleep(PAUSE)).await;
            continue;
        };
        // The work itself, of which nothing is kept if it is dropped.
        match part.until_last_call(R::sleep(job.time)).await {
            Some(_) => queue.finish(&job)?,
            None => queue.give_back(&job)?,
        }
    }
    Ok(())
}
