//! What Redis answers (RESP 2), read into our own words.

use bytes::Bytes;
use redis::Value;

use crate::{
    Error,
    error::Result,
    pool::{Delivery, Entry, EntryId, EntryKind, Letter, Pair},
};

/// An entry of a stream. A field may come more than once, and their order counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    id: EntryId,
    fields: Vec<(Bytes, Bytes)>,
}

/// Of XREAD or XREADGROUP on one stream. Nothing came: nil.
pub(super) fn of_one_stream(reply: Value) -> Result<Vec<Raw>> {
    let Value::Array(streams) = reply else { return if_nil(&reply) };
    let Some(Value::Array(stream)) = streams.into_iter().next() else { return Err(unexpected()) };
    entries(stream.into_iter().nth(1).ok_or_else(unexpected)?)
}

/// A list of entries. None: nil.
pub(super) fn entries(value: Value) -> Result<Vec<Raw>> {
    let Value::Array(entries) = value else { return if_nil(&value) };
    entries.into_iter().map(raw).collect()
}

/// An entry's id alone.
pub(super) fn id(value: Value) -> Result<EntryId> {
    std::str::from_utf8(&bytes(value)?).ok().and_then(|text| text.parse().ok()).ok_or_else(unexpected)
}

impl Raw {
    /// As an entry of a shard's stream of tickets.
    pub(super) fn into_entry(self) -> Entry {
        let id = self.id;
        let kind = match self.field(b"t") {
            Some(ticket) => {
                let traceparent = self.field(b"p").unwrap_or_default();
                let traceparent = String::from_utf8_lossy(&traceparent).into_owned();
                EntryKind::Ticket { ticket, traceparent }
            }
            None => self.cancelled().map_or(EntryKind::Unreadable, EntryKind::Cancelled),
        };
        Entry { id, kind }
    }

    /// As an entry of a shard's pairs: the fields are gateways, the values what to tell them.
    pub(super) fn into_pair(self) -> Pair {
        let deliveries = self.fields.into_iter().map(|(gateway, assignment)| Delivery {
            gateway: String::from_utf8_lossy(&gateway).into_owned(),
            assignment,
        });
        Pair { id: self.id, deliveries: deliveries.collect() }
    }

    /// As an entry with one field. What has none is passed over.
    pub(super) fn into_letter(self) -> Option<Letter> {
        let (_, content) = self.fields.into_iter().next()?;
        Some((self.id, content))
    }

    fn field(&self, name: &[u8]) -> Option<Bytes> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
    }

    fn cancelled(&self) -> Option<EntryId> {
        std::str::from_utf8(&self.field(b"c")?).ok()?.parse().ok()
    }
}

fn raw(value: Value) -> Result<Raw> {
    let Value::Array(entry) = value else { return Err(unexpected()) };
    let mut entry = entry.into_iter();
    let id = id(entry.next().ok_or_else(unexpected)?)?;
    let Some(Value::Array(values)) = entry.next() else { return Err(unexpected()) };
    let mut values = values.into_iter();
    let mut fields = Vec::with_capacity(values.len() / 2);
    while let (Some(field), Some(value)) = (values.next(), values.next()) {
        fields.push((bytes(field)?, bytes(value)?));
    }
    Ok(Raw { id, fields })
}

fn bytes(value: Value) -> Result<Bytes> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        Value::SimpleString(text) => Ok(text.into()),
        _ => Err(unexpected()),
    }
}

fn if_nil<T>(value: &Value) -> Result<Vec<T>> {
    if *value == Value::Nil { Ok(Vec::new()) } else { Err(unexpected()) }
}

fn unexpected() -> Error {
    Error::Away("an answer of a shape that is not known".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn list(items: &[Value]) -> Value {
        Value::Array(items.to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        list(&[text(id), list(&fields.iter().map(|field| text(field)).collect::<Vec<_>>())])
    }

    fn read(entries: &[Value]) -> Vec<Raw> {
        of_one_stream(list(&[list(&[text("key"), list(entries)])])).expect("a good answer")
    }

    #[test]
    fn entries_are_tickets_cancellations_or_unreadable() {
        let entries = read(&[
            entry("1-0", &["t", "x", "p", "trace"]),
            entry("2-0", &["c", "1-0"]),
            entry("3-0", &["z", ""]),
        ]);
        let kinds: Vec<_> = entries.into_iter().map(|raw| raw.into_entry().kind).collect();
        let first = EntryId { ms: 1, seq: 0 };
        let ticket = EntryKind::Ticket { ticket: "x".into(), traceparent: "trace".to_owned() };
        assert_eq!(kinds, [ticket, EntryKind::Cancelled(first), EntryKind::Unreadable]);
    }

    #[test]
    fn a_pair_may_tell_the_same_gateway_twice_in_order() {
        let pair = read(&[entry("1-0", &["g", "one", "g", "two"])]).remove(0).into_pair();
        let told: Vec<_> = pair.deliveries.iter().map(|delivery| delivery.assignment.as_ref()).collect();
        assert_eq!(told, [b"one", b"two"]);
    }

    #[test]
    fn nil_is_nothing_and_other_shapes_are_an_error() {
        assert_eq!(of_one_stream(Value::Nil).expect("nothing"), []);
        assert!(of_one_stream(Value::Int(1)).is_err());
        assert!(of_one_stream(list(&[list(&[text("key"), list(&[text("1-0")])])])).is_err());
        assert!(entries(text("1-0")).is_err());
    }
}
