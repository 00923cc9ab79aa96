//! Files of `/proc`, see proc(5). Pure: texts go in.

use std::time::Duration;

/// CPU time of the whole machine, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In processes and the kernel, interrupts aside: those are mostly the network's, and so our own.
    pub busy: u64,
    /// Taken by the hypervisor.
    pub stolen: u64,
}

/// `/proc/stat`.
#[must_use]
pub fn parse_stat(text: &str) -> Option<CpuTimes> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut ticks = all.split_whitespace().map(str::parse);
    let mut next = || ticks.next()?.ok();
    let (user, nice, system): (u64, u64, u64) = (next()?, next()?, next()?);
    let (_idle, _iowait, _irq, _softirq) = (next()?, next()?, next()?, next()?);
    // Kernels before 2.6.11 don't tell.
    let stolen = next().unwrap_or(0);
    Some(CpuTimes { busy: user + nice + system, stolen })
}

/// `/proc/PID/stat`, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its name, at most 15 characters.
    pub name: String,
    /// Its parent.
    pub parent: u32,
    /// CPU time, in ticks.
    pub ticks: u64,
    /// When it was started, in ticks since boot: with the id, this names a process for ever.
    pub started: u64,
}

/// `/proc/PID/stat`.
#[must_use]
pub fn parse_process_stat(text: &str) -> Option<ProcessStat> {
    // The name is in parentheses, and may hold some itself.
    let (start, end) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<_> = text.get(end + 1..)?.split_whitespace().collect();
    // The first of these is the third field of the line.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        name: text.get(start + 1..end)?.to_owned(),
        parent: u32::try_from(field(4)?).ok()?,
        ticks: field(14)? + field(15)?,
        started: field(22)?,
    })
}

/// What a process has in memory, of `/proc/PID/status`, in kB.
#[must_use]
pub fn parse_resident(text: &str) -> Option<u64> {
    kilobytes(field(text, "VmRSS")?)
}

/// A line `name: value`.
pub(super) fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

pub(super) fn kilobytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.trim().parse().ok()
}

/// So many ticks as time.
pub(super) fn ticks(count: u64) -> Duration {
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs(count / a_second) + Duration::from_nanos(count % a_second * 1_000_000_000 / a_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_times_leave_out_idling_and_interrupts() {
        let text = "cpu  10 2 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
        assert_eq!(parse_stat(text), Some(CpuTimes { busy: 42, stolen: 8 }));
        assert_eq!(parse_stat("intr 5"), None);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 3 4 20 0 1 0 987 1000 50 18446744073709551615\n";
        let stat = parse_process_stat(text).expect("a stat");
        let expected = ProcessStat { name: "a) b (c".to_owned(), parent: 7, ticks: 33, started: 987 };
        assert_eq!(stat, expected);
        assert_eq!(parse_process_stat("42 (sh) S 7"), None);
    }

    #[test]
    fn memory_is_told_in_kilobytes() {
        let text = "Name:\tstroll\nVmHWM:\t   20000 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(parse_resident(text), Some(12_345));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn the_real_files_can_be_read() {
        let read = |path: &str| std::fs::read_to_string(path).expect("procfs");
        assert!(parse_stat(&read("/proc/stat")).is_some());
        assert!(parse_process_stat(&read("/proc/self/stat")).is_some());
        assert!(parse_resident(&read("/proc/self/status")).is_some_and(|resident| resident > 100));
    }
}
