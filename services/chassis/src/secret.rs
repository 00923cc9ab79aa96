//! The cluster's secret, and the tokens made with it.
//!
//! A setting holds one or more secrets. The first signs and seals; all verify and open, so that it can be rotated: put the new
//! one in front, wait until every token of the old one is over, take the old one away. Each [`Purpose`] has keys of its
//! own (HKDF-SHA-256), so that a token made for one thing is good for nothing else.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{
    Random,
    id::{AddressHash, Alias, SessionId},
};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens a seat at a relay. Signed.
    Seat,
    /// Makes a client the same session again. Sealed.
    Session,
    /// Brings a client back into its chat. Sealed.
    Resume,
    /// A spy's question on its way through the pool. Sealed.
    Question,
    /// Hashes network addresses. Never leaves the cluster.
    Address,
    /// Hashes sessions, for others to remember them by. Never leaves the cluster in clear.
    Alias,
    /// Proves a mail domain to be a classic client's own. Hashed.
    College,
    /// Strangers' digests in a chat, told to classic clients. Hashed.
    Digest,
    /// Hides in a classic client's id which gateway holds its session. Hashed.
    Front,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Seat => b"stroll v1 seat",
            Self::Session => b"stroll v1 session",
            Self::Resume => b"stroll v1 resume",
            Self::Question => b"stroll v1 question",
            Self::Address => b"stroll v1 address",
            Self::Alias => b"stroll v1 alias",
            Self::College => b"stroll v1 college",
            Self::Digest => b"stroll v1 digest",
            Self::Front => b"stroll v1 front",
        }
    }
}

/// Why text is not a usable secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Not base64.
    #[error("a secret is base64 text; make one with `head -c 32 /dev/urandom | base64`")]
    NotBase64,
    /// Shorter than 32 bytes.
    #[error("a secret has at least 32 bytes before base64; make one with `head -c 32 /dev/urandom | base64`")]
    TooShort,
}

/// A token is forged, damaged, or made with a secret that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not good")]
pub struct BadToken;

const MAC_LEN: usize = 32;
const NONCE_LEN: usize = 24;

/// The cluster's secret. Cheap to clone; its Debug shows nothing.
#[derive(Clone)]
pub struct Secret(Arc<[Keys]>);

struct Keys {
    seat: [u8; 32],
    session: XChaCha20Poly1305,
    resume: XChaCha20Poly1305,
    question: XChaCha20Poly1305,
    address: [u8; 32],
    alias: [u8; 32],
    college: [u8; 32],
    digest: [u8; 32],
    front: [u8; 32],
}

impl Secret {
    /// A secret that nobody else knows, for a single process.
    #[must_use]
    pub fn ephemeral(random: &Random) -> Self {
        Self(Arc::new([Keys::derive(&random.bytes::<32>())]))
    }

    /// Claims followed by an HMAC over them: readable to all, made only by those who have the secret.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, claims: &[u8]) -> Bytes {
        let mut token = BytesMut::with_capacity(claims.len() + MAC_LEN);
        token.extend_from_slice(claims);
        token.extend_from_slice(&self.0[0].mac(purpose, claims).finalize().into_bytes());
        token.freeze()
    }

    /// The claims of a signed token.
    ///
    /// # Errors
    /// If no known secret signed exactly these bytes.
    pub fn verify<'token>(&self, purpose: Purpose, token: &'token [u8]) -> Result<&'token [u8], BadToken> {
        let at = token.len().checked_sub(MAC_LEN).ok_or(BadToken)?;
        let (claims, mac) = token.split_at(at);
        let good = self.0.iter().any(|keys| keys.mac(purpose, claims).verify_slice(mac).is_ok());
        if good { Ok(claims) } else { Err(BadToken) }
    }

    /// Encrypts `content` into a token (XChaCha20-Poly1305, URL-safe base64) that only this cluster can read or make.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, content: &[u8], random: &Random) -> String {
        let nonce = random.bytes::<NONCE_LEN>();
        let payload = Payload { msg: content, aad: purpose.label() };
        #[expect(clippy::expect_used, reason = "encryption fails only for contents of 256 GiB and more")]
        let sealed = self.0[0].cipher(purpose).encrypt(&XNonce::from(nonce), payload).expect("short content");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// The content of a sealed token.
    ///
    /// # Errors
    /// If no known secret sealed exactly this for this purpose.
    pub fn open(&self, purpose: Purpose, token: &str) -> Result<Vec<u8>, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(BadToken)?;
        let payload = || Payload { msg: sealed, aad: purpose.label() };
        let mut opened =
            self.0.iter().map(|keys| keys.cipher(purpose).decrypt(&XNonce::from(*nonce), payload()));
        opened.find_map(Result::ok).ok_or(BadToken)
    }

    /// Keyed hashes of an address, one per known secret, the signing one's first. IPv6 counts by its /64: that is
    /// what one household or machine is given. An IPv4 address mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn address_hashes(&self, address: IpAddr) -> Vec<AddressHash> {
        let network = network_of(address);
        self.0.iter().map(|keys| keys.address_hash(&network)).collect()
    }

    /// Keyed hashes of a session, one per known secret, the signing one's first. Who remembers the first of them still
    /// knows the session after a rotation, as long as the older secret is known.
    #[must_use]
    pub fn session_aliases(&self, session: SessionId) -> Vec<Alias> {
        self.0.iter().map(|keys| keys.alias(session)).collect()
    }

    /// Keyed hashes of anything else (HMAC-SHA-256), one per known secret, the signing one's first.
    #[must_use]
    pub fn keyed_hashes(&self, purpose: Purpose, content: &[u8]) -> Vec<[u8; 32]> {
        let hash = |keys: &Keys| hmac_of(keys.hash_key(purpose), content).finalize().into_bytes().into();
        self.0.iter().map(hash).collect()
    }

    /// Whether `hash` is one of the above. Takes as long whatever is wrong with it.
    #[must_use]
    pub fn is_keyed_hash(&self, purpose: Purpose, content: &[u8], hash: &[u8; 32]) -> bool {
        self.0.iter().any(|keys| hmac_of(keys.hash_key(purpose), content).verify_slice(hash).is_ok())
    }
}

