//! Whether a Redis server can be relied on, from what its INFO tells.

/// The least version, because of the commands that are used.
const LEAST_MAJOR: u32 = 7;

/// Refuses a server that would drop keys when its memory is full, or that is too old. What the server doesn't tell is not
/// held against it: some that are run for others hide it.
pub(super) fn check(info: &str) -> Result<(), String> {
    if let Some(policy) = field(info, "maxmemory_policy").filter(|policy| *policy != "noeviction") {
        return Err(format!(
            "Redis drops keys when its memory is full (maxmemory-policy {policy}), and with them people who wait; \
             set it to noeviction"
        ));
    }
    let version = field(info, "redis_version");
    let major = version.and_then(|version| version.split('.').next()).and_then(|major| major.parse().ok());
    match (version, major) {
        (Some(version), Some(major)) if LEAST_MAJOR > major => {
            Err(format!("Redis has version {version}; it has to be 7.0 or later, or Valkey"))
        }
        _ => Ok(()),
    }
}

/// Names the server's process, as far as it tells: a short name is enough to tell two apart.
pub(super) fn run(info: &str) -> Option<&str> {
    let id = field(info, "run_id")?;
    Some(id.get(..16).unwrap_or(id))
}

fn field<'info>(info: &'info str, name: &str) -> Option<&'info str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_short_name_where_the_server_tells_it() {
        let info = "redis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n";
        assert_eq!(run(info), Some("0123456789abcdef"));
        assert_eq!(run("run_id:short\r\n"), Some("short"));
        assert_eq!(run("redis_version:7.0.15\r\n"), None);
    }

    #[test]
    fn evicting_and_old_servers_are_refused_and_silent_ones_are_not() {
        let table = [
            ("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\n", None),
            ("# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n", None),
            ("", None),
            ("redis_version:x\r\n", None),
            ("redis_version:6.2.1\r\nmaxmemory_policy:noeviction\r\n", Some("7.0 or later")),
            ("maxmemory_policy:allkeys-lru\r\n", Some("noeviction")),
            ("maxmemory_policy:volatile-ttl\r\n", Some("noeviction")),
        ];
        for (info, expected) in table {
            let said = check(info).err();
            let matches = match (&said, expected) {
                (Some(said), Some(expected)) => said.contains(expected),
                (said, expected) => said.is_none() && expected.is_none(),
            };
            assert!(matches, "{info}: {said:?}");
        }
    }
}
