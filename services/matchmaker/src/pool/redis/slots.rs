//! Which server of a cluster has which keys (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).

use std::collections::BTreeSet;

use redis::Value;

use super::url::Address;

/// How many slots keys are spread over.
const SLOTS: u16 = 16384;

/// The slot of a key: that of its hash tag, where it has one.
pub(super) fn of_key(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What is in the first pair of braces, if anything is.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let (_, after) = split_once(key, b'{')?;
    let (tag, _) = split_once(after, b'}')?;
    (!tag.is_empty()).then_some(tag)
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// CRC-16/XMODEM, as the cluster specification has it in its appendix.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

/// Which master owns which slots, as a server of the cluster told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    ranges: Vec<Range>,
    servers: BTreeSet<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

impl Slots {
    /// Reads what the server at `here` answers to `CLUSTER SLOTS`. `None` if it knows no slots, or says something else.
    pub(super) fn read(answer: Value, here: &Address) -> Option<Self> {
        let Value::Array(answer) = answer else { return None };
        let mut slots = Self::default();
        for range in answer {
            let (range, servers) = read_range(range, here)?;
            slots.ranges.push(range);
            slots.servers.extend(servers);
        }
        // Ranges come in no order.
        slots.ranges.sort_by_key(|range| range.first);
        (!slots.ranges.is_empty()).then_some(slots)
    }

    /// Who owns a slot; `None` if nobody does.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let range = self.ranges.iter().find(|range| (range.first..=range.last).contains(&slot))?;
        Some(&range.master)
    }

    /// Everybody who owns slots.
    pub(super) fn masters(&self) -> BTreeSet<&Address> {
        self.ranges.iter().map(|range| &range.master).collect()
    }

    /// Masters and replicas.
    pub(super) fn servers(&self) -> &BTreeSet<Address> {
        &self.servers
    }
}

/// A range, and those who have it, the master first.
fn read_range(range: Value, here: &Address) -> Option<(Range, Vec<Address>)> {
    let Value::Array(range) = range else { return None };
    let mut parts = range.into_iter();
    let (first, last) = (number(&parts.next()?)?, number(&parts.next()?)?);
    let servers: Vec<_> = parts.map(|server| read_server(server, here)).collect::<Option<_>>()?;
    Some((Range { first, last, master: servers.first()?.clone() }, servers))
}

fn read_server(server: Value, here: &Address) -> Option<Address> {
    let Value::Array(server) = server else { return None };
    let mut parts = server.into_iter();
    // Nil where the cluster doesn't know under which name clients reach it.
    let host: Option<String> = redis::from_redis_value(parts.next()?).ok()?;
    Address::of(host.as_deref().unwrap_or_default(), number(&parts.next()?)?, here)
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_redis_gives_it() {
        // As CLUSTER KEYSLOT of a Redis 7.0 answers.
        let table: [(&str, u16); 7] = [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("x{foo}{bar}", 12182),
            ("{}foo", 9500),
            ("stroll:v1:{text.main.0}:tickets", 6442),
        ];
        for (key, slot) in table {
            assert_eq!(of_key(key.as_bytes()), slot, "{key}");
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(Vec::new())])
    }

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn a_map_is_read_as_redis_tells_it() {
        let here = address("here", 9);
        let answer = Value::Array(vec![
            Value::Array(vec![
                Value::Int(100),
                Value::Int(16383),
                server(text("b"), 2),
                server(text("c"), 3),
            ]),
            Value::Array(vec![Value::Int(0), Value::Int(98), server(Value::Nil, 1)]),
        ]);
        let slots = Slots::read(answer, &here).expect("a map");
        let (one, two) = (address("here", 1), address("b", 2));
        let table = [(0, Some(&one)), (98, Some(&one)), (99, None), (100, Some(&two)), (16383, Some(&two))];
        for (slot, owner) in table {
            assert_eq!(slots.owner(slot), owner, "{slot}");
        }
        assert_eq!(slots.masters(), BTreeSet::from([&one, &two]));
        assert_eq!(slots.servers().len(), 3);
    }

    #[test]
    fn what_is_no_map_is_not_read() {
        let here = address("here", 9);
        for answer in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(98)])]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(70000), server(text("b"), 2)])]),
        ] {
            assert_eq!(Slots::read(answer, &here), None);
        }
    }
}
