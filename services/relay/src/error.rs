//! What a gateway's stream can fail with.

use tonic::Status;

/// Why a gateway's stream was not served, or ended by the relay. What goes wrong with a single seat is told in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The first request names no gateway.
    #[error("the first request of a stream names the gateway, in 1 to 64 visible characters")]
    Unnamed,
    /// The gateway did not take its frames.
    #[error("the gateway does not keep up with its frames")]
    TooSlow,
    /// The relay stops.
    #[error("the relay stops")]
    Stopping,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unnamed => Self::invalid_argument(text),
            Error::TooSlow => Self::resource_exhausted(text),
            Error::Stopping => Self::unavailable(text),
        }
    }
}
