//! How many bytes a block counts for.

use crate::domain::Block;

/// About how many bytes a block costs beside its payload: its fields, and its places in two windows.
const BLOCK_OVERHEAD_BYTES: usize = 256;

/// What `block` takes of the hub's budget.
pub(super) fn budgeted_bytes(block: &Block) -> usize {
    block.payload.len() + BLOCK_OVERHEAD_BYTES
}
