//! Follows what clients send, by `MONITOR`. Redis names there who sent a command, and of one that a script called it says so.
//!
//! A mark is a command of the counter's own, which comes back among all others: what was seen until then belongs to before it.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use anyhow::Context as _;
use redis::{Connection, Value, cmd};

use super::{ANSWER, Commands};

/// A thread that counts.
#[derive(Debug)]
pub(super) struct Monitor {
    mark: String,
    seen: Receiver<Commands>,
}

impl Monitor {
    /// Begins to count. It ends with the connection.
    pub(super) fn start(mut connection: Connection) -> anyhow::Result<Self> {
        let monitoring = "following Redis' commands";
        connection.send_packed_command(&cmd("MONITOR").get_packed_command()).context(monitoring)?;
        connection.recv_response().context(monitoring)?;
        let mark = format!("stroll-load {}", std::process::id());
        let (sender, seen) = channel();
        let mut counted = Counted::new(&mark);
        thread::spawn(move || counted.follow(connection, &sender));
        Ok(Self { mark, seen })
    }

    /// The argument of an ECHO that is a mark.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// What had been sent when the last mark was, which must have been sent.
    pub(super) fn seen(&self) -> anyhow::Result<Commands> {
        self.seen.recv_timeout(ANSWER).context("Redis does not tell its commands any more")
    }
}

#[derive(Debug)]
struct Counted {
    mark: String,
    /// Who sends the marks.
    ours: Option<String>,
    commands: Commands,
}

impl Counted {
    fn new(mark: &str) -> Self {
        Self { mark: format!("\"{mark}\""), ours: None, commands: Commands::new() }
    }

    fn follow(&mut self, mut connection: Connection, seen: &Sender<Commands>) {
        while let Ok(answer) = connection.recv_response() {
            let Value::SimpleString(line) = answer else { continue };
            if self.count(&line) && seen.send(self.commands.clone()).is_err() {
                return;
            }
        }
    }

    /// Counts a line. Returns whether it was a mark.
    fn count(&mut self, line: &str) -> bool {
        let Some((source, name, arguments)) = parse(line) else { return false };
        let name = name.to_ascii_lowercase();
        if name == "echo" && arguments.trim() == self.mark {
            self.ours = Some(source.to_owned());
            return true;
        }
        if !source.ends_with(" lua") && self.ours.as_deref() != Some(source) {
            *self.commands.entry(name).or_default() += 1;
        }
        false
    }
}

/// Database and sender, command, and its arguments: `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`.
fn parse(line: &str) -> Option<(&str, &str, &str)> {
    let (_time, rest) = line.split_once(" [")?;
    // An IPv6 address has brackets itself.
    let (source, rest) = rest.split_once("] \"")?;
    let (name, arguments) = rest.split_once('"')?;
    Some((source, name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_call_and_what_is_ours_does_not_count() {
        let mut counted = Counted::new("stroll-load 7");
        let lines = [
            (r#"1.5 [0 [::1]:50] "EVALSHA" "abc" "1" "key ] \" lua""#, false),
            (r#"1.5 [0 lua] "XADD" "key" "*" "a" "b""#, false),
            (r#"1.6 [0 [::1]:60] "echo" "stroll-load 7""#, true),
            (r#"1.6 [0 [::1]:60] "INFO" "memory""#, false),
            (r#"1.7 [0 [::1]:50] "info" "memory""#, false),
            (r#"1.8 [0 unix:/run/redis] "xread" "BLOCK""#, false),
            (r#"1.9 [0 [::1]:60] "echo" "stroll-load 7""#, true),
            (r#"1.9 [0 [::1]:50] "echo" "stroll-load 8""#, false),
            ("nonsense", false),
        ];
        for (line, is_mark) in lines {
            assert_eq!(counted.count(line), is_mark, "{line}");
        }
        let expected = ["evalsha", "info", "xread", "echo"].map(|name| (name.to_owned(), 1));
        assert_eq!(counted.commands, Commands::from(expected));
    }
}
