//! Processes that are watched: their memory and CPU time.

use std::{str::FromStr, time::Duration};

use super::procfs;

/// A process to watch: its id, and what it is called in reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').unwrap_or(("", text));
        let pid = pid.parse().map_err(|_| format!("expected `PID` or `name=PID`, got `{text}`"))?;
        let own = name_of(pid).ok_or_else(|| format!("there is no process {pid}"))?;
        Ok(Self { name: if name.is_empty() { own } else { name.to_owned() }, pid })
    }
}

fn name_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(procfs::parse_process_stat(&stat)?.name)
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that it has now (RSS), in kB.
    pub resident_kb: u64,
    /// CPU time since its start.
    pub cpu: Duration,
}

/// The processes that are watched.
#[derive(Clone, Debug, Default)]
pub struct Watch(pub Vec<Watched>);

impl Watch {
    /// What each has used so far; nothing of one that has ended.
    #[must_use]
    pub fn usage(&self) -> Vec<Option<Usage>> {
        self.0.iter().map(|watched| usage(watched.pid)).collect()
    }
}

/// What a process has used so far, if it is there.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let stat = procfs::parse_process_stat(&read("stat")?)?;
    let resident_kb = procfs::parse_resident(&read("status")?)?;
    Some(Usage { resident_kb, cpu: procfs::ticks(stat.ticks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_or_has_its_own_name() {
        let me = std::process::id();
        let named = Watched { name: "gateway 1".to_owned(), pid: me };
        assert_eq!(format!("gateway 1={me}").parse(), Ok(named));
        assert!(me.to_string().parse::<Watched>().is_ok_and(|watched| !watched.name.is_empty()));
        assert!("gateway=x".parse::<Watched>().is_err());
        assert!("999999999".parse::<Watched>().is_err());
    }

    #[test]
    fn what_a_process_uses_is_told_and_of_no_process_nothing() {
        let me = Watched { name: "me".to_owned(), pid: std::process::id() };
        let gone = Watched { name: "gone".to_owned(), pid: 999_999_999 };
        let usage = Watch(vec![me, gone]).usage();
        assert!(usage[0].is_some_and(|usage| usage.resident_kb > 0));
        assert_eq!(usage[1], None);
    }
}
