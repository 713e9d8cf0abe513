//! A raw segment: per commit one LZ4 chunk per task with a CRC-32C, one `write`, one
//! `fdatasync`. No index, no ACKs, no readers: the least that a durable log can do.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::entry;

/// Smaller payloads are not compressed, since LZ4 gains little; the real store does the same.
const COMPRESS_FROM_BYTES: usize = 1434;
const CHUNK_HEAD_BYTES: usize = 64;

/// Entries as they are kept, by task: entry `n` of a batch belongs to task `n % tasks`.
pub struct Entries {
    tasks: Vec<Vec<Vec<u8>>>,
}

impl Entries {
    /// `count` entries over `tasks` tasks.
    pub fn new(count: usize, tasks: usize) -> Self {
        let mut by_task = vec![Vec::new(); tasks];
        for number in 0..count {
            let entry = entry::entry(number % tasks, 1, number);
            by_task[number % tasks].push(entry::json(&entry).into_bytes());
        }
        Self { tasks: by_task }
    }

    /// The entries of each task that has some.
    pub fn by_task(&self) -> impl Iterator<Item = (usize, &[Vec<u8>])> {
        let tasks = self.tasks.iter().enumerate();
        tasks.filter(|(_, bodies)| !bodies.is_empty()).map(|(task, bodies)| (task, &bodies[..]))
    }
}

/// Appends commits to a file.
pub struct Segment {
    file: File,
    payload: Vec<u8>,
    out: Vec<u8>,
    pub bytes: u64,
}

impl Segment {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: File::create(path)?, payload: Vec::new(), out: Vec::new(), bytes: 0 })
    }

    /// Makes `entries` durable.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn commit(&mut self, entries: &Entries) -> Result<()> {
        self.out.clear();
        for (_, bodies) in entries.by_task() {
            self.payload.clear();
            for body in bodies {
                self.payload.extend_from_slice(&(body.len() as u32).to_le_bytes());
                self.payload.extend_from_slice(body);
            }
            self.put_chunk();
        }
        self.file.write_all(&self.out)?;
        self.file.sync_data()?;
        self.bytes += self.out.len() as u64;
        Ok(())
    }

    fn put_chunk(&mut self) {
        let head = self.out.len();
        let start = head + CHUNK_HEAD_BYTES;
        if self.payload.len() < COMPRESS_FROM_BYTES {
            self.out.resize(start, 0);
            self.out.extend_from_slice(&self.payload);
        } else {
            let capacity = lz4_flex::block::get_maximum_output_size(self.payload.len());
            self.out.resize(start + capacity, 0);
            let bytes = lz4_flex::block::compress_into(&self.payload, &mut self.out[start..]);
            self.out.truncate(start + bytes.expect("the capacity is the most that LZ4 can need"));
        }
        let crc = crc32c::crc32c(&self.out[start..]);
        self.out[head..head + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_compress_about_as_real_build_logs_do() {
        let entries = Entries::new(64, 1);
        let payload: Vec<u8> = entries.by_task().flat_map(|(_, bodies)| bodies.concat()).collect();
        let ratio = payload.len() as f64 / lz4_flex::block::compress(&payload).len() as f64;
        assert!((4.0..6.0).contains(&ratio), "64 entries compress {ratio:.1} times");
    }

    #[test]
    fn an_entry_has_the_size_of_real_ones() {
        let entry = entry::entry(1, 1, 12_345);
        assert!(
            (265..285).contains(&prost::Message::encoded_len(&entry)),
            "{}",
            prost::Message::encoded_len(&entry)
        );
        assert!((420..480).contains(&entry::json(&entry).len()), "{}", entry::json(&entry).len());
    }
}
