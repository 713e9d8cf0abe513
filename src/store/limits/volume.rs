//! What the volume lets the store promise: how much stays free, and that retention can be kept.

use std::path::Path;

use bytesize::ByteSize;

use crate::store::open_error::OpenError;
use crate::store::options::StoreOptions;

/// By default this part of the volume stays free …
const FREE_DIVISOR: u64 = 20;

/// … and at most so much.
const MOST_FREE_BYTES: u64 = 1024 * 1024 * 1024;

/// The same options with the bytes that are to stay free decided.
///
/// # Errors
/// When the volume is too small for what is to stay free, or for what retention is to keep.
pub(in crate::store) fn fit(options: StoreOptions) -> Result<StoreOptions, OpenError> {
    let total = total_bytes(&options);
    let by_default = || (total / FREE_DIVISOR).min(MOST_FREE_BYTES);
    let min_free = options.min_free_bytes.unwrap_or_else(by_default);
    let retention = options.retention_bytes.unwrap_or(0);
    let is_known = total > 0;
    if is_known && min_free >= total {
        return Err(OpenError::SmallVolume {
            path: options.dir,
            min_free: ByteSize(min_free),
            total: ByteSize(total),
        });
    }
    if is_known && retention > total - min_free {
        return Err(OpenError::LargeRetention {
            path: options.dir,
            retention: ByteSize(retention),
            min_free: ByteSize(min_free),
            total: ByteSize(total),
        });
    }
    Ok(StoreOptions { min_free_bytes: Some(min_free), ..options })
}

/// Bytes of the volume that the data directory is on, or will be; 0 where it does not tell.
fn total_bytes(options: &StoreOptions) -> u64 {
    let existing = options.dir.ancestors().find(|path| path.exists());
    let room = options.disk.room(existing.unwrap_or(Path::new(".")));
    room.map_or(0, |room| room.total_bytes)
}