/// The bytes of an address that tell one subscriber from another.
fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets()[..8].to_vec(),
    }
}

impl Keys {
    fn derive(secret: &[u8]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, secret);
        let key = |purpose: Purpose| {
            let mut key = [0; 32];
            #[expect(clippy::expect_used, reason = "HKDF-SHA-256 refuses only above 8,160 bytes")]
            hkdf.expand(purpose.label(), &mut key).expect("32 bytes");
            key
        };
        Self {
            seat: key(Purpose::Seat),
            session: XChaCha20Poly1305::new(&key(Purpose::Session).into()),
            resume: XChaCha20Poly1305::new(&key(Purpose::Resume).into()),
            question: XChaCha20Poly1305::new(&key(Purpose::Question).into()),
            address: key(Purpose::Address),
            alias: key(Purpose::Alias),
            college: key(Purpose::College),
            digest: key(Purpose::Digest),
            front: key(Purpose::Front),
        }
    }

    fn mac(&self, purpose: Purpose, claims: &[u8]) -> Hmac<Sha256> {
        debug_assert_eq!(purpose, Purpose::Seat, "only seat tokens are signed, the others are sealed");
        hmac_of(&self.seat, claims)
    }

    fn cipher(&self, purpose: Purpose) -> &XChaCha20Poly1305 {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::Question => &self.question,
            Purpose::Resume => &self.resume,
            Purpose::Seat
            | Purpose::Address
            | Purpose::Alias
            | Purpose::College
            | Purpose::Digest
            | Purpose::Front => {
                debug_assert!(false, "nothing is sealed for {purpose:?}");
                &self.resume
            }
        }
    }

    fn hash_key(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::Address => &self.address,
            Purpose::Alias => &self.alias,
            Purpose::College => &self.college,
            Purpose::Digest => &self.digest,
            Purpose::Front => &self.front,
            Purpose::Seat | Purpose::Session | Purpose::Resume | Purpose::Question => {
                debug_assert!(false, "{purpose:?} is for tokens, a bare hash could be taken for one");
                &self.digest
            }
        }
    }

    fn address_hash(&self, network: &[u8]) -> AddressHash {
        let hash: [u8; MAC_LEN] = hmac_of(&self.address, network).finalize().into_bytes().into();
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        AddressHash(short)
    }

    fn alias(&self, session: SessionId) -> Alias {
        let hash: [u8; MAC_LEN] = hmac_of(&self.alias, &session.0).finalize().into_bytes().into();
        let mut short = [0; 8];
        short.copy_from_slice(&hash[..8]);
        Alias(u64::from_be_bytes(short))
    }
}

