//! What an operator does.

use std::time::Duration;

use chassis::{
    Context, Random, Secret,
    grpc::{Channel, Targets},
};
use stroll_proto::v1::{
    Ban, CreateBanRequest, create_ban_request::Target, moderation_service_client::ModerationServiceClient,
};

/// A client of moderation, which is at these URLs.
///
/// # Panics
/// If they are none.
#[must_use]
pub fn operator(moderation: &str) -> ModerationServiceClient<Channel> {
    let targets: Targets = moderation.parse().expect("a URL");
    let context = Context::new(Secret::ephemeral(&Random::from_os()), Duration::ZERO);
    ModerationServiceClient::new(Channel::new(&context, targets))
}

/// Bans who was reported in a case, for an hour.
///
/// # Panics
/// If moderation does not.
pub async fn ban(moderation: &str, case: &str, reason: &str) -> Vec<Ban> {
    let target = Some(Target::Case(case.to_owned()));
    let request = CreateBanRequest { target, duration_s: 3_600, reason: reason.to_owned() };
    operator(moderation).create_ban(request).await.expect("banned").into_inner().bans
}
