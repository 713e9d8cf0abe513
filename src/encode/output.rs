//! Writes entries as readers get them.

use crate::domain::{Entry, Kind};

/// Appends `entry` as one JSON object on one line. A gap's place is the range that it stands
/// for, `from` and `to`, as in the gaps that the server itself reports to readers.
pub fn write_json(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if entry.kind == Kind::Gap {
        out.extend_from_slice(b"{\"from\":");
        write_decimal(out, entry.offset.0);
        out.extend_from_slice(b",\"to\":");
    } else {
        out.extend_from_slice(b"{\"offset\":");
    }
    write_decimal(out, entry.offset.0);
    if let Some(line) = entry.line {
        out.extend_from_slice(b",\"line\":");
        write_decimal(out, line);
    }
    out.push(b',');
    out.extend_from_slice(entry.body);
}

/// Appends `value` in decimal. It runs for every entry, and `write!` takes several times as long.
pub fn write_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Offset, WorkerState};

    fn written(kind: Kind, line: Option<u64>) -> String {
        let body = b"\"a\":1}";
        let entry = Entry { offset: Offset(10), line, kind, worker: "w", session: None, body };
        let mut out = Vec::new();
        write_json(&mut out, &entry);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_entry_is_written_as_one_json_object_with_its_place_first() {
        assert_eq!(written(Kind::Log, Some(5)), "{\"offset\":10,\"line\":5,\"a\":1}");
        let status = Kind::Status(WorkerState::Failed);
        assert_eq!(written(status, None), "{\"offset\":10,\"a\":1}");
        assert_eq!(written(Kind::Gap, None), "{\"from\":10,\"to\":10,\"a\":1}");
    }

    #[test]
    fn a_number_is_written_as_display_writes_it() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
