//! Identifiers that cross services: 16 random bytes each, with a type of their own.

use std::fmt;

use bytes::Bytes;

use crate::Random;

/// The bytes are not 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 16 bytes")]
pub struct Malformed;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn new(random: &Random) -> Self {
                Self(random.bytes())
            }

            /// As it goes into a protobuf message.
            #[must_use]
            pub fn to_bytes(self) -> Bytes {
                Bytes::copy_from_slice(&self.0)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = Malformed;

            fn try_from(bytes: &[u8]) -> Result<Self, Malformed> {
                bytes.try_into().map(Self).map_err(|_| Malformed)
            }
        }

        impl TryFrom<&Bytes> for $name {
            type Error = Malformed;

            fn try_from(bytes: &Bytes) -> Result<Self, Malformed> {
                Self::try_from(bytes.as_ref())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// One anonymous person at one browser.
    SessionId
);
id!(
    /// One wish to be paired.
    TicketId
);
id!(
    /// A pairing while it lasts.
    ChatId
);
id!(
    /// A keyed hash of a network address: tells that two are the same, never which it is.
    AddressHash
);

/// A keyed hash of a session, by which others remember whom they met or never want to meet again. Who is that to whom is
/// nobody's business, so its Debug shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(pub u64);

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// One participant's place in a chat, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u8);

impl Seat {
    /// From a protobuf field.
    ///
    /// # Errors
    /// If it is zero or above 255.
    pub fn from_number(number: u32) -> Result<Self, Malformed> {
        u8::try_from(number).ok().filter(|seat| *seat > 0).map(Self).ok_or(Malformed)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fencing number of a shard's owner, or of a chat's home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
