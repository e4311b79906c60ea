//! A directory of blobs in which no name leads out of it.
//!
//! Both sides write into the vault's directory, and one of them may have been broken into: a symbolic link, a pipe or a
//! device in a blob's place must not make the other read, overwrite or delete a file elsewhere, or wait for ever. So each
//! step of a key is opened from the directory before it, links are followed nowhere, and only plain files are read.
//!
//! Durability: content is synced, then renamed into its place, then the directory is synced.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, mkdirat, open, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::clock::Time;
use crate::id::random;

/// Steps of a key: folder, message, part.
const DEEPEST: usize = 3;
/// What is being written has such a name until it is whole.
const STAGED: &str = "staged-";
/// Of files in one search: more are found the next time.
const MOST_AT_ONCE: usize = 1_000;

/// An open directory; what is renamed over its path later doesn't matter.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

/// One file of a folder.
pub(super) struct Found {
    pub key: String,
    /// When it was last written.
    pub written: Time,
}

impl Directory {
    /// Makes it if it is missing. A symbolic link in its place is refused.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self(open(path, directory(), Mode::empty())?))
    }

    /// Replaces what has this key.
    pub(super) fn write(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let mut staged = self.stage(key)?;
        staged.write_all(content)?;
        staged.commit().map(|_| ())
    }

    /// Begins to write what will have this key.
    pub(super) fn stage(&self, key: &str) -> io::Result<Staged> {
        let (folders, name) = steps(key)?;
        let parent = self.walk(&folders, Missing::Make)?;
        let staged = format!("{STAGED}{}", HEXLOWER.encode(&random::<16>().map_err(io::Error::other)?));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&parent, staged.as_str(), flags, Mode::RUSR | Mode::WUSR)?);
        Ok(Staged { parent, file, staged, name: name.to_owned(), size: 0, stays: false })
    }

    /// A file without a name, to be written and read: it is gone when it is closed.
    pub(super) fn scratch(&self, folder: &str) -> io::Result<File> {
        let parent = self.walk(&[folder], Missing::Make)?;
        // Where it can't be taken out again, or the process ends just now, it is an unfinished blob as others.
        let staged = format!("{STAGED}{}", HEXLOWER.encode(&random::<16>().map_err(io::Error::other)?));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&parent, staged.as_str(), flags, Mode::RUSR | Mode::WUSR)?);
        unlinkat(&parent, staged.as_str(), AtFlags::empty())?;
        Ok(file)
    }

    /// A plain file, and its size in bytes; `None` where there is none.
    pub(super) fn open_file(&self, key: &str) -> io::Result<Option<(File, u64)>> {
        let (folders, name) = steps(key)?;
        // Not blocking: opening a pipe would wait for somebody to write.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = self.walk(&folders, Missing::Leave).and_then(|parent| openat(&parent, name, flags, Mode::empty()));
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if is_elsewhere(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then_some((file, metadata.len())))
    }

    /// `None` where there is no plain file of at most `most` bytes.
    pub(super) fn read(&self, key: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some((file, size)) = self.open_file(key)? else { return Ok(None) };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > most {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(size);
        // It may grow while it is read.
        file.take(u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut content)?;
        Ok((content.len() <= most).then_some(content))
    }

    /// One that is gone already is fine. Folders that became empty go too.
    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        let (folders, name) = steps(key)?;
        match self.walk(&folders, Missing::Leave).and_then(|parent| unlinkat(&parent, name, AtFlags::empty())) {
            Ok(()) => {}
            Err(error) if is_elsewhere(error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // The folder of a message; the one that all have in common stays.
        if let [common, own] = folders.as_slice() {
            let _ = self.walk(&[common], Missing::Leave).and_then(|common| unlinkat(&common, *own, AtFlags::REMOVEDIR));
        }
        Ok(())
    }

    /// The files that lie in a folder itself.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        self.look_into(&[folder], |name, stat| {
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                found.push(Found { key: format!("{folder}/{name}"), written: stat.st_mtime });
            }
        })?;
        Ok(found)
    }

    /// The whole files of a message's folder, whose name ends with a slash.
    pub(super) fn within(&self, folder: &str) -> io::Result<Vec<String>> {
        let inside = format!("{folder}x");
        let (folders, _) = steps(&inside)?;
        let mut found = Vec::new();
        self.look_into(&folders, |name, stat| {
            let is_whole = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && !name.starts_with(STAGED);
            if is_whole && is_step(name) && found.len() < MOST_AT_ONCE {
                found.push(format!("{folder}{name}"));
            }
        })?;
        Ok(found)
    }

    /// Files of the folders in this one whose writing began before `moment` and never ended; not all at once, if they are many.
    pub(super) fn unfinished(&self, folder: &str, moment: Time) -> io::Result<Vec<String>> {
        let mut messages = Vec::new();
        self.look_into(&[folder], |name, stat| {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && is_step(name) {
                messages.push(name.to_owned());
            }
        })?;
        let mut found = Vec::new();
        for message in messages {
            self.look_into(&[folder, &message], |name, stat| {
                let unfinished = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                    && name.starts_with(STAGED)
                    && is_step(name);
                if unfinished && stat.st_mtime < moment && found.len() < MOST_AT_ONCE {
                    found.push(format!("{folder}/{message}/{name}"));
                }
            })?;
        }
        Ok(found)
    }

    /// Shows each entry of a folder but those that aren't named in UTF-8 or are gone again.
    fn look_into(&self, folders: &[&str], mut see: impl FnMut(&str, &rustix::fs::Stat)) -> io::Result<()> {
        let opened = match self.walk(folders, Missing::Leave) {
            Ok(opened) => opened,
            Err(error) if is_elsewhere(error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in rustix::fs::Dir::read_from(&opened)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let Ok(stat) = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            see(name, &stat);
        }
        Ok(())
    }

    fn walk(&self, folders: &[&str], missing: Missing) -> Result<OwnedFd, Errno> {
        let mut at = openat(&self.0, ".", directory(), Mode::empty())?;
        for folder in folders {
            at = match openat(&at, *folder, directory(), Mode::empty()) {
                Err(Errno::NOENT) if missing == Missing::Make => {
                    match mkdirat(&at, *folder, Mode::RWXU) {
                        Ok(()) | Err(Errno::EXIST) => rustix::fs::fsync(&at)?,
                        Err(error) => return Err(error),
                    }
                    openat(&at, *folder, directory(), Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok(at)
    }
}

/// A blob that is being written. It has its key when it is committed; what is dropped before is gone.
#[derive(Debug)]
pub struct Staged {
    parent: OwnedFd,
    file: File,
    staged: String,
    name: String,
    size: u64,
    stays: bool,
}

impl Staged {
    /// Replaces what has this key; durable when this returns. The size in bytes. Blocks.
    pub fn commit(mut self) -> io::Result<u64> {
        self.file.sync_all()?;
        renameat(&self.parent, self.staged.as_str(), &self.parent, self.name.as_str())?;
        self.stays = true;
        rustix::fs::fsync(&self.parent)?;
        Ok(self.size)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size = self.size.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.stays {
            let _ = unlinkat(&self.parent, self.staged.as_str(), AtFlags::empty());
        }
    }
}

/// What to do about folders that aren't there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Leave,
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Nothing is there, or a link, or a file where a folder should be: not ours in any case.
fn is_elsewhere(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO)
}

/// A key's folders and its name. Keys are made of ids and numbers.
fn steps(key: &str) -> io::Result<(Vec<&str>, &str)> {
    let mut steps: Vec<&str> = key.split('/').collect();
    match steps.pop() {
        Some(name) if steps.len() < DEEPEST && steps.iter().chain([&name]).all(|step| is_step(step)) => {
            Ok((steps, name))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a blob's key")),
    }
}

fn is_step(step: &str) -> bool {
    !step.is_empty() && step.len() <= 64 && step.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn written_read_replaced_deleted() {
        let outside = tempfile::tempdir().unwrap();
        let directory = Directory::open(&outside.path().join("a/blobs")).unwrap();
        assert_eq!(directory.read("content/1/0", 10).unwrap(), None);
        directory.write("content/1/0", b"first").unwrap();
        directory.write("content/1/0", b"second").unwrap();
        directory.write("flat", b"x").unwrap();
        assert_eq!(directory.read("content/1/0", 6).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(directory.read("content/1/0", 5).unwrap(), None, "too large");
        assert_eq!(directory.read("content/1", 9).unwrap(), None, "a folder");
        let listed: Vec<String> = directory.list("content").unwrap().into_iter().map(|found| found.key).collect();
        assert!(listed.is_empty(), "{listed:?}");
        directory.write("content/2", b"x").unwrap();
        assert_eq!(directory.list("content").unwrap().first().unwrap().key, "content/2");
        assert!(directory.list("nothing").unwrap().is_empty());
        directory.write("content/1/2-0", b"x").unwrap();
        directory.write("content/1/staged-0", b"x").unwrap();
        symlink(outside.path(), outside.path().join("a/blobs/content/1/link")).unwrap();
        let mut within = directory.within("content/1/").unwrap();
        within.sort_unstable();
        assert_eq!(within, ["content/1/0", "content/1/2-0"], "what is whole, and no links");
        assert!(directory.within("content/3/").unwrap().is_empty());
        assert!(directory.within("content/../").is_err());
        for gone in ["link", "staged-0"] {
            std::fs::remove_file(outside.path().join("a/blobs/content/1").join(gone)).unwrap();
        }
        directory.delete("content/1/2-0").unwrap();
        directory.delete("content/1/0").unwrap();
        directory.delete("content/1/0").unwrap();
        assert!(!outside.path().join("a/blobs/content/1").exists());
    }

    #[test]
    fn what_is_written_piece_by_piece_has_its_key_at_the_end_or_is_gone() {
        let outside = tempfile::tempdir().unwrap();
        let directory = Directory::open(outside.path()).unwrap();
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(outside.path().join("spool")).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut staged = directory.stage("spool/1").unwrap();
        staged.write_all(b"one ").unwrap();
        staged.write_all(b"two").unwrap();
        assert!(names().iter().all(|name| name.starts_with(STAGED)) && names().len() == 1, "{:?}", names());
        assert!(directory.open_file("spool/1").unwrap().is_none());
        assert_eq!(staged.commit().unwrap(), 7);
        assert_eq!(names(), ["1"]);
        assert_eq!(directory.open_file("spool/1").unwrap().unwrap().1, 7);
        assert_eq!(directory.read("spool/1", 7).unwrap().as_deref(), Some(&b"one two"[..]));
        let mut given_up = directory.stage("spool/1").unwrap();
        given_up.write_all(b"three").unwrap();
        drop(given_up);
        assert_eq!(names(), ["1"]);
        assert_eq!(directory.read("spool/1", 7).unwrap().as_deref(), Some(&b"one two"[..]), "what was there stays");
        let mut scratch = directory.scratch("spool").unwrap();
        scratch.write_all(b"four").unwrap();
        assert_eq!(names(), ["1"], "has no name");
        assert!(directory.stage("../1").is_err() && directory.open_file("../1").is_err());
        assert!(directory.open_file("spool").unwrap().is_none(), "a folder");
    }

    #[test]
    fn what_was_never_written_to_its_end_is_found_when_it_is_old() {
        let outside = tempfile::tempdir().unwrap();
        let blobs = outside.path().join("blobs");
        let directory = Directory::open(&blobs).unwrap();
        let began = |name: &str, written: u64| {
            let path = blobs.join("content").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = File::create(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(written)).unwrap();
        };
        assert!(directory.unfinished("content", 1_000).unwrap().is_empty());
        for (name, written) in [
            ("1/0", 1),
            ("1/staged-a", 999),
            ("1/staged-b", 1_000),
            ("2/staged-c", 1),
            ("2/staged-.", 1),
            ("staged-d", 1),
            ("staged-e/3", 1),
        ] {
            began(name, written);
        }
        std::fs::create_dir(blobs.join("content/1/staged-f")).unwrap();
        symlink(blobs.join("content/1/0"), blobs.join("content/1/staged-g")).unwrap();
        symlink(blobs.join("content/2"), blobs.join("content/4")).unwrap();
        let mut found = directory.unfinished("content", 1_000).unwrap();
        found.sort_unstable();
        assert_eq!(found, ["content/1/staged-a", "content/2/staged-c"]);
        directory.delete("content/2/staged-c").unwrap();
        assert!(blobs.join("content/2/staged-.").exists());
    }

    #[test]
    fn keys_that_lead_elsewhere_are_none() {
        let outside = tempfile::tempdir().unwrap();
        let directory = Directory::open(&outside.path().join("blobs")).unwrap();
        for key in
            ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", ".", "a/.b", "a\0b", "a/b/c/d", "ä"]
        {
            assert!(directory.write(key, b"x").is_err(), "{key:?}");
            assert!(directory.read(key, 9).is_err(), "{key:?}");
            assert!(directory.delete(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn links_and_pipes_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let (blobs, keys) = (outside.path().join("blobs"), outside.path().join("keys"));
        let directory = Directory::open(&blobs).unwrap();
        std::fs::create_dir_all(&keys).unwrap();
        std::fs::write(keys.join("root"), b"secret").unwrap();
        std::fs::create_dir_all(blobs.join("replies/1")).unwrap();
        symlink(keys.join("root"), blobs.join("replies/1/0")).unwrap();
        symlink(&keys, blobs.join("replies/2")).unwrap();
        symlink(&keys, blobs.join("content")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, blobs.join("replies/1/1"), Mode::RUSR | Mode::WUSR).unwrap();
        for key in ["replies/1/0", "replies/2/root", "content/root", "replies/1/1"] {
            assert_eq!(directory.read(key, 100).unwrap(), None, "{key}");
        }
        directory.delete("replies/2/root").unwrap();
        directory.delete("content/root").unwrap();
        assert!(directory.write("content/1/0", b"sealed").is_err());
        assert!(directory.write("content/root", b"sealed").is_err());
        directory.write("replies/1/0", b"mine").unwrap();
        assert_eq!(std::fs::read(keys.join("root")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 1);
        assert_eq!(directory.read("replies/1/0", 100).unwrap().as_deref(), Some(&b"mine"[..]), "the link was replaced");
        assert!(Directory::open(&blobs.join("content")).is_err());
    }
}
