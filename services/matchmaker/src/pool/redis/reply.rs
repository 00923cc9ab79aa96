//! What Redis answers (RESP 2), read into our own words.

use bytes::Bytes;
use chassis::id::{Epoch, TicketId};
use redis::Value;

use crate::{
    Error,
    error::Result,
    pool::{Delivery, Destination, Entry, EntryId, EntryKind, Home, Letter, Pair, Shard},
};

/// Begins the field of a delivery to a shard. No gateway's name has it.
const TO_SHARD: char = '>';

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

/// A chat's home, as its script writes it.
pub(super) fn home(text: &str) -> Result<Home> {
    let (epoch, relay) = text.split_once(' ').ok_or_else(unexpected)?;
    Ok(Home { epoch: Epoch(epoch.parse().map_err(|_| unexpected())?), relay: relay.to_owned() })
}

impl Raw {
    /// As an entry of a shard's stream of tickets.
    pub(super) fn into_entry(self) -> Entry {
        let id = self.id;
        let kind = match self.field(b"t") {
            Some(ticket) => EntryKind::Ticket(ticket),
            None => self.withdrawn().map_or(EntryKind::Unreadable, EntryKind::Withdrawn),
        };
        Entry { id, kind }
    }

    /// As an entry of a shard's pairs: the fields are destinations, the values what goes there. A destination that this version
    /// does not know is passed over.
    pub(super) fn into_pair(self) -> Pair {
        let deliveries = self.fields.into_iter();
        let deliveries =
            deliveries.filter_map(|(field, content)| Some(Delivery { to: destination(&field)?, content }));
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

    fn withdrawn(&self) -> Option<TicketId> {
        TicketId::try_from(&self.field(b"w")?).ok()
    }
}

/// The field of a delivery in an entry of a shard's pairs.
pub(super) fn field_of(to: &Destination) -> String {
    match to {
        Destination::Inbox(gateway) => gateway.clone(),
        Destination::Shard(shard) => format!("{TO_SHARD}{shard}"),
    }
}

fn destination(field: &[u8]) -> Option<Destination> {
    let field = std::str::from_utf8(field).ok()?;
    match field.strip_prefix(TO_SHARD) {
        Some(name) => Shard::named(name).map(Destination::Shard),
        None => Some(Destination::Inbox(field.to_owned())),
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
    fn entries_are_tickets_withdrawals_or_unreadable() {
        let entries = read(&[
            entry("1-0", &["t", "x"]),
            entry("3-0", &["w", "0123456789abcdef"]),
            entry("4-0", &["w", "short"]),
            entry("5-0", &["z", ""]),
        ]);
        let kinds: Vec<_> = entries.into_iter().map(|raw| raw.into_entry().kind).collect();
        let expected = [
            EntryKind::Ticket("x".into()),
            EntryKind::Withdrawn(TicketId(*b"0123456789abcdef")),
            EntryKind::Unreadable,
            EntryKind::Unreadable,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_pair_may_tell_the_same_gateway_twice_in_order() {
        let pair = read(&[entry("1-0", &["g", "one", "g", "two"])]).remove(0).into_pair();
        let told: Vec<_> = pair.deliveries.iter().map(|delivery| delivery.content.as_ref()).collect();
        assert_eq!(told, [b"one", b"two"]);
    }

    #[test]
    fn a_destination_is_read_as_it_was_written() {
        let shard = Shard::named("text.main.0").expect("a shard");
        for to in [Destination::Inbox("gateway-1".to_owned()), Destination::Shard(shard)] {
            assert_eq!(destination(field_of(&to).as_bytes()), Some(to));
        }
        assert_eq!(destination(b">nonsense"), None);
    }

    #[test]
    fn nil_is_nothing_and_other_shapes_are_an_error() {
        assert_eq!(of_one_stream(Value::Nil).expect("nothing"), []);
        assert!(of_one_stream(Value::Int(1)).is_err());
        assert!(of_one_stream(list(&[list(&[text("key"), list(&[text("1-0")])])])).is_err());
        assert!(entries(text("1-0")).is_err());
    }
}
