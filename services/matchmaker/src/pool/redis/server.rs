//! Whether a Redis server can be relied on, from what its INFO tells.

use sha2::{Digest as _, Sha256};

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

/// Refuses a server that is only a part of something.
pub(super) fn check_alone(info: &str) -> Result<(), String> {
    if field(info, "cluster_enabled") == Some("1") {
        return Err("this Redis is of a cluster: its URL begins with `redis+cluster://`".to_owned());
    }
    Ok(())
}

/// Names the processes of some servers, as far as they tell: a short name is enough to tell two apart. Of several the name is
/// made of all, in whatever order they come.
pub(super) fn runs(infos: &[String]) -> Option<String> {
    let mut ids: Vec<_> = infos.iter().filter_map(|info| field(info, "run_id")).collect();
    ids.sort_unstable();
    let name = match ids[..] {
        [] => return None,
        [id] => id.to_owned(),
        _ => Sha256::digest(ids.join(" ")).iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Some(name.get(..16).map(str::to_owned).unwrap_or(name))
}

fn field<'info>(info: &'info str, name: &str) -> Option<&'info str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(ids: &[&str]) -> Option<String> {
        let infos = ids.iter().map(|id| format!("redis_version:7.0.15\r\nrun_id:{id}\r\n"));
        runs(&infos.collect::<Vec<_>>())
    }

    #[test]
    fn a_run_has_a_short_name_where_the_server_tells_it() {
        let info = "redis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n";
        assert_eq!(runs(&[info.to_owned()]).as_deref(), Some("0123456789abcdef"));
        assert_eq!(runs_of(&["short"]).as_deref(), Some("short"));
        assert_eq!(runs(&["redis_version:7.0.15\r\n".to_owned()]), None);
    }

    #[test]
    fn several_runs_have_one_name_in_any_order_and_another_when_one_is_another() {
        let name = runs_of(&["one", "two", "three"]).expect("a name");
        assert_eq!(name.len(), 16);
        assert_eq!(runs_of(&["three", "one", "two"]).as_ref(), Some(&name));
        for others in [&["one", "two", "four"][..], &["one", "two"], &["one", "two", "three", "four"]] {
            assert_ne!(runs_of(others).as_ref(), Some(&name), "{others:?}");
        }
    }

    #[test]
    fn a_server_of_a_cluster_is_refused_where_one_alone_is_named() {
        assert!(check_alone("# Cluster\r\ncluster_enabled:1\r\n").is_err());
        assert_eq!(check_alone("# Cluster\r\ncluster_enabled:0\r\n"), Ok(()));
        assert_eq!(check_alone(""), Ok(()));
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
