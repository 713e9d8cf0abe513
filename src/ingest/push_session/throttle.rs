//! The wait that an ACK asks for.

/// The longest wait, in milliseconds, when the log's queue is full.
const MAX_ACK_THROTTLE_MS: f32 = 100.0;

/// From this share of a full queue on, ACKs ask for a wait.
const THROTTLE_FROM: f32 = 0.5;

pub(super) fn ack_throttle_ms(pressure: f32) -> u32 {
    let over = (pressure - THROTTLE_FROM).max(0.0) / (1.0 - THROTTLE_FROM);
    (over * MAX_ACK_THROTTLE_MS) as u32
}
