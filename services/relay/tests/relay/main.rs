//! A relay on real sockets, between scripted gateways, a scripted matchmaker and a scripted moderation.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod away;
mod drain;
mod gateway;
mod life;
mod moderation;
mod peers;
mod privacy;
mod slow;
mod world;
