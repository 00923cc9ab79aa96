//! What a call can fail with.

use tonic::Status;

/// Why a call was not served, from the caller's view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks the interface's rules; this says which.
    #[error("{0}")]
    Malformed(&'static str),
    /// No case has the number.
    #[error("there is no such case")]
    NoSuchCase,
    /// No ban has the id.
    #[error("there is no such ban")]
    NoSuchBan,
    /// The database has not been reached since the start.
    #[error("the database has not been reached yet")]
    NotReady,
    /// The database fails, or can't be reached.
    #[error("the database can't be used at the moment")]
    Database(#[source] sqlx::Error),
    /// The database's tables can't be made or aren't those of this version.
    #[error("the database's tables can't be used")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The database does not answer in time.
    #[error("the database does not answer in time")]
    Slow,
    /// Something in the database is not as it was stored.
    #[error("what is stored can't be read")]
    Damaged,
    /// The bans known here may have changed meanwhile.
    #[error("changes to the bans are not known here at the moment")]
    Stale,
    /// A watcher has missed changes to the bans.
    #[error("the watch does not keep up with the changes")]
    Behind,
}

impl Error {
    /// Whether the cause is worth an operator's attention, not the caller's.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Migration(_) | Self::Slow | Self::Damaged)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Malformed(_) => Self::invalid_argument(text),
            Error::NoSuchCase | Error::NoSuchBan => Self::not_found(text),
            Error::NotReady | Error::Database(_) | Error::Slow | Error::Stale => Self::unavailable(text),
            Error::Migration(_) => Self::failed_precondition(text),
            Error::Damaged => Self::data_loss(text),
            Error::Behind => Self::resource_exhausted(text),
        }
    }
}
