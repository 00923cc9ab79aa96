//! Lua scripts and calls of them. Those of the `redis` crate keep to themselves which keys they touch and which command they
//! send; a cluster has to know the first, and a slot that moves needs the second.

use redis::{Cmd, ToRedisArgs, cmd};

/// A script, which servers know by its hash once they have seen it.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// A script with its keys and arguments.
pub(super) struct Call<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// A call with its first key.
    pub(super) fn key(&self, key: impl ToRedisArgs) -> Call<'_> {
        Call { script: self, keys: key.to_redis_args(), arguments: Vec::new() }
    }
}

impl Call<'_> {
    /// One more key. It lies in the same slot as the first.
    pub(super) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    /// One more argument.
    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        argument.write_redis_args(&mut self.arguments);
        self
    }

    /// All its keys.
    pub(super) fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// Calls the script where it is known.
    pub(super) fn command(&self) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.script.hash).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }

    /// Makes the script known.
    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(self.script.code);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_its_script_its_keys_and_its_arguments() {
        let script = Script::new("return 1");
        let mut call = script.key("one");
        call.key("two").arg(3).arg(b"\x00".as_slice());
        let sent = call.command().get_packed_command();
        let hash = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        let expected = format!(
            "*7\r\n$7\r\nEVALSHA\r\n$40\r\n{hash}\r\n$1\r\n2\r\n$3\r\none\r\n$3\r\ntwo\r\n$1\r\n3\r\n$1\r\n\0\r\n"
        );
        assert_eq!(String::from_utf8(sent).expect("text"), expected);
        assert_eq!(call.keys(), [b"one", b"two"]);
    }
}
