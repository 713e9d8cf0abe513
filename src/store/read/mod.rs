//! Reading back: looks a place up in the catalog or the task index, then reads files without holding
//! either.

mod collected;
mod hidden;
mod index_cache;
mod locate;
mod open_files;
mod reader;
mod scan;
mod segment_files;
mod spans;
mod tasks;

pub(super) use hidden::deleted_gap;
pub(super) use open_files::OpenFiles;
pub(super) use reader::Reader;
pub(super) use tasks::TaskReader;
