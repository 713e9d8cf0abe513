//! What stands on the disk: plain records and their bytes.
//!
//! Everything here encodes, decodes or scans. It knows no catalog, no commit and no reader; it
//! imports nothing from its siblings in `store`.

mod bytes;
mod checksum;
mod chunk;
mod compress;
mod control;
mod facts;
mod footer;
mod index;
mod reseed;
mod scan_buffer;
mod segment;
mod units;

pub(super) use checksum::ChecksumSeed;
pub(super) use chunk::{
    Chunk, ChunkHeader, FoundChunk, decode_block, decode_header, decode_payload, decode_task,
    encode_chunk, was_control_chunk,
};
pub(super) use compress::Compressor;
pub(super) use control::{Cursors, Trim, decode_trims, encode_trims};
pub(super) use facts::{TaskFacts, WorkerFacts};
pub(super) use footer::{
    FooterBuilder, FooterTasks, LastCommit, NotifiedState, SealedSegment, TRAILER_BYTES,
    TaskRecord, Tombstone, Trailer, WorkerRecord, read_footer_part, read_trailer,
};
pub(super) use index::{ChunkRef, IndexAt, decode_index, encode_index, first_position};
pub(super) use reseed::{reseed_chunk, reseed_trailer};
pub(super) use scan_buffer::{ScanBuffer, ScanItem};
pub(super) use segment::{
    FIRST_CHUNK, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, base_in_name, segment_path,
};
pub(super) use units::{FilePosition, Millis};
