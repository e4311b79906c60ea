//! A small disk of a story's own: a tmpfs that can be filled, gone with the story whatever happens to it.
//!
//! Mounting takes root. A guard as for programs unmounts when the story ends, panics, or is itself killed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::process::run;

pub struct Disk {
    path: PathBuf,
    guard: Child,
    leash: Option<ChildStdin>,
}

impl Disk {
    /// Mounted over an existing directory.
    pub fn mount(path: &Path, megabytes: u32) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0755"), "sealpost-story"]).arg(path);
        run(mount);
        // Lazily: programs of a story that panicked may still have files open.
        let mut guard = Command::new("sh")
            .args(["-c", "read word; umount --lazy \"$1\"", "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let leash = guard.stdin.take();
        Self { path: path.to_owned(), guard, leash }
    }

    /// Writes a file until nothing more fits but `left` bytes.
    pub fn fill(&self, left: u64) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        let mut step = vec![0_u8; 1024 * 1024];
        while !step.is_empty() {
            match filler.write(&step) {
                Ok(written) if written == step.len() => {}
                _ => step.truncate(step.len() / 2),
            }
        }
        let size = filler.metadata().unwrap().len();
        filler.set_len(size.saturating_sub(left)).unwrap();
    }

    /// Makes room again.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.leash = None;
        let _ = self.guard.wait();
    }
}