fn hmac_of(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let keys = text.split(',').map(|part| {
            let bytes = STANDARD.decode(part.trim()).map_err(|_| BadSecret::NotBase64)?;
            if bytes.len() < 32 { Err(BadSecret::TooShort) } else { Ok(Keys::derive(&bytes)) }
        });
        keys.collect::<Result<Vec<_>, _>>().map(|keys| Self(keys.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
    const NEW: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";

    fn secret(text: &str) -> Secret {
        text.parse().expect("a good secret")
    }

    #[test]
    fn signed_claims_come_back_and_a_changed_bit_does_not_pass() {
        let secret = secret(NEW);
        let token = secret.sign(Purpose::Seat, b"claims");
        assert_eq!(secret.verify(Purpose::Seat, &token), Ok(b"claims".as_slice()));
        for at in 0..token.len() {
            let mut forged = token.to_vec();
            forged[at] ^= 1;
            assert_eq!(secret.verify(Purpose::Seat, &forged), Err(BadToken));
        }
        assert_eq!(secret.verify(Purpose::Seat, b"short"), Err(BadToken));
    }

    #[test]
    fn a_sealed_token_is_good_for_its_purpose_only() {
        let random = Random::seeded(1);
        let secret = secret(NEW);
        let token = secret.seal(Purpose::Session, b"me", &random);
        assert_eq!(secret.open(Purpose::Session, &token).as_deref(), Ok(b"me".as_slice()));
        assert_eq!(secret.open(Purpose::Resume, &token), Err(BadToken));
        assert_eq!(secret.open(Purpose::Session, "nonsense"), Err(BadToken));
        assert_eq!(secret.open(Purpose::Session, ""), Err(BadToken));
    }

    #[test]
    fn after_a_rotation_old_tokens_still_open_and_new_ones_use_the_new_secret() {
        let random = Random::seeded(1);
        let (old, new, both) = (secret(OLD), secret(NEW), secret(&format!("{NEW},{OLD}")));
        let token = old.seal(Purpose::Session, b"me", &random);
        assert!(both.open(Purpose::Session, &token).is_ok());
        assert_eq!(new.open(Purpose::Session, &token), Err(BadToken));
        let signed = both.sign(Purpose::Seat, b"claims");
        assert!(new.verify(Purpose::Seat, &signed).is_ok());
        assert_eq!(old.verify(Purpose::Seat, &signed), Err(BadToken));
    }

    #[test]
    fn an_ipv6_address_counts_by_its_64_and_a_mapped_one_as_ipv4() {
        let secret = secret(NEW);
        let hash = |text: &str| secret.address_hashes(text.parse().expect("an address"))[0];
        assert_eq!(hash("2001:db8:1:2::1"), hash("2001:db8:1:2:ffff::9"));
        assert_ne!(hash("2001:db8:1:2::1"), hash("2001:db8:1:3::1"));
        assert_eq!(hash("::ffff:192.0.2.1"), hash("192.0.2.1"));
        assert_ne!(hash("192.0.2.1"), hash("192.0.2.2"));
    }

    #[test]
    fn a_session_is_known_by_its_alias_also_after_a_rotation() {
        let (old, new, both) = (secret(OLD), secret(NEW), secret(&format!("{NEW},{OLD}")));
        let session = SessionId([1; 16]);
        let [before] = old.session_aliases(session)[..] else { panic!("one secret, one alias") };
        let [after] = new.session_aliases(session)[..] else { panic!("one secret, one alias") };
        assert_ne!(before, after);
        assert_eq!(both.session_aliases(session), [after, before], "the signing one's first");
        assert_ne!(old.session_aliases(SessionId([2; 16])), [before]);
        assert_eq!(format!("{before:?}"), "REDACTED");
    }

    #[test]
    fn a_keyed_hash_tells_contents_purposes_and_secrets_apart() {
        let (old, new, both) = (secret(OLD), secret(NEW), secret(&format!("{NEW},{OLD}")));
        let hash = |secret: &Secret, purpose, content: &[u8]| secret.keyed_hashes(purpose, content)[0];
        let known = hash(&new, Purpose::College, b"example.edu");
        assert_eq!(known, hash(&new, Purpose::College, b"example.edu"));
        assert_ne!(known, hash(&new, Purpose::College, b"example.org"));
        assert_ne!(known, hash(&new, Purpose::Digest, b"example.edu"));
        assert_ne!(known, hash(&new, Purpose::Front, b"example.edu"));
        let before = hash(&old, Purpose::College, b"example.edu");
        let hashes = both.keyed_hashes(Purpose::College, b"example.edu");
        assert_eq!(hashes, [known, before], "the signing one's first");
        for hash in hashes {
            assert!(both.is_keyed_hash(Purpose::College, b"example.edu", &hash));
            assert!(!both.is_keyed_hash(Purpose::College, b"example.org", &hash));
            assert!(!both.is_keyed_hash(Purpose::Front, b"example.edu", &hash));
        }
        assert!(!new.is_keyed_hash(Purpose::College, b"example.edu", &before), "a secret that is gone");
    }

    #[test]
    fn short_or_undecodable_secrets_are_refused_and_none_is_ever_printed() {
        assert_eq!("c2hvcnQ=".parse::<Secret>().err(), Some(BadSecret::TooShort));
        assert_eq!("not base64!".parse::<Secret>().err(), Some(BadSecret::NotBase64));
        assert_eq!(format!("{:?}", secret(NEW)), "REDACTED");
    }
}
