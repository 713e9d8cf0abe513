//! Opening: reads the footers of sealed segments and walks the last segment.
//!
//! A place in the last segment that holds no intact chunk is the torn tail of a commit that
//! nobody was stats about, and is cut. Unless a later chunk proves otherwise: commit N + 1 is
//! written only once commit N is durable, so an intact chunk of commit N + 1 or later behind a
//! damaged commit N means that kept entries were damaged, and the opening fails without
//! changing anything. Commits that were not synced prove nothing; behind the first damage they
//! are cut with a warning that says what is lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunk::{self, ChecksumSeed, Found};
use super::cursors::Cursors;
use super::directory::{CommittedChunk, Directory, Segment};
use super::disk::Disk;
use super::footer::{self, TaskRecord, Trailer};
use super::index::ChunkRef;
use super::open_error::OpenError;
use super::scan_buffer::{ScanBuffer, ScanItem};
use super::segment::{self, Active, HEADER_BYTES, Header};
use super::stats::RunStats;
use crate::domain::{Block, Epoch};

/// How much of the last segment is read at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// A store as found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) directory: Directory,
    pub(super) active: Active,
    pub(super) next_commit: u64,
}

/// Reads what is in `dir` and makes the last segment ready for appending.
///
/// # Errors
/// Damage to what was durable, and what the file system reports.
pub(super) fn recover(dir: &Path, epoch: Epoch, disk: &dyn Disk) -> Result<Recovered, OpenError> {
    let segments = segment_files(dir)?;
    let mut recovery =
        Recovery { dir, epoch, disk, directory: Directory::new(), next_commit: 1, expected: None };
    let Some((last, sealed)) = segments.split_last() else {
        return recovery.begin_segment(1);
    };
    for (base, path) in sealed {
        recovery.check_base(*base, path)?;
        if !recovery.take_sealed(*base, path)? {
            let position = file_bytes(path)?.saturating_sub(footer::TRAILER_BYTES as u64);
            return Err(OpenError::damaged(path, position, "the sealed segment has no footer"));
        }
    }
    recovery.take_last(last.0, &last.1)
}

/// The segments in `dir`, by base.
fn segment_files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(OpenError::io("list", dir))? {
        let entry = entry.map_err(OpenError::io("list", dir))?;
        let base = entry.file_name().to_str().and_then(segment::base_in_name);
        segments.extend(base.map(|base| (base, entry.path())));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn file_bytes(path: &Path) -> Result<u64, OpenError> {
    Ok(fs::metadata(path).map_err(OpenError::io("look at", path))?.len())
}

/// A sealed segment's trailer and encoded directory.
struct FoundFooter {
    trailer: Trailer,
    records: Arc<[u8]>,
}

/// The footer of a segment; `None` where there is no trailer.
fn read_footer(path: &Path, seed: ChecksumSeed) -> Result<Option<FoundFooter>, OpenError> {
    let failed = OpenError::io("read", path);
    let file = File::open(path).map_err(OpenError::io("open", path))?;
    let trailer = footer::read_trailer(&file, file_bytes(path)?, seed).map_err(&failed)?;
    let Some(trailer) = trailer else { return Ok(None) };
    let records = footer::read_part(&file, trailer.records).map_err(&failed)?;
    match records {
        Some(records) => Ok(Some(FoundFooter { trailer, records })),
        None => Err(directory_damaged(path, &trailer)),
    }
}

fn directory_damaged(path: &Path, trailer: &Trailer) -> OpenError {
    OpenError::damaged(path, trailer.records.position, "the footer's directory is damaged")
}

struct Recovery<'a> {
    dir: &'a Path,
    epoch: Epoch,
    disk: &'a dyn Disk,
    directory: Directory,
    next_commit: u64,
    /// The base that the next segment must have.
    expected: Option<u64>,
}

