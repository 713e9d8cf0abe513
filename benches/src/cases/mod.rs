//! The cases: what is loaded how, and which target it has.

mod big;
mod committer;
mod fanout;
mod growth;
mod ingest;
mod tasks;

use anyhow::Result;

use crate::report::Section;
use crate::rounds::Effort;

/// A named measurement.
pub struct Case {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Effort) -> Result<Section>,
}

/// All, in the order of the report.
pub const CASES: &[Case] = &[
    Case {
        name: "ingest",
        what: "saturated pushing, one entry per frame, against bare tonic",
        run: ingest::saturated,
    },
    Case {
        name: "ingest-frames",
        what: "saturated pushing, 16 entries per frame",
        run: ingest::many_per_frame,
    },
    Case {
        name: "ingest-paced",
        what: "5,000 entries a second over 64 streams",
        run: ingest::paced,
    },
    Case {
        name: "ingest-viewers",
        what: "saturated pushing while 10 viewers watch all tasks",
        run: fanout::with_ingest,
    },
    Case { name: "fanout", what: "100 and 1,000 viewers, saturated", run: fanout::saturated },
    Case { name: "fanout-paced", what: "1,000 events a second to 100 viewers", run: fanout::paced },
    Case { name: "idle", what: "5,000 viewers that get nothing", run: fanout::idle },
    Case {
        name: "committer",
        what: "group commits over 50 tasks against a raw LZ4 segment",
        run: committer::run,
    },
    Case {
        name: "big",
        what: "five million entries over 50 tasks: memory, disk, replay, resume",
        run: big::run,
    },
    Case { name: "tasks", what: "a million tasks: memory, start, list, look-ups", run: tasks::run },
    Case { name: "growth", what: "CPU over tasks and viewers", run: growth::run },
];
