//! The file that commits are appended to.

use std::io;
use std::sync::Arc;

use crate::domain::{Epoch, Offset};
use crate::store::disk::DiskFile;
use crate::store::format::{
    ChecksumSeed, FIRST_CHUNK, FilePosition, Millis, SegmentHeader, VERSION, segment_path,
};
use crate::store::options::StoreOptions;
use crate::store::writing::WriteError;

/// The active segment's file.
#[derive(Debug)]
pub(in crate::store) enum ActiveFile {
    Open(ActiveSegment),
    /// It is to be made before the first commit: the one before was just sealed, or there was no
    /// room for it when the store was opened.
    Missing {
        base: Offset,
    },
}

/// The segment that commits are appended to.
#[derive(Debug)]
pub(in crate::store) struct ActiveSegment {
    pub(in crate::store) file: Arc<dyn DiskFile>,
    pub(in crate::store) base: Offset,
    pub(in crate::store) seed: ChecksumSeed,
    /// Where the next bytes go.
    pub(in crate::store) position: FilePosition,
    pub(in crate::store) created: Millis,
    pub(in crate::store) chunks: usize,
    pub(in crate::store) last_time: Millis,
    /// Whether bytes of an unfinished write may stand behind `position`.
    pub(in crate::store) is_torn: bool,
}

impl ActiveSegment {
    /// Makes the segment's file and its durable header.
    ///
    /// # Errors
    /// As the file system reports them.
    pub(in crate::store) fn create(
        options: &StoreOptions,
        epoch: Epoch,
        base: Offset,
        first_commit: u64,
    ) -> Result<Self, WriteError> {
        let StoreOptions { disk, dir, clock, .. } = options;
        let file = disk.create(&segment_path(dir, base)).map_err(WriteError::of_change)?;
        let created = clock.now();
        let header = SegmentHeader { version: VERSION, epoch, base, first_commit, created };
        file.write(&header.encode(), 0).map_err(WriteError::of_change)?;
        file.sync().map_err(WriteError::Lasting)?;
        disk.sync_directory(dir).map_err(WriteError::of_directory)?;
        let seed = ChecksumSeed::new(epoch, base);
        Ok(Self {
            file,
            base,
            seed,
            position: FIRST_CHUNK,
            created,
            chunks: 0,
            last_time: created,
            is_torn: false,
        })
    }

    /// Writes `bytes`, which have so many chunks, at the end. After a passing error the segment ends
    /// where it ended before.
    pub(super) fn append(&mut self, bytes: &[u8], chunks: usize) -> Result<(), WriteError> {
        self.roll_back()?;
        if let Err(error) = self.file.write(bytes, self.position.0) {
            let error = WriteError::of_change(error);
            self.is_torn = true;
            if matches!(error, WriteError::Passing(_)) {
                self.roll_back()?;
            }
            return Err(error);
        }
        self.position = self.position + bytes.len();
        self.chunks += chunks;
        Ok(())
    }

    /// A failed sync never passes: the system may have dropped what it could not write.
    pub(super) fn sync(&self) -> Result<(), WriteError> {
        self.file.sync().map_err(WriteError::Lasting)
    }

    /// Removes what an unfinished write has left.
    fn roll_back(&mut self) -> Result<(), WriteError> {
        if !self.is_torn {
            return Ok(());
        }
        let end = self.position.0;
        self.file.truncate(end).map_err(WriteError::of_change)?;
        let bytes = self.file.state().map_err(WriteError::of_change)?.bytes;
        if bytes != end {
            let what = format!("the segment was truncated to {end} bytes and has {bytes}");
            return Err(WriteError::Lasting(io::Error::other(what)));
        }
        self.is_torn = false;
        Ok(())
    }
}
