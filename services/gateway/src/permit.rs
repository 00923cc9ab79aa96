//! The right to one socket, or to one classic session.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::id::AddressHash;

use crate::{admission::Turned, hub::Hub};

/// Dropping it gives it back.
pub struct Permit {
    hub: Arc<Hub>,
    address: AddressHash,
}

impl Permit {
    /// For one who connects from here, under the hashes of which the first counts.
    ///
    /// # Errors
    /// The answer that turns them away.
    pub fn take(hub: &Arc<Hub>, addresses: &[AddressHash]) -> Result<Self, Box<Response>> {
        if hub.context.drain.is_draining() {
            hub.metrics.handshake("draining");
            return Err(Box::new(turn_away(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(1))));
        }
        // There is one hash for each secret, and at least one secret.
        let Some(address) = addresses.first().copied() else {
            return Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
        };
        let entered = hub.admission.enter(address);
        let (outcome, refused) = match entered {
            Ok(()) => {
                hub.metrics.handshake("accepted");
                return Ok(Self { hub: Arc::clone(hub), address });
            }
            Err(Turned::Overloaded(wait)) => ("overloaded", turn_away(StatusCode::SERVICE_UNAVAILABLE, wait)),
            Err(Turned::TooOften(wait)) => ("too_often", turn_away(StatusCode::TOO_MANY_REQUESTS, wait)),
            Err(Turned::TooMany) => {
                ("too_many", turn_away(StatusCode::TOO_MANY_REQUESTS, Duration::from_secs(30)))
            }
        };
        hub.metrics.handshake(outcome);
        Err(Box::new(refused))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.hub.admission.leave(self.address);
    }
}

/// An empty answer that tells when to come back.
#[must_use]
pub fn turn_away(status: StatusCode, wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    (status, [(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))]).into_response()
}
