//! What can go wrong, from the caller's view.

use tonic::Status;

/// An answer or why there is none.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a matchmaker can't do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's mistake; the sentence says what is expected.
    #[error("{0}")]
    Invalid(&'static str),
    /// The pool takes no more tickets, or its store has no more memory.
    #[error("the pool is full")]
    Full,
    /// The store can't be reached, or didn't answer in time.
    #[error("the store is away: {0}")]
    Away(String),
    /// The store is there and must not be used, and why.
    #[error("{0}")]
    Refused(String),
    /// Somebody else has become the shard's owner.
    #[error("the shard has another owner")]
    Fenced,
    /// No such ticket waits.
    #[error("no such ticket waits")]
    NoTicket,
    /// A seat token is forged, damaged or over.
    #[error("the seat token is not good")]
    BadToken,
    /// This replica is going away.
    #[error("this replica is draining")]
    Draining,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(sentence) => Self::invalid_argument(sentence),
            Error::Full => Self::resource_exhausted("the pool is full"),
            Error::Away(_) => Self::unavailable("the store is away"),
            Error::Refused(_) => Self::unavailable("the store is not fit for use"),
            Error::Fenced => Self::aborted("the shard has another owner"),
            Error::NoTicket => Self::not_found("no such ticket waits"),
            Error::BadToken => Self::unauthenticated("the seat token is not good"),
            Error::Draining => Self::unavailable("this replica is draining"),
        }
    }
}
