//! The protobuf wire format, as much of it as a log line needs.
//!
//! Accepts and refuses what prost accepts and refuses; a property test holds the two together.
//! Format: <https://protobuf.dev/programming-guides/encoding/>.

/// How deep messages and unknown groups may nest together, as in prost.
const MAX_DEPTH: u32 = 100;

/// Bytes that are not a protobuf message of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within a field.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("it has a varint of more than 64 bits")]
    Varint,
    /// A field key with number 0, an unknown wire type, or too large.
    #[error("it has the invalid field key {0}")]
    Key(u64),
    /// A known field with another wire type than its own.
    #[error("field {number} has wire type {wire_type}, it needs 2 (length-delimited)")]
    WireType {
        /// The field's number.
        number: u32,
        /// The found wire type.
        wire_type: u8,
    },
    /// A group that does not end where it should, or nests too deep.
    #[error("it has a group that does not end")]
    Group,
    /// A text that is not UTF-8.
    #[error("field {number} is not UTF-8 from its byte {position} on")]
    Utf8 {
        /// The field's number.
        number: u32,
        /// The first bad byte.
        position: usize,
    },
}

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u32,
    wire_type: u8,
    /// What a length-delimited field holds; empty for the others.
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    pub(super) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        let Self { number, wire_type, bytes } = *self;
        if wire_type == 2 { Ok(bytes) } else { Err(Malformed::WireType { number, wire_type }) }
    }

    pub(super) fn text(&self) -> Result<&'a str, Malformed> {
        text(self.number, self.bytes()?)
    }
}

/// What field `number` holds, as text.
pub(super) fn text(number: u32, bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes)
        .map_err(|error| Malformed::Utf8 { number, position: error.valid_up_to() })
}

/// The ids of a log entry as they stand on the wire; empty where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawIds<'a> {
    /// `task_id`.
    pub task_id: &'a [u8],
    /// `worker_id`.
    pub worker_id: &'a [u8],
}

impl<'a> RawIds<'a> {
    /// What `message` has of them before it ends or makes no sense.
    pub fn read(mut message: &'a [u8]) -> Self {
        let mut ids = Self::default();
        while let Ok(Some(field)) = next_field(&mut message, 0) {
            match (field.number, field.bytes()) {
                (1, Ok(bytes)) => ids.worker_id = bytes,
                (2, Ok(bytes)) => ids.task_id = bytes,
                (1 | 2, Err(_)) => break,
                _ => {}
            }
        }
        ids
    }
}

/// Takes the next field off `rest`, of a message that stands `depth` messages deep; `None` at
/// the end.
pub(super) fn next_field<'a>(
    rest: &mut &'a [u8],
    depth: u32,
) -> Result<Option<Field<'a>>, Malformed> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (number, wire_type) = key(rest)?;
    let bytes = skip_value(rest, number, wire_type, depth)?;
    Ok(Some(Field { number, wire_type, bytes }))
}

fn key(rest: &mut &[u8]) -> Result<(u32, u8), Malformed> {
    let key = varint(rest)?;
    let number = u32::try_from(key).map_err(|_| Malformed::Key(key))? >> 3;
    let wire_type = (key & 7) as u8;
    if number == 0 || wire_type > 5 {
        return Err(Malformed::Key(key));
    }
    Ok((number, wire_type))
}

fn skip_value<'a>(
    rest: &mut &'a [u8],
    number: u32,
    wire_type: u8,
    depth: u32,
) -> Result<&'a [u8], Malformed> {
    if depth >= MAX_DEPTH {
        return Err(Malformed::Group);
    }
    match wire_type {
        0 => varint(rest).map(|_| Default::default()),
        1 => take(rest, 8).map(|_| Default::default()),
        2 => {
            let length = varint(rest)?;
            take(rest, length)
        }
        3 => skip_group(rest, number, depth).map(|()| Default::default()),
        5 => take(rest, 4).map(|_| Default::default()),
        _ => Err(Malformed::Group),
    }
}

fn skip_group(rest: &mut &[u8], number: u32, depth: u32) -> Result<(), Malformed> {
    loop {
        let (inner, wire_type) = key(rest)?;
        if wire_type == 4 {
            return if inner == number { Ok(()) } else { Err(Malformed::Group) };
        }
        skip_value(rest, inner, wire_type, depth + 1)?;
    }
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *rest = after;
    Ok(taken)
}

#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    match rest.split_first() {
        // Nearly all keys and lengths are this short.
        Some((&byte, after)) if byte < 0x80 => {
            *rest = after;
            Ok(byte.into())
        }
        _ => long_varint(rest),
    }
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed::Truncated)?;
        *rest = after;
        if shift == 63 && byte > 1 {
            return Err(Malformed::Varint);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed::Varint)
}
