//! Which mail addresses there are, and which of their domains are colleges.

use std::{fmt, str::FromStr};

use lettre::Address;

/// Longest address, in bytes (RFC 5321, 4.5.3.1.3, without the brackets).
const LONGEST_ADDRESS: usize = 254;

/// Mail domains of colleges, as an operator names them. `edu` are all domains below it, `ac.*` all below `ac.uk`, `ac.nz` and so
/// on with any country of two letters. `uni.example` is that domain itself, and all below it.
#[derive(Clone, PartialEq, Eq)]
pub struct CollegeDomain(String);

/// Text that names no domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a domain such as `edu` or `uni.example`, or one such as `ac.*` for that of every country")]
pub struct BadCollegeDomain;

impl FromStr for CollegeDomain {
    type Err = BadCollegeDomain;

    fn from_str(text: &str) -> Result<Self, BadCollegeDomain> {
        let domain = text.trim().to_ascii_lowercase();
        let named = domain.strip_suffix(".*").unwrap_or(&domain);
        if named.split('.').all(is_label) { Ok(Self(domain)) } else { Err(BadCollegeDomain) }
    }
}

impl fmt::Debug for CollegeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CollegeDomain {
    /// Whether `domain`, in lower case, is one of these.
    pub fn contains(&self, domain: &str) -> bool {
        let mut labels = domain.rsplit('.');
        let ends_so = self.0.rsplit('.').all(|own| {
            labels.next().is_some_and(|label| if own == "*" { is_country(label) } else { label == own })
        });
        ends_so && (labels.next().is_some() || self.is_one_itself())
    }

    /// Nobody's mail is at `edu` or `ac.uk`: those are where colleges are registered.
    fn is_one_itself(&self) -> bool {
        self.0.contains('.') && !self.0.ends_with(".*")
    }
}

/// A mail address that `text` is, its domain in lower case. Only plain ASCII ones: no quotes, no comments, no control characters, and
/// so nothing that could add a header to a mail or a command to its delivery.
pub fn parse_address(text: &str) -> Option<Address> {
    let text = text.trim();
    let (user, domain) = text.rsplit_once('@').filter(|_| text.len() <= LONGEST_ADDRESS)?;
    let domain = domain.to_ascii_lowercase();
    let is_plain = user.bytes().all(is_of_atom) && is_domain(&domain);
    Address::new(user, domain).ok().filter(|_| is_plain)
}

/// Whether it is one of the characters of RFC 5322's `dot-atom`.
fn is_of_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
}

fn is_domain(text: &str) -> bool {
    text.contains('.') && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(is_of_label)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_country(label: &str) -> bool {
    label.len() == 2 && label.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_college_is_below_what_is_registered_or_named_itself() {
        let colleges = ["edu", "edu.*", "ac.*", " Uni.Example "];
        let colleges = colleges.map(|text| text.parse::<CollegeDomain>().expect("a domain"));
        let is_college = |domain: &str| colleges.iter().any(|college| college.contains(domain));
        for domain in [
            "example.edu",
            "cs.example.edu",
            "unimelb.edu.au",
            "cam.ac.uk",
            "cl.cam.ac.uk",
            "uni.example",
            "physics.uni.example",
        ] {
            assert!(is_college(domain), "{domain}");
        }
        for domain in [
            "",
            "edu",
            ".",
            "edu.au",
            "ac.uk",
            "example.com",
            "exampleedu",
            "edu.example",
            "example.edu.com",
            "example.ac.u1",
            "example.ac",
            "notuni.example",
            "uni.example.com",
        ] {
            assert!(!is_college(domain), "{domain}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for bad in
            ["", "*", ".edu", "edu.", "*.edu", "ac.*.uk", "ac.u*", "a b", "-a.example", "é.example", "a,b"]
        {
            assert_eq!(bad.parse::<CollegeDomain>(), Err(BadCollegeDomain), "{bad}");
        }
    }

    #[test]
    fn an_address_is_trimmed_and_its_domain_in_lower_case() {
        for (text, expected) in [
            ("me@example.edu", "me@example.edu"),
            (" Me.Myself+I@CS.Example.EDU\r\n", "Me.Myself+I@cs.example.edu"),
            ("o'neil_1@x-y.ac.uk", "o'neil_1@x-y.ac.uk"),
        ] {
            let found = parse_address(text).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_and_injection_are_no_address() {
        let long = format!("{}@example.edu", "a".repeat(65));
        let longer = format!("me@{}example.edu", "a.".repeat(122));
        let endless = format!("me@{}.edu", "a".repeat(64));
        for bad in [
            "",
            "@",
            "me",
            "me@",
            "@example.edu",
            "me@edu",
            "me@example..edu",
            "me@example.edu.",
            "me@.example.edu",
            "me@-example.edu",
            "me@example_1.edu",
            "me@[192.0.2.1]",
            "me@192.0.2.1\0",
            "me@@example.edu",
            "you@example.edu,me@example.edu",
            "me myself@example.edu",
            "\"me myself\"@example.edu",
            "<me@example.edu>",
            "Me <me@example.edu>",
            "me(comment)@example.edu",
            ".me@example.edu",
            "me.@example.edu",
            "m..e@example.edu",
            "me\r\nBcc: you@example.edu",
            "me@example.edu\r\nBcc: you@example.edu",
            "me@example.edu\r\nDATA\r\n.",
            "me\n@example.edu",
            "me\0@example.edu",
            "mé@example.edu",
            "me@exámple.edu",
            "me@example.edu\u{202e}",
            long.as_str(),
            longer.as_str(),
            endless.as_str(),
        ] {
            assert_eq!(parse_address(bad), None, "{bad:?}");
        }
    }
}
