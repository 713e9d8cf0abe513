//! How a load is spread over connections, streams and tasks, and the frames of each stream.

use prost::Message;

use crate::entry;
use crate::load::h2;

/// How a load is spread.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub connections: usize,
    pub streams_per_connection: usize,
    pub entries_per_frame: usize,
    pub tasks: usize,
    /// Whether every stream changes the task with every entry.
    pub mixed: bool,
    /// Every how many streams one pushes to task 0, the others to the other tasks; 0: no such stream.
    pub heavy_every: usize,
    /// How many different frames a stream sends before they repeat.
    pub cycle: usize,
    /// Whether messages carry their time of sending.
    pub has_sent_at: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            connections: 8,
            streams_per_connection: 64,
            entries_per_frame: 1,
            tasks: 64,
            mixed: false,
            heavy_every: 0,
            cycle: 32,
            has_sent_at: false,
        }
    }
}

impl Shape {
    pub fn streams(&self) -> usize {
        self.connections * self.streams_per_connection
    }

    /// The task of the `turn`th frame of a stream. Each worker has its own stream, so a stream
    /// has one task, unless it is mixed.
    fn task(&self, stream: usize, turn: usize) -> usize {
        if self.mixed {
            return (stream + turn) % self.tasks;
        }
        if self.heavy_every == 0 {
            return stream % self.tasks;
        }
        let is_heavy = stream.is_multiple_of(self.heavy_every);
        let light = stream - stream / self.heavy_every;
        if is_heavy { 0 } else { 1 + light % (self.tasks - 1) }
    }
}

/// A DATA frame with as many entries as the shape says.
pub fn frame(id: u32, stream: usize, turn: usize, shape: &Shape) -> Vec<u8> {
    let mut payload = Vec::new();
    for position in 0..shape.entries_per_frame {
        let number = (stream * 131 + turn) * shape.entries_per_frame + position;
        let message =
            entry::entry(shape.task(stream, turn), stream, number % 98_304).encode_to_vec();
        payload.push(0);
        payload.extend_from_slice(&(message.len() as u32).to_be_bytes());
        payload.extend_from_slice(&message);
    }
    let mut frame = Vec::with_capacity(h2::HEADER_BYTES + payload.len());
    h2::put_frame(&mut frame, h2::DATA, 0, id, &payload);
    frame
}
