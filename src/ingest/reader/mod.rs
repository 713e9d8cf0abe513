//! Reads one message into an entry that is ready for the log, or says why it is refused.

use std::sync::Arc;

use super::budget::Reservation;
use crate::domain::{IdError, Kind, Records, TaskId, WorkerId};
use crate::encode::{
    Encoded, EntryEncoder, EntryIds, LineLimits, LongLine, Malformed, ProducerNumbering, RawIds,
    SEQ_KEY, SESSION_KEY, Uncut, WireLayout, repair_entry, write_part,
};

/// The size of a busy stream's buffer, in bytes. A larger entry gets an allocation of its own.
const BUFFER_BYTES: usize = 16 * 1024;

/// A new stream's buffer, in bytes. Each further one is twice as large, up to [`BUFFER_BYTES`].
const FIRST_BUFFER_BYTES: usize = 512;

/// The capacity for an entry's body that is kept for the next one at most, in bytes.
const BODY_BYTES: usize = 4 * 1024;

/// The same while the stream is idle.
const IDLE_BODY_BYTES: usize = 1024;

/// What the JSON of an entry has beside its texts, in bytes; about.
const FRAME_BYTES: usize = 1024;

/// Whose a refused entry counts as where its worker cannot be read.
const UNREADABLE_WORKER: &str = "unknown";

/// The task and worker that an entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ids {
    /// The task.
    pub task: TaskId,
    /// The worker.
    pub worker: WorkerId,
}

impl Ids {
    /// Checks both.
    ///
    /// # Errors
    /// Says which rule one of them breaks.
    pub fn new(task: &str, worker: &str) -> Result<Self, IdError> {
        Ok(Self { task: TaskId::new(task)?, worker: WorkerId::new(worker)? })
    }

    /// Those of a message that is refused, where its task can be read.
    fn of_refused(message: &[u8]) -> Option<Self> {
        let RawIds { task_id, worker_id } = RawIds::read(message);
        let task = TaskId::new(str::from_utf8(task_id).ok()?).ok()?;
        let worker = str::from_utf8(worker_id).ok().and_then(|worker| WorkerId::new(worker).ok());
        let worker = worker.or_else(|| WorkerId::new(UNREADABLE_WORKER).ok())?;
        Some(Self { task, worker })
    }
}

/// An entry that may be kept.
#[derive(Debug)]
pub struct Accepted {
    /// Its task and worker; entries in a row that have the same share them.
    pub ids: Arc<Ids>,
    /// The producer's own number for it, if it numbers its entries.
    pub producer_seq: Option<ProducerSeq>,
    /// The encoded record; of a long line one for each part.
    pub records: Records,
    /// Whether its line is not finished yet: it is shown to those who watch, and not kept.
    pub is_unfinished: bool,
}

/// A producer's own number for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSeq {
    /// Entry metadata `otto.session`.
    pub session: Arc<str>,
    /// Entry metadata `otto.seq`.
    pub seq: u64,
}

/// Why an entry will never be kept.
#[derive(Debug)]
pub struct Refusal {
    /// Its task and worker, where the task could be read.
    pub ids: Option<Ids>,
    /// Which field is wrong, its value or size, and the rule.
    pub reason: String,
}

/// Why a long line is not kept.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    /// It cannot be cut.
    #[error(transparent)]
    Uncut(#[from] Uncut),
    /// An id or a number breaks a rule.
    #[error("{0}")]
    Refused(String),
}

/// One message of a producer's stream.
#[derive(Debug)]
pub struct IncomingEntry {
    /// The message's size on the wire.
    pub wire_bytes: usize,
    /// What was read from it.
    pub entry: Result<Accepted, Refusal>,
    /// Reservation for it, where it is large.
    pub budget: Option<Reservation>,
}

impl IncomingEntry {
    /// A message of `bytes`, above the `limit`, of which only the beginning was read.
    pub fn too_long(bytes: usize, limit: usize, beginning: &[u8]) -> Self {
        let reason = format!("a message is {bytes} bytes, the limit is {limit}");
        let entry = Err(Refusal { ids: Ids::of_refused(beginning), reason });
        Self { wire_bytes: bytes, entry, budget: None }
    }
}

