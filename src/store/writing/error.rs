//! Why a write failed: by something that passes and has lost nothing, or for good.

use std::io;

use bytesize::ByteSize;
use rustix::io::Errno;

use crate::store::disk::Room;

/// Why something was not written.
#[derive(Debug)]
pub(in crate::store) enum WriteError {
    /// Nothing is lost: the same can be written once this has passed.
    Passing(PassingFault),
    /// What stands on the disk is not known any more.
    Lasting(io::Error),
}

/// What keeps the store from writing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum PassingFault {
    /// The volume, or its table of files, is full.
    Full,
    /// The quota is used up.
    Quota,
    /// This process has as many files open as it may.
    ProcessFiles,
    /// The system has.
    SystemFiles,
    /// The volume has less free than is to stay free.
    LowRoom { free: u64, kept: u64 },
}

impl WriteError {
    /// A write, a truncation or a creation that failed.
    pub(in crate::store) fn of_change(error: io::Error) -> Self {
        PassingFault::of(&error).map_or(Self::Lasting(error), Self::Passing)
    }

    /// A directory that could not be synced: it is opened for that.
    pub(in crate::store) fn of_directory(error: io::Error) -> Self {
        match PassingFault::of(&error) {
            Some(fault @ (PassingFault::ProcessFiles | PassingFault::SystemFiles)) => {
                Self::Passing(fault)
            }
            _ => Self::Lasting(error),
        }
    }
}

impl PassingFault {
    /// The fault that passes; `None` where the error may have cost something.
    pub(in crate::store) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::NOSPC => Some(Self::Full),
            Errno::DQUOT => Some(Self::Quota),
            Errno::MFILE => Some(Self::ProcessFiles),
            Errno::NFILE => Some(Self::SystemFiles),
            _ => None,
        }
    }

    /// What is told of it, where the volume has `room`.
    pub(in crate::store) fn reason(self, room: Option<Room>) -> String {
        match (self, room) {
            (Self::Full, Some(Room { free_files: 0, .. })) => {
                "the disk is full: it has no inode for another file".into()
            }
            (Self::Full, Some(room)) => {
                format!("the disk is full: {} are free", ByteSize(room.free_bytes))
            }
            (Self::Full, None) => "the disk is full".into(),
            (Self::Quota, _) => "the disk quota is used up".into(),
            (Self::ProcessFiles, _) => {
                "no file can be opened: this process has as many open as ulimit -n allows".into()
            }
            (Self::SystemFiles, _) => {
                "no file can be opened: the system has as many open as it allows".into()
            }
            (Self::LowRoom { free, kept }, _) => format!(
                "the disk is almost full: {} are free, min-free-bytes is {}",
                ByteSize(free),
                ByteSize(kept)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_lose_nothing_pass() {
        let os = io::Error::from_raw_os_error;
        for (errno, expected) in [
            (Errno::NOSPC, Some(PassingFault::Full)),
            (Errno::DQUOT, Some(PassingFault::Quota)),
            (Errno::MFILE, Some(PassingFault::ProcessFiles)),
            (Errno::NFILE, Some(PassingFault::SystemFiles)),
            (Errno::IO, None),
            (Errno::ROFS, None),
        ] {
            assert_eq!(PassingFault::of(&os(errno.raw_os_error())), expected, "{errno}");
        }
        assert_eq!(PassingFault::of(&io::Error::other("no number")), None);
    }

    #[test]
    fn a_failed_sync_of_a_directory_passes_only_where_it_could_not_be_opened() {
        let error = |errno: Errno| {
            WriteError::of_directory(io::Error::from_raw_os_error(errno.raw_os_error()))
        };
        assert!(matches!(error(Errno::MFILE), WriteError::Passing(PassingFault::ProcessFiles)));
        assert!(matches!(error(Errno::NOSPC), WriteError::Lasting(_)));
    }

    #[test]
    fn the_reason_names_what_is_missing() {
        let room = |free_bytes, free_files| Room { free_bytes, free_files, total_bytes: 1 << 30 };
        let full = |room| PassingFault::Full.reason(room);
        assert_eq!(full(Some(room(12 << 10, 9))), "the disk is full: 12.0 KiB are free");
        let no_inode = full(Some(room(12 << 20, 0)));
        assert_eq!(no_inode, "the disk is full: it has no inode for another file");
        let low = PassingFault::LowRoom { free: 1 << 20, kept: 2 << 20 };
        assert_eq!(
            low.reason(None),
            "the disk is almost full: 1.0 MiB are free, min-free-bytes is 2.0 MiB"
        );
    }
}
