//! Tools for a data directory without a server: look at it, copy it, bring a copy back, copy what is sound.
//!
//! They only read the directory that they are given, and a server may have it open meanwhile. What they
//! make is a new directory; the file that names it (META, or BACKUP in a backup) is written last, so
//! that one that was not finished is taken for nothing else.

mod backup;
mod error;
mod inspect;
mod manifest;
mod repair;
mod restore;
mod scan;
mod source;
mod target;

pub use backup::{BackupReport, backup};
pub use error::OfflineError;
pub use inspect::{Inspection, inspect};
pub use repair::{RepairReport, repair};
pub use restore::{RestoreReport, restore};
pub use scan::{Damage, SegmentReport, TaskReport};