/// Reads the messages of one stream. Keeps a buffer that its entries share, and the last ids,
/// which seldom change within a stream.
#[derive(Debug)]
pub struct EntryReader {
    layout: WireLayout,
    limits: LineLimits,
    encoder: EntryEncoder,
    /// The body of the entry that is being read.
    body: Vec<u8>,
    buffer: Records,
    /// How large the next buffer is, in bytes.
    buffer_bytes: usize,
    /// Bytes of records since the stream was idle.
    busy_bytes: usize,
    /// The ids that the encoder gave last, or what is wrong with them.
    last_ids: Result<Arc<Ids>, String>,
    /// The producer's session that was read last.
    last_session: Option<Arc<str>>,
}

impl EntryReader {
    /// A reader of messages in `layout`, which keeps longer lines than `limits` allow in parts.
    pub fn new(layout: WireLayout, limits: LineLimits) -> Self {
        let (body, buffer, last_session) = Default::default();
        let last_ids = Err("no entry was read yet".to_owned());
        Self {
            layout,
            limits,
            encoder: EntryEncoder::new(layout),
            body,
            buffer,
            buffer_bytes: FIRST_BUFFER_BYTES,
            busy_bytes: 0,
            last_ids,
            last_session,
        }
    }

    /// About how many bytes `message` takes once it is encoded, and hardly ever less: a control
    /// character becomes six bytes, one that is not UTF-8 three.
    pub fn encoded_bytes(message: &[u8]) -> usize {
        let added = |byte: &u8| match byte {
            0..0x20 => 5,
            b'"' | b'\\' => 1,
            0x80.. => 2,
            _ => 0,
        };
        FRAME_BYTES + message.len() + message.iter().map(added).sum::<usize>()
    }

    /// Gives memory back while the stream is idle. The next buffer has space for as much as came
    /// before: entries of one batch that share a buffer cost less.
    pub fn rest(&mut self) {
        if self.busy_bytes > 0 {
            let likely = self.busy_bytes.next_power_of_two();
            self.buffer_bytes = likely.clamp(FIRST_BUFFER_BYTES, BUFFER_BYTES);
            self.busy_bytes = 0;
            self.buffer = Records::default();
            self.body.shrink_to(IDLE_BODY_BYTES);
        }
    }

    /// Reads one message, which arrived at `received_at`, RFC 3339.
    pub fn read(&mut self, message: &[u8], received_at: &str) -> IncomingEntry {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        // Where the record's head will be, should the body become one without a copy.
        body.extend_from_slice(&[0; Records::HEAD_BYTES]);
        let entry = self.entry(message, received_at, &mut body);
        body.shrink_to(BODY_BYTES);
        self.body = body;
        IncomingEntry { wire_bytes: message.len(), entry, budget: None }
    }

    fn entry(
        &mut self,
        message: &[u8],
        received_at: &str,
        body: &mut Vec<u8>,
    ) -> Result<Accepted, Refusal> {
        if message.len() > self.limits.entry_bytes {
            return self.long_entry(message, received_at, body);
        }
        match self.encoder.encode(message, received_at, body) {
            Ok(encoded) => self.accept(message, encoded, body),
            Err(Malformed::Utf8 { .. }) => self.repaired_entry(message, received_at, body),
            Err(malformed) => Err(not_an_entry(message, &malformed)),
        }
    }

    /// The same for a message in whose texts not all is UTF-8.
    fn repaired_entry(
        &mut self,
        message: &[u8],
        received_at: &str,
        body: &mut Vec<u8>,
    ) -> Result<Accepted, Refusal> {
        let refuse = |malformed| not_an_entry(message, &malformed);
        let repaired = repair_entry(self.layout, message).map_err(refuse)?;
        body.truncate(Records::HEAD_BYTES);
        let encoded = self.encoder.encode(&repaired, received_at, body).map_err(refuse)?;
        self.accept(message, encoded, body)
    }

    /// The same for a message that is too long for one entry: its line is kept in parts.
    fn long_entry(
        &mut self,
        message: &[u8],
        received_at: &str,
        body: &mut Vec<u8>,
    ) -> Result<Accepted, Refusal> {
        let parts = match self.parts(message, received_at, body) {
            Err(NotKept::Uncut(Uncut::Malformed(Malformed::Utf8 { .. }))) => {
                let repaired = repair_entry(self.layout, message)
                    .map_err(|malformed| not_an_entry(message, &malformed))?;
                self.parts(&repaired, received_at, body)
            }
            parts => parts,
        };
        let refuse = |reason| Refusal { ids: Ids::of_refused(message), reason };
        parts.map_err(|why| refuse(why.to_string()))
    }

