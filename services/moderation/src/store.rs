//! The durable store: cases, bans and decisions, in a file of SQLite or in PostgreSQL.
//!
//! The same migrations and the same statements run on both. SQLite runs with a write-ahead log and waits for the disk at each
//! commit; several processes of one host may share a file. Once a call has returned, what it stored outlives this
//! process (invariant I6).
//!
//! Invariants: cases and decisions are only ever added; changes to the bans become visible in the order of their
//! revisions, see `migrations/`.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::{
    Random,
    bans::Ban,
    id::{AddressHash, ChatId, Seat, SessionId},
};
use sqlx::{
    Any, AnyPool, ConnectOptions as _, Executor as _, Row as _, Transaction,
    any::{AnyPoolOptions, AnyRow},
    migrate::Migrator,
};
use tokio::time::timeout;

use crate::{
    config::DatabaseUrl,
    error::Error,
    metrics::Metrics,
    report::{CaseNumber, Evidence, Report, from_hex},
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long one use of the database may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long making the tables may take: other replicas may be at it.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long getting a connection may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections of a process. SQLite has a single writer at a time anyway.
const CONNECTIONS: u32 = 8;
/// How many changes are read at once.
const CHANGES: i64 = 1_000;
/// How many case numbers are tried before giving up; the second is needed once in 10¹² cases.
const NUMBERS: usize = 4;

/// Each connection to SQLite: readers don't wait for the writer, a commit is on the disk, and a writer waits its turn for less
/// time than a call has.
const SQLITE_PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 1500; PRAGMA foreign_keys = ON;";

/// The store. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    pool: AnyPool,
    /// How a transaction that writes begins.
    begin: &'static str,
    /// What has to be there for SQLite's file.
    folder: Option<PathBuf>,
    prepared: Arc<AtomicBool>,
    random: Random,
    metrics: Metrics,
}

/// Whether a report was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filing {
    /// It is stored now.
    New,
    /// It was stored before.
    Repeated,
}

/// A ban to be stored.
pub(crate) struct NewBan {
    pub(crate) ban: Ban,
    pub(crate) case: Option<CaseNumber>,
    pub(crate) created_unix_ms: u64,
}

/// A change to the bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: i64,
    pub(crate) ban: Ban,
    pub(crate) is_lifted: bool,
}

/// What was decided about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) id: String,
    pub(crate) chat: ChatId,
    pub(crate) seat: Seat,
    pub(crate) seq: u64,
    pub(crate) session: SessionId,
    pub(crate) rule: &'static str,
    pub(crate) action: &'static str,
    pub(crate) at_unix_ms: u64,
}