impl Recovery<'_> {
    fn check_base(&self, base: u64, path: &Path) -> Result<(), OpenError> {
        match self.expected {
            Some(expected) if expected != base => Err(OpenError::MissingSegment {
                missing: segment::path(self.dir, expected),
                found: path.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes a segment in by its footer; false where it has none.
    fn take_sealed(&mut self, base: u64, path: &Path) -> Result<bool, OpenError> {
        let Some(footer) = read_footer(path, ChecksumSeed::new(self.epoch.0, base))? else {
            return Ok(false);
        };
        self.place_sealed(base, path, &footer)?;
        Ok(true)
    }

    fn place_sealed(
        &mut self,
        base: u64,
        path: &Path,
        FoundFooter { trailer, records }: &FoundFooter,
    ) -> Result<(), OpenError> {
        let damaged = || directory_damaged(path, trailer);
        let (records, cursors): (Vec<TaskRecord<'_>>, _) =
            postcard::take_from_bytes(records).map_err(|_| damaged())?;
        self.directory.cursors = Cursors::decode(cursors).ok_or_else(damaged)?;
        let segment = Segment::new(base, path.to_owned());
        for record in &records {
            self.directory.place_sealed(&segment, record).ok_or_else(damaged)?;
        }
        self.directory.segments.push_back(segment.clone());
        self.directory.tail = trailer.sealed.end_offset;
        self.expected = Some(trailer.sealed.end_offset);
        self.next_commit = trailer.last_commit + 1;
        segment.sealed.set(trailer.sealed).expect("the segment was made just now");
        Ok(())
    }

    /// Begins a segment where the last one ends.
    fn begin_segment(mut self, base: u64) -> Result<Recovered, OpenError> {
        let path = segment::path(self.dir, base);
        let active = Active::create(self.disk, self.dir, (self.epoch, base, self.next_commit))
            .map_err(OpenError::io("create", &path))?;
        self.directory.tail = base;
        self.directory.begin_segment(Segment::new(base, path), active.position);
        Ok(Recovered { directory: self.directory, active, next_commit: self.next_commit })
    }

    fn take_last(mut self, base: u64, path: &Path) -> Result<Recovered, OpenError> {
        self.check_base(base, path)?;
        if self.take_sealed_last(base, path)? {
            let next = self.directory.tail;
            return self.begin_segment(next);
        }
        let file = File::open(path).map_err(OpenError::io("open", path))?;
        let bytes = file_bytes(path)?;
        let Some(header) = self.last_header(&file, path, bytes)? else {
            return self.begin_segment(base);
        };
        if header.epoch != self.epoch || header.base != base {
            return Err(OpenError::damaged(path, 0, "the segment belongs to another store"));
        }
        self.next_commit = header.first_commit;
        self.directory.tail = base;
        let segment = Segment::new(base, path.to_owned());
        self.directory.begin_segment(segment, HEADER_BYTES);
        let seed = ChecksumSeed::new(self.epoch.0, base);
        let mut walk = Walk {
            path,
            seed,
            window: ScanBuffer::new(&file, bytes, READ_AHEAD_BYTES),
            directory: &mut self.directory,
            next_commit: self.next_commit,
            position: HEADER_BYTES,
            chunks: 0,
            last_time_ms: header.created_ms,
        };
        walk.run()?;
        let Walk { position, chunks, next_commit, last_time_ms, .. } = walk;
        let file = self.cut(path, position, bytes)?;
        let created_ms = header.created_ms;
        let active = Active { file: Some(file), seed, position, created_ms, chunks, last_time_ms };
        Ok(Recovered { directory: self.directory, active, next_commit })
    }

    /// Whether the last segment is sealed. A footer that is damaged there, behind all chunks, is
    /// written anew, so its damage is no error.
    fn take_sealed_last(&mut self, base: u64, path: &Path) -> Result<bool, OpenError> {
        match read_footer(path, ChecksumSeed::new(self.epoch.0, base)) {
            Ok(Some(footer)) => self.place_sealed(base, path, &footer).map(|()| true),
            Ok(None) | Err(OpenError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The header of the last segment; `None` where its creation was cut short.
    fn last_header(
        &self,
        file: &File,
        path: &Path,
        bytes: u64,
    ) -> Result<Option<Header>, OpenError> {
        let mut window = ScanBuffer::new(file, bytes, 0);
        let head = window.bytes(0, HEADER_BYTES as usize).map_err(OpenError::io("read", path))?;
        match Header::decode(head) {
            Some(header) if header.version != segment::VERSION => Err(OpenError::Version {
                path: path.to_owned(),
                found: header.version,
                known: segment::VERSION,
            }),
            None if bytes > HEADER_BYTES => {
                Err(OpenError::damaged(path, 0, "the segment's header is damaged"))
            }
            header => Ok(header),
        }
    }

    /// Cuts the segment's file to `position`, and makes durable what it keeps.
    fn cut(
        &self,
        path: &Path,
        position: u64,
        bytes: u64,
    ) -> Result<Arc<dyn super::disk::DiskFile>, OpenError> {
        let file = self.disk.open(path).map_err(OpenError::io("open for writing", path))?;
        if position < bytes {
            file.cut(position).map_err(OpenError::io("cut", path))?;
        }
        file.sync().map_err(OpenError::io("sync", path))?;
        Ok(file)
    }
}

/// The walk over the last segment's chunks.
struct Walk<'a> {
    path: &'a Path,
    seed: ChecksumSeed,
    window: ScanBuffer<'a>,
    directory: &'a mut Directory,
    next_commit: u64,
    /// Where the last whole commit ends.
    position: u64,
    chunks: usize,
    last_time_ms: u64,
}

/// A chunk of a commit whose end is not yet seen.
struct Seen {
    content: Content,
    at: ChunkRef,
    previous: u64,
    time_ms: u64,
}

/// What a chunk holds.
enum Content {
    Entries(Block),
    /// A mark; see `cursors`.
    Cursors(Cursors),
}

impl Content {
    /// Reads an intact chunk; `None` where it holds nonsense.
    fn of(bytes: &[u8], found: &Found) -> Option<Self> {
        if found.header.count > 0 {
            return chunk::decode_block(bytes, found).map(Self::Entries);
        }
        Cursors::decode(&chunk::decode_payload(bytes, found)?).map(Self::Cursors)
    }
}

/// What stands behind damage.
enum Behind {
    /// Nothing that counts.
    Nothing,
    /// Chunks that do not prove that the damaged ones were durable.
    Unproven { chunks: u64, entries: u64 },
    /// An intact chunk that proves it.
    Proof { position: u64, commit: u64 },
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), OpenError> {
        let mut commit = Vec::new();
        let mut position = self.position;
        loop {
            match self
                .window
                .place(position, self.seed)
                .map_err(OpenError::io("read", self.path))?
            {
                ScanItem::End if commit.is_empty() => return Ok(()),
                ScanItem::End | ScanItem::Damaged => return self.on_damage(position),
                ScanItem::Chunk(found, bytes) => {
                    let header = found.header;
                    let at = ChunkRef {
                        position,
                        base: header.base,
                        base_line: header.base_line,
                        bytes: found.bytes() as u32,
                        count: header.count,
                    };
                    let follows = header.commit == self.next_commit
                        && header.index as usize == commit.len()
                        && header.base == commit.last().map_or(self.directory.tail, end_of);
                    let content = Content::of(bytes, &found).filter(|_| follows);
                    let Some(content) = content else {
                        let what = "the chunk does not follow the one before it";
                        return Err(OpenError::damaged(self.path, position, what));
                    };
                    let (previous, time_ms) = (header.previous, header.time_ms);
                    commit.push(Seen { content, at, previous, time_ms });
                    position += found.bytes() as u64;
                    if commit.len() == header.chunks_in_commit as usize {
                        self.on_commit(&mut commit, position);
                    }
                }
            }
        }
    }

    fn on_commit(&mut self, commit: &mut Vec<Seen>, position: u64) {
        self.chunks += commit.len();
        for seen in commit.drain(..) {
            self.last_time_ms = seen.time_ms;
            match &seen.content {
                Content::Cursors(cursors) => self.directory.cursors.advance_all(cursors),
                Content::Entries(block) => {
                    let (previous, at) = (seen.previous, Some(seen.at));
                    let stats = RunStats::of_block(block);
                    self.directory.place(&CommittedChunk { block, previous, at }, stats);
                }
            }
        }
        self.next_commit += 1;
        self.position = position;
    }

    /// Decides whether what is not intact from `position` on may go.
    fn on_damage(&mut self, position: u64) -> Result<(), OpenError> {
        let behind = self.behind(position).map_err(OpenError::io("read", self.path))?;
        let file = self.path.display();
        let cut_at = self.position;
        match behind {
            Behind::Proof { position: proof, commit } => {
                let what = format!(
                    "kept entries are damaged: commit {} is not intact, and commit {commit} \
                     stands behind it at byte {proof}",
                    self.next_commit,
                );
                return Err(OpenError::damaged(self.path, position, &what));
            }
            Behind::Unproven { chunks, entries } => tracing::error!(
                %file, position, cut_at, chunks, entries,
                "the log is damaged; what stands behind was never synced and is lost"
            ),
            Behind::Nothing => tracing::warn!(
                %file, position, cut_at,
                "cut the end of a commit that was not finished"
            ),
        }
        Ok(())
    }

    /// Looks for intact chunks behind `position`.
    fn behind(&mut self, position: u64) -> std::io::Result<Behind> {
        let (mut chunks, mut entries) = (0, 0);
        let mut from = position + 1;
        while let Some(at) = self.window.find_magic(from)? {
            from = at + 1;
            let ScanItem::Chunk(found, _) = self.window.place(at, self.seed)? else { continue };
            let header = found.header;
            if header.synced && header.commit > self.next_commit {
                return Ok(Behind::Proof { position: at, commit: header.commit });
            }
            let later = header.commit > self.next_commit;
            chunks += u64::from(later);
            entries += u64::from(later) * u64::from(header.count);
            from = at + found.bytes() as u64;
        }
        Ok(if chunks == 0 { Behind::Nothing } else { Behind::Unproven { chunks, entries } })
    }
}

fn end_of(seen: &Seen) -> u64 {
    seen.at.end()
}