    fn parts(
        &mut self,
        message: &[u8],
        received_at: &str,
        body: &mut Vec<u8>,
    ) -> Result<Accepted, NotKept> {
        let line = LongLine::cut(self.layout, message, self.limits)?;
        let mut records = Records::default();
        records.reserve(line.encoded_bytes(), 0);
        let (mut producer_seq, mut is_unfinished) = (None, false);
        for (part, wire) in (1..).zip(line.messages()) {
            body.truncate(Records::HEAD_BYTES);
            let Encoded { ids, numbering } =
                self.encoder.encode(&wire, received_at, body).map_err(Uncut::Malformed)?;
            let kind = if part == 1 { Kind::Log } else { Kind::Part };
            if kind == Kind::Log {
                self.ids(ids).map_err(NotKept::Refused)?;
                producer_seq = self.producer_seq(numbering).map_err(NotKept::Refused)?;
                is_unfinished = numbering.is_unfinished;
            }
            if is_unfinished && kind == Kind::Part {
                // It is only shown, and its first part is more than anybody looks at.
                break;
            }
            write_part(body, part, line.parts());
            records.push(kind, &body[Records::HEAD_BYTES..]);
        }
        let ids = self.last_ids.clone().map_err(NotKept::Refused)?;
        Ok(Accepted { ids, producer_seq, records, is_unfinished })
    }

    fn accept(
        &mut self,
        message: &[u8],
        Encoded { ids, numbering }: Encoded<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Accepted, Refusal> {
        let ids =
            self.ids(ids).map_err(|reason| Refusal { ids: Ids::of_refused(message), reason })?;
        let producer_seq = self
            .producer_seq(numbering)
            .map_err(|reason| Refusal { ids: Some(Ids::clone(&ids)), reason })?;
        let (records, is_unfinished) = (self.record(body), numbering.is_unfinished);
        Ok(Accepted { ids, producer_seq, records, is_unfinished })
    }

    /// The record of `body`, before which there is space for the head.
    fn record(&mut self, body: &mut Vec<u8>) -> Records {
        if body.len() > BUFFER_BYTES {
            let mut own = std::mem::take(body);
            own.shrink_to_fit();
            return Records::of_body(Kind::Log, own);
        }
        self.busy_bytes += body.len();
        if self.buffer.reserve(body.len(), self.buffer_bytes) {
            self.buffer_bytes = (2 * self.buffer_bytes).min(BUFFER_BYTES);
        }
        self.buffer.push(Kind::Log, &body[Records::HEAD_BYTES..]);
        self.buffer.split()
    }

    fn ids(&mut self, new: Option<EntryIds<'_>>) -> Result<Arc<Ids>, String> {
        if let Some(EntryIds { task_id, worker_id }) = new {
            self.last_ids =
                Ids::new(task_id, worker_id).map(Arc::new).map_err(|error| error.to_string());
        }
        self.last_ids.clone()
    }

    fn producer_seq(
        &mut self,
        numbering: ProducerNumbering<'_>,
    ) -> Result<Option<ProducerSeq>, String> {
        let (session, seq) = match (numbering.session, numbering.seq) {
            _ if numbering.is_unfinished => return Ok(None),
            (None, None) => return Ok(None),
            (Some(session), Some(seq)) => (session, seq),
            (Some(_), None) => return Err(format!("metadata has {SESSION_KEY} without {SEQ_KEY}")),
            (None, Some(_)) => return Err(format!("metadata has {SEQ_KEY} without {SESSION_KEY}")),
        };
        let seq = seq.parse().map_err(|_| {
            let shown: String = seq.chars().take(40).collect();
            format!(
                "metadata {SEQ_KEY} is {shown:?}, it needs a whole number from 0 to {}",
                u64::MAX
            )
        })?;
        Ok(Some(ProducerSeq { session: self.session(session)?, seq }))
    }

    fn session(&mut self, session: &str) -> Result<Arc<str>, String> {
        if let Some(known) = self.last_session.as_ref().filter(|known| &***known == session) {
            return Ok(Arc::clone(known));
        }
        // The same rule as for ids: sessions are kept on disk beside them.
        if let Err(error) = WorkerId::new(session) {
            return Err(error.to_string().replacen("worker_id", "metadata otto.session", 1));
        }
        let session: Arc<str> = session.into();
        self.last_session = Some(Arc::clone(&session));
        Ok(session)
    }
}

fn not_an_entry(message: &[u8], malformed: &Malformed) -> Refusal {
    let reason = format!("the message is not a log entry: {malformed}");
    Refusal { ids: Ids::of_refused(message), reason }
}

#[cfg(test)]
mod tests;
