//! Compression of payloads with LZ4.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Payloads from here on are compressed: below, LZ4 saves next to nothing.
const COMPRESS_FROM_BYTES: usize = 1400;

/// Payloads below it are compressed with the small table, as `lz4_flex` itself chooses.
const SMALL_TABLE_BELOW_BYTES: usize = u16::MAX as usize;

/// How much output space is kept from chunk to chunk, at most.
const MAX_SPACE_BYTES: usize = 1024 * 1024;

/// Compresses payloads. What that needs is made once: new tables and zeroed space for each
/// payload cost more than small payloads themselves.
pub(in crate::store) struct Compressor {
    small: CompressTable,
    large: CompressTable,
    space: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { small: CompressTable::small(), large: CompressTable::large(), space: Vec::new() }
    }
}

impl Compressor {
    /// The compressed bytes; `None` where that saves nothing.
    pub(super) fn compress(&mut self, raw: &[u8]) -> Option<&[u8]> {
        if raw.len() < COMPRESS_FROM_BYTES {
            return None;
        }
        let most = get_maximum_output_size(raw.len());
        if self.space.len() > MAX_SPACE_BYTES {
            self.space = Vec::new();
        }
        if self.space.len() < most {
            self.space.resize(most, 0);
        }
        let is_small = raw.len() < SMALL_TABLE_BELOW_BYTES;
        let table = if is_small { &mut self.small } else { &mut self.large };
        let bytes = compress_into_with_table(raw, &mut self.space, table).ok()?;
        (bytes < raw.len()).then(|| &self.space[..bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressor_makes_of_each_payload_what_a_new_one_would() {
        let mut compressor = Compressor::default();
        let random = |bytes: usize| (0..bytes).map(|_| fastrand::u8(..)).collect::<Vec<_>>();
        let words = |bytes: usize| random(64).repeat(bytes / 64 + 1)[..bytes].to_vec();
        for bytes in [1399, 1400, 9000, 65_534, 65_535, 300_000, 1_200_000, 2000] {
            for raw in [words(bytes), random(bytes)] {
                let fresh = lz4_flex::block::compress(&raw);
                let pays = bytes >= COMPRESS_FROM_BYTES && fresh.len() < raw.len();
                assert_eq!(compressor.compress(&raw), pays.then_some(&fresh[..]), "{bytes} bytes");
            }
        }
    }
}
