//! The classic protocol over raw HTTP, held to its reference sentence by sentence.
//!
//! | module | part of the reference |
//! |---|---|
//! | `answers` | transport, endpoints: statuses, types, headers |
//! | `status` | `/status`, `/count` |
//! | `start` | `/start`, ids |
//! | `polls` | `/events` |
//! | `slow` | what takes a minute or more of `/events` |
//! | `chats` | events and their order, typing, language |
//! | `sends` | `/send` and its bounds |
//! | `dirty` | dirty input |
//! | `likes` | common likes |
//! | `spy` | spy mode |
//! | `video` | signalling |
//! | `captcha`, `bans`, `college`, `logs` | the same |
//! | `memory` | what an idle session costs |
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod bans;
mod captcha;
mod chats;
mod college;
mod dirty;
mod likes;
mod logs;
mod memory;
mod polls;
mod sends;
mod slow;
mod spy;
mod start;
mod status;
mod video;
