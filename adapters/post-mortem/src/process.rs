//! Which process has written a file, and whether it still lives.

use std::fs;
use std::process;

/// A process, told apart from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The start of the machine that it ran on. `None` if the system does not tell.
    pub(crate) boot: Option<String>,
    /// When it started, in the system's own unit. `None` if the system does not tell.
    pub(crate) born: Option<u64>,
}

impl Process {
    pub(crate) fn this() -> Self {
        let pid = process::id();
        Self { pid, boot: boot(), born: born(pid) }
    }

    /// Whether it lives, as far as the system tells. Without Linux's `/proc` it never does; nor does one in another container.
    pub(crate) fn lives(&self) -> bool {
        self.boot.is_some() && self.boot == boot() && self.born.is_some() && self.born == born(self.pid)
    }

    /// Whether the machine has started anew since.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        self.boot.as_ref().zip(boot().as_ref()).is_some_and(|(its, now)| its != now)
    }
}

fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim_end().to_owned())
}

fn born(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): the second field is a name in parentheses, which may have any characters, and the start time is the
    // 22nd. The third is the state, and a zombie has been killed already.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    fields.nth(18)?.parse().ok().filter(|_| !matches!(state, "Z" | "X"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_another_has_its_number_or_the_machine_has_restarted() {
        let this = Process::this();
        assert!(this.lives());
        let earlier = Process { born: this.born.map(|it| it - 1), ..this.clone() };
        assert!(!earlier.lives());
        let before = Process { boot: Some("another".into()), ..this };
        assert!(!before.lives() && before.is_of_another_boot());
    }

    #[test]
    fn a_zombie_does_not_live() {
        let mut child = process::Command::new("sleep").arg("1000").spawn().unwrap();
        let alive = Process { pid: child.id(), boot: boot(), born: born(child.id()) };
        assert!(alive.lives());
        child.kill().unwrap();
        while alive.lives() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
