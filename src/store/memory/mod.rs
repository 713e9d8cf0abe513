//! A store without files: the newest blocks are all that it can read back.
//!
//! The blocks are those that the hub has too, shared, so with a budget no larger than the hub's they
//! take next to nothing. What has left is a gap with the reason `memory`.

mod blocks;
mod reader;

pub(super) use blocks::MemoryBlocks;
pub(super) use reader::MemoryReader;
