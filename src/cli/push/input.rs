//! Standard input: read by a thread of its own, cut into lines.
//!
//! The thread is never joined, so an input that stays open does not keep the process alive.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

/// How much one read takes at most.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks that wait to be cut into lines; while the window is full, reading stops here.
pub(super) const QUEUED_CHUNKS: usize = 4;

/// Of a longer line the head is sent, with a mark; a little less than servers keep, so that they keep
/// the mark too.
const MAX_LINE_BYTES: usize = (16 << 20) - 1024;

/// How much of an unfinished line is shown, in bytes.
const SHOWN_BYTES: usize = 16 * 1024;

/// The result of one read.
pub(super) struct Chunk {
    /// Where it was read, where that is a command.
    pub(super) source: Option<Arc<str>>,
    pub(super) bytes: io::Result<Bytes>,
}

/// What was wrong with the input.
#[derive(Debug, Default)]
pub(super) struct InputReport {
    /// Lines with invalid UTF-8.
    pub(super) invalid_lines: u64,
    /// Lines of which only the head was sent.
    pub(super) cut_lines: u64,
    /// Lines that came after pushing had ended.
    pub(super) late_lines: u64,
    /// Why reading ended early.
    pub(super) failure: Option<io::Error>,
}

/// Starts to read standard input, and with `tee` to copy it to standard output.
pub(super) fn read_stdin(tee: bool) -> io::Result<mpsc::Receiver<Chunk>> {
    let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
    let read = move || {
        let output = tee.then(|| io::stdout().lock());
        read_all(io::stdin().lock(), output, &sender);
    };
    std::thread::Builder::new().name("stdin".into()).spawn(read)?;
    Ok(chunks)
}

/// Sends what is read from `input`; without a receiver it goes on only to copy.
fn read_all(mut input: impl Read, mut output: Option<impl Write>, sender: &mpsc::Sender<Chunk>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.resize(CHUNK_BYTES, 0);
        let length = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                sender.blocking_send(Chunk { source: None, bytes: Err(error) }).ok();
                return;
            }
        };
        let bytes = buffer.split_to(length).freeze();
        output = output.and_then(|output| copy_to(output, &bytes));
        let has_receiver = sender.blocking_send(Chunk { source: None, bytes: Ok(bytes) }).is_ok();
        if !has_receiver && output.is_none() {
            return;
        }
    }
}

/// Copies to `output`; `None` once it takes no more.
fn copy_to<W: Write>(mut output: W, bytes: &[u8]) -> Option<W> {
    let written = output.write_all(bytes).and_then(|()| output.flush());
    written.ok().map(|()| output)
}

/// Cuts chunks into lines at `\n`, wherever the chunks are cut.
///
/// The `\n` is removed, and one `\r` before it: together they are one line end. Invalid UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    /// How many bytes of the current line were too many.
    left_out: usize,
    invalid_lines: u64,
    cut_lines: u64,
}

impl Splitter {
    /// The lines that `chunk` completes.
    pub(super) fn split(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', chunk) {
            lines.push(self.complete(&chunk[start..end]));
            start = end + 1;
        }
        self.hold(&chunk[start..]);
        lines
    }

    pub(super) fn has_unfinished_line(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The end of what came after the last `\n`, to be shown; `None` where there is nothing.
    pub(super) fn unfinished_line(&self) -> Option<String> {
        let cut = self.partial.len().saturating_sub(SHOWN_BYTES);
        let shown = String::from_utf8_lossy(&self.partial[cut..]);
        let shown = shown.strip_suffix('\r').unwrap_or(&shown);
        let text = if cut == 0 {
            shown.to_owned()
        } else {
            // From a redraw of the line on, if there is one; characters that were cut are left out.
            let from_redraw = shown.find('\r').map(|at| &shown[at + 1..]);
            from_redraw.map_or_else(
                || format!("…{}", shown.trim_start_matches(char::REPLACEMENT_CHARACTER)),
                ToOwned::to_owned,
            )
        };
        (!text.is_empty()).then_some(text)
    }

    /// The text after the last `\n`, if there is any.
    pub(super) fn last_line(&mut self) -> Option<String> {
        self.has_unfinished_line().then(|| self.complete(b""))
    }

    pub(super) fn invalid_lines(&self) -> u64 {
        self.invalid_lines
    }

    pub(super) fn cut_lines(&self) -> u64 {
        self.cut_lines
    }

    fn complete(&mut self, end: &[u8]) -> String {
        if self.partial.is_empty() {
            return self.text(end);
        }
        self.hold(end);
        let mut line = std::mem::take(&mut self.partial);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out == 0 {
            return self.text(&line);
        }
        self.cut_lines += 1;
        let bytes = line.len() + left_out;
        line.truncate(whole_characters(&line));
        let mark =
            format!(" [… cut: the line has {bytes} bytes, of which {} are kept]", line.len());
        self.text(&line) + &mark
    }

    fn hold(&mut self, bytes: &[u8]) {
        let held = bytes.len().min(MAX_LINE_BYTES - self.partial.len());
        self.partial.extend_from_slice(&bytes[..held]);
        self.left_out += bytes.len() - held;
    }

    fn text(&mut self, line: &[u8]) -> String {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.invalid_lines += 1;
                String::from_utf8_lossy(line).into_owned()
            }
        }
    }
}

