//! The classic protocol.
#![cfg_attr(not(test), expect(dead_code, reason = "wired by the routes"))]

pub mod captcha;
pub mod college;
pub mod saved_log;
