//! Reading back: looks a place up in the catalog, then reads files without holding it.

mod index_cache;
mod locate;
mod open_files;
mod reader;

pub(super) use open_files::OpenFiles;
pub(super) use reader::Reader;
