//! The machine: what it is, what processes cost, and who else uses it.

mod procfs;
mod quiet;
mod watch;

pub use self::{
    procfs::{CpuTimes, ProcessStat, parse_process_stat, parse_resident, parse_stat},
    quiet::{Foreign, Offender, Quiet},
    watch::{Usage, Watch, Watched, usage},
};

use serde::{Deserialize, Serialize};

/// What the machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The CPU's name.
    pub cpu: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, in kB.
    pub memory_kb: u64,
}

impl Machine {
    /// This one. What can't be read is empty.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: procfs::field(&read("/proc/cpuinfo"), "model name").unwrap_or_default().to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_kb: procfs::field(&read("/proc/meminfo"), "MemTotal")
                .and_then(procfs::kilobytes)
                .unwrap_or(0),
        }
    }
}

/// Lets this process have as many sockets as it may. Returns how many that are.
#[must_use]
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // It is below what is allowed, so this can hardly fail; if it does, what there was remains.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
