//! What the figures were taken on.

use std::env::consts;
use std::fs;
use std::process::Command;

use crate::cores;

/// One line each: processor, cores, system, compiler.
pub(crate) fn describe() -> String {
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-V").output();
    let rustc = rustc.map_or("unknown".into(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "processor  {}\ncores      {}\nsystem     {} {} {}\ncompiler   {rustc}\n{}",
        processor().unwrap_or("unknown".into()),
        cores::all().len(),
        consts::OS,
        consts::ARCH,
        kernel.trim(),
        if cores::can_be_pinned() {
            ""
        } else {
            "remark     threads cannot be tied to cores here: mistrust all that is contended\n"
        },
    )
}

fn processor() -> Option<String> {
    let known = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let line = known.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // Virtual machines often hide the name; family and model tell.
    Some(format!("{} (family {}, model {})", field("model name")?, field("cpu family")?, field("model\t")?))
}