impl Store {
    /// A store that connects when it is first used.
    ///
    /// # Errors
    /// If the URL can't be used.
    pub(crate) fn new(url: &DatabaseUrl, random: Random, metrics: Metrics) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let options = url.connect_options()?.disable_statement_logging();
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        let (pool, begin, folder) = match url {
            DatabaseUrl::Sqlite(path) => {
                let pool = pool.after_connect(|connection, _| {
                    Box::pin(async move { connection.execute(SQLITE_PRAGMAS).await.map(|_| ()) })
                });
                // A transaction that begins as a reader can't become a writer once another has written.
                (pool, "BEGIN IMMEDIATE", path.parent().map(PathBuf::from))
            }
            DatabaseUrl::Postgres(_) => (pool, "BEGIN", None),
        };
        let pool = pool.connect_lazy_with(options);
        Ok(Self { pool, begin, folder, prepared: Arc::default(), random, metrics })
    }

    /// Connects, and makes or checks the tables. Until this has succeeded once, every other use fails.
    ///
    /// # Errors
    /// If the database can't be reached or used.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            // What is in there is for nobody else on the host to read.
            let made = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await;
            made.map_err(|error| Error::Database(error.into()))?;
        }
        // A try first: a migration would wait for a database that is away for as long as it may take.
        self.timed("connect", async { Ok(self.pool.acquire().await.map(|_| ())?) }).await?;
        let migrating = timeout(MIGRATION_TIMEOUT, MIGRATIONS.run(&self.pool));
        let migrated = migrating.await.map_err(|_| Error::Slow)?;
        self.counted("migrate", migrated.map_err(Error::Migration))?;
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    /// For tests, which look behind the curtain.
    #[cfg(test)]
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Stores a report, unless it is stored already, and tells its case.
    ///
    /// # Errors
    /// If it may not have become durable.
    pub(crate) async fn file(&self, report: &Report) -> Result<(CaseNumber, Filing), Error> {
        self.used("file_report", async {
            let mut filed = Filing::Repeated;
            for _ in 0..NUMBERS {
                match self.try_file(report, &CaseNumber::new(&self.random)).await {
                    Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
                    tried => {
                        filed = tried?;
                        break;
                    }
                }
            }
            let row = sqlx::query("SELECT number FROM cases WHERE report = $1").bind(report.id.clone());
            let row = row.fetch_optional(&self.pool).await?.ok_or(Error::Damaged)?;
            let number = row.try_get::<String, _>(0)?.parse().map_err(|_| Error::Damaged)?;
            Ok((number, filed))
        })
        .await
    }

    /// Does nothing if the report is there. A number that is taken is a unique violation.
    async fn try_file(&self, report: &Report, number: &CaseNumber) -> Result<Filing, sqlx::Error> {
        const INSERT: &str = "INSERT INTO cases (number, report, chat, reason, created_unix_ms, evidence, digest) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (report) DO NOTHING";
        let insert = sqlx::query(INSERT).bind(number.to_string()).bind(report.id.clone());
        let insert =
            insert.bind(report.chat.to_string()).bind(report.reason).bind(signed(report.filed_unix_ms));
        let insert = insert.bind(report.evidence.clone()).bind(report.digest());
        let stored = insert.execute(&self.pool).await?.rows_affected();
        Ok(if stored == 0 { Filing::Repeated } else { Filing::New })
    }

    /// What was reported in a case.
    ///
    /// # Errors
    /// If there is no such case, or the database fails.
    pub(crate) async fn evidence(&self, number: &CaseNumber) -> Result<Evidence, Error> {
        self.used("read_case", async {
            let row = sqlx::query("SELECT evidence FROM cases WHERE number = $1").bind(number.to_string());
            let row = row.fetch_optional(&self.pool).await?.ok_or(Error::NoSuchCase)?;
            Evidence::read(&row.try_get::<String, _>(0)?)
        })
        .await
    }

    /// Stores bans, all or none.
    ///
    /// # Errors
    /// If they may not have become durable.
    pub(crate) async fn ban(&self, bans: &[NewBan]) -> Result<(), Error> {
        const INSERT: &str = "INSERT INTO bans \
             (id, revision, session, address, reason, case_number, created_unix_ms, until_unix_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.used("create_ban", async {
            let mut transaction = self.pool.begin_with(self.begin).await?;
            for NewBan { ban, case, created_unix_ms } in bans {
                let revision = next_revision(&mut transaction).await?;
                let insert = sqlx::query(INSERT).bind(ban.id.clone()).bind(revision);
                let insert = insert.bind(ban.session.map(|session| session.to_string()));
                let insert = insert.bind(ban.address.map(|address| address.to_string()));
                let insert = insert.bind(ban.reason.clone()).bind(case.as_ref().map(ToString::to_string));
                let insert = insert.bind(signed(*created_unix_ms)).bind(signed(ban.until_unix_ms));
                insert.execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Lifts a ban; one that is lifted stays so.
    ///
    /// # Errors
    /// If there is no such ban, or the database fails.
    pub(crate) async fn lift(&self, id: &str, now_unix_ms: u64) -> Result<(), Error> {
        const UPDATE: &str =
            "UPDATE bans SET lifted_unix_ms = $1, revision = $2 WHERE id = $3 AND lifted_unix_ms IS NULL";
        self.used("lift_ban", async {
            let mut transaction = self.pool.begin_with(self.begin).await?;
            let revision = next_revision(&mut transaction).await?;
            let update = sqlx::query(UPDATE).bind(signed(now_unix_ms)).bind(revision).bind(id.to_owned());
            if update.execute(&mut *transaction).await?.rows_affected() == 0 {
                let known = sqlx::query("SELECT 1 FROM bans WHERE id = $1").bind(id.to_owned());
                let known = known.fetch_optional(&mut *transaction).await?;
                return known.map(|_| ()).ok_or(Error::NoSuchBan);
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The number of the last change to the bans.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn revision(&self) -> Result<i64, Error> {
        self.used("watch_bans", async { self.read_revision().await }).await
    }

    async fn read_revision(&self) -> Result<i64, Error> {
        let row = sqlx::query("SELECT last FROM ban_revision WHERE id = 1").fetch_one(&self.pool).await?;
        Ok(row.try_get(0)?)
    }

    /// All bans in force, and the revision from which to go on with [`changes_since`](Self::changes_since).
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn in_force(&self, now_unix_ms: u64) -> Result<(i64, Vec<Ban>), Error> {
        const SELECT: &str = "SELECT id, session, address, reason, until_unix_ms, lifted_unix_ms, revision FROM bans \
             WHERE lifted_unix_ms IS NULL AND until_unix_ms > $1";
        self.used("watch_bans", async {
            // First the revision: a change in between is then seen twice, and not never.
            let revision = self.read_revision().await?;
            let rows = sqlx::query(SELECT).bind(signed(now_unix_ms)).fetch_all(&self.pool).await?;
            let bans = rows.iter().map(|row| Ok(change(row)?.ban)).collect::<Result<_, Error>>()?;
            Ok((revision, bans))
        })
        .await
    }

    /// Some of the changes after `revision`, in order; all of them, if they are few. Empty: there are none.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn changes_since(&self, revision: i64) -> Result<Vec<Change>, Error> {
        const SELECT: &str = "SELECT id, session, address, reason, until_unix_ms, lifted_unix_ms, revision FROM bans \
             WHERE revision > $1 ORDER BY revision LIMIT $2";
        self.used("watch_bans", async {
            let rows = sqlx::query(SELECT).bind(revision).bind(CHANGES).fetch_all(&self.pool).await?;
            rows.iter().map(change).collect()
        })
        .await
    }

    /// Stores decisions, all or none; those that are stored already stay as they are.
    ///
    /// # Errors
    /// If they may not have become durable.
    pub(crate) async fn record(&self, decisions: &[Decision]) -> Result<(), Error> {
        const INSERT: &str = "INSERT INTO decisions (id, chat, seat, seq, session, rule, action, at_unix_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
        self.used("record_decisions", async {
            let mut transaction = self.pool.begin_with(self.begin).await?;
            for decision in decisions {
                let insert = sqlx::query(INSERT).bind(decision.id.clone()).bind(decision.chat.to_string());
                let insert = insert.bind(i64::from(decision.seat.0)).bind(signed(decision.seq));
                let insert = insert.bind(decision.session.to_string()).bind(decision.rule);
                let insert = insert.bind(decision.action).bind(signed(decision.at_unix_ms));
                insert.execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// A use that needs the tables.
    async fn used<T>(
        &self,
        operation: &'static str,
        using: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if !self.prepared.load(Ordering::Acquire) {
            return Err(Error::NotReady);
        }
        self.timed(operation, using).await
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        using: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let used = timeout(TIMEOUT, using).await.unwrap_or(Err(Error::Slow));
        self.counted(operation, used)
    }

    fn counted<T>(&self, operation: &'static str, used: Result<T, Error>) -> Result<T, Error> {
        if used.as_ref().is_err_and(Error::is_ours) {
            self.metrics.database_error(operation);
        }
        used
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Takes the next number for a change to the bans, and makes others that want one wait for the end of this transaction.
async fn next_revision(transaction: &mut Transaction<'_, Any>) -> Result<i64, Error> {
    let next = sqlx::query("UPDATE ban_revision SET last = last + 1 WHERE id = 1 RETURNING last");
    Ok(next.fetch_one(&mut **transaction).await?.try_get(0)?)
}

fn change(row: &AnyRow) -> Result<Change, Error> {
    let session: Option<String> = row.try_get("session")?;
    let address: Option<String> = row.try_get("address")?;
    let until: i64 = row.try_get("until_unix_ms")?;
    let ban = Ban {
        id: row.try_get("id")?,
        session: session.as_deref().map(from_hex).transpose()?.map(SessionId),
        address: address.as_deref().map(from_hex).transpose()?.map(AddressHash),
        until_unix_ms: u64::try_from(until).map_err(|_| Error::Damaged)?,
        reason: row.try_get("reason")?,
    };
    let lifted: Option<i64> = row.try_get("lifted_unix_ms")?;
    Ok(Change { revision: row.try_get("revision")?, ban, is_lifted: lifted.is_some() })
}

/// What both databases can store of a number: 63 bits. No time and no count comes near.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