/// How many bytes of `line` are left without a character that was cut at its end.
fn whole_characters(line: &[u8]) -> usize {
    let is_first = |byte: &u8| *byte & 0xc0 != 0x80;
    let last = line.iter().rev().take(4).position(is_first).map_or(0, |back| line.len() - 1 - back);
    match str::from_utf8(&line[last..]) {
        Err(error) if error.error_len().is_none() => last + error.valid_up_to(),
        _ => line.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_all(chunks: &[&[u8]]) -> (Vec<String>, u64) {
        let mut splitter = Splitter::default();
        let mut lines: Vec<_> = chunks.iter().flat_map(|chunk| splitter.split(chunk)).collect();
        lines.extend(splitter.last_line());
        (lines, splitter.invalid_lines())
    }

    #[test]
    fn only_the_line_end_is_removed() {
        let (lines, invalid) = split_all(&[b"a\r", b"\n\n b\tc \n1%\r\r\nlast"]);
        assert_eq!(lines, ["a", "", " b\tc ", "1%\r", "last"]);
        assert_eq!(invalid, 0);
        assert_eq!(split_all(&[b"a\n"]).0, ["a"]);
        assert_eq!(split_all(&[]).0, [""; 0]);
    }

    #[test]
    fn a_character_cut_by_a_chunk_stays_whole_and_invalid_lines_are_counted() {
        let (lines, invalid) = split_all(&[b"gr\xc3", b"\xbc\xc3\x9fe\nx\xff\xfe\n\xc3\n"]);
        assert_eq!(lines, ["grüße", "x\u{fffd}\u{fffd}", "\u{fffd}"]);
        assert_eq!(invalid, 2);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_head_is_sent_with_a_mark() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.split(b"before\n"), ["before"]);
        assert!(splitter.split(&vec![b'x'; MAX_LINE_BYTES - 2]).is_empty());
        assert!(splitter.split("🎉".as_bytes()).is_empty());
        assert!(splitter.split(&vec![b'y'; 1 << 20]).is_empty());
        let lines = splitter.split(b"y\nafter\n");
        let (bytes, kept) = (MAX_LINE_BYTES + 2 + (1 << 20) + 1, MAX_LINE_BYTES - 2);
        let mark = format!(" [… cut: the line has {bytes} bytes, of which {kept} are kept]");
        assert_eq!(lines[0].strip_suffix(&mark).unwrap().len(), kept);
        assert!(lines[0].len() <= 16 << 20);
        assert_eq!((&lines[1..], splitter.cut_lines()), (&["after".to_owned()][..], 1));
        assert_eq!((splitter.invalid_lines(), splitter.last_line()), (0, None));
    }

    #[test]
    fn of_an_unfinished_line_the_end_is_shown_from_a_redraw_on_where_it_is_long() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.unfinished_line(), None);
        splitter.split(b"whole\nProceed? [y/N] ");
        assert_eq!(splitter.unfinished_line().unwrap(), "Proceed? [y/N] ");
        splitter.split(b"y\n50%\r");
        assert_eq!(splitter.unfinished_line().unwrap(), "50%");
        splitter.split(&b"51% of it\r".repeat(SHOWN_BYTES));
        splitter.split(b"52%");
        let shown = splitter.unfinished_line().unwrap();
        assert!(shown.starts_with("51% of it\r") && shown.ends_with("\r52%"));
        splitter.split("\n".as_bytes());
        splitter.split("ü".repeat(SHOWN_BYTES).as_bytes());
        splitter.split(b".");
        let shown = splitter.unfinished_line().unwrap();
        assert!(shown.starts_with("…ü") && shown.ends_with("ü."));
        assert_eq!(splitter.last_line().unwrap().len(), 2 * SHOWN_BYTES + 1);
    }

    #[test]
    fn copying_goes_on_without_a_receiver_and_reading_alone_does_not() {
        let text = b"one\ntwo\n".repeat(CHUNK_BYTES);
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut copy = Vec::new();
        read_all(&text[..], Some(&mut copy), &sender);
        assert!(copy == text);
        let mut rest = &text[..];
        read_all(&mut rest, None::<Vec<u8>>, &sender);
        assert_eq!(text.len() - rest.len(), CHUNK_BYTES);
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_never_matters(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n\xc3\xbc\xff".to_vec()), 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(text.len() + 1);
            prop_assert_eq!(split_all(&[&text[..cut], &text[cut..]]), split_all(&[&text]));
        }

        #[test]
        fn joined_lines_are_the_text_again(text in "([^\r\n]{0,12}\n){0,12}([^\r\n]{1,12})?") {
            let (lines, _) = split_all(&[text.as_bytes()]);
            let mut joined = lines.join("\n");
            if text.ends_with('\n') {
                joined.push('\n');
            }
            prop_assert_eq!(joined, text);
        }
    }
}
