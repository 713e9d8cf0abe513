//! Reading back: locates chunks in the catalog, then reads them from the files.

mod index_cache;
mod locate;
mod open_files;
mod reader;

pub(super) use open_files::OpenFiles;
pub(super) use reader::Reader;
