//! What goes over the wire: WebSocket frames, HTTP/1.1, and the JSON in them. Pure, and as little as a client needs of each.

pub mod events;
pub mod http;
pub mod json;
pub mod ws;
