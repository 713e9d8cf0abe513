//! JSON strings (RFC 8259 §7).

use bytes::BufMut;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Looked at in one go, in bytes; as many as a vector instruction or two take.
const BLOCK_BYTES: usize = 32;

/// Appends `text` as a JSON string, with its quotes.
pub fn write_text(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.put_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { break };
        write_escape(out, byte);
        rest = &rest[plain + 1..];
    }
    out.put_u8(b'"');
}

/// Appends `bytes` as a JSON string, with its quotes, when they are UTF-8; otherwise gives the
/// first bad byte's place. What needs neither check nor escape, as most does, is looked at once.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), usize> {
    if is_plain(bytes) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?;
    write_text(out, text);
    Ok(())
}

/// Whether all of it is ASCII that needs no escape.
fn is_plain(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    let (words, tail) = rest.as_chunks::<8>();
    let is_odd = |byte: &u8| is_special(*byte) || !byte.is_ascii();
    // Without an early end within a block, so that its bytes are compared side by side.
    blocks.iter().all(|block| !block.iter().fold(false, |odd, byte| odd | is_odd(byte)))
        && words.iter().all(|word| {
            let word = u64::from_le_bytes(*word);
            word & HIGHS == 0 && !holds_special(word)
        })
        && !tail.iter().any(is_odd)
}

/// How many bytes at the front need no escape. Looks at eight at a time.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let plain_words =
        words.iter().take_while(|word| !holds_special(u64::from_le_bytes(**word))).count();
    let start = plain_words * 8;
    let tail = &bytes[start..];
    start + tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len())
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether one of the eight bytes is special. Exact: a byte below `n` sets its high bit in
/// `word - n * ONES` where its own is clear, and a borrow only ever follows a true hit.
const fn holds_special(word: u64) -> bool {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGHS != 0
}

fn write_escape(out: &mut impl BufMut, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.put_slice(b"\\u00");
            out.put_u8(HEX[usize::from(byte >> 4)]);
            out.put_u8(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.put_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> BytesMut {
        let mut out = BytesMut::new();
        write_text(&mut out, text);
        out
    }

    #[test]
    fn every_ascii_byte_at_every_place_of_a_word_comes_back() {
        for place in 0..24 {
            for byte in 0..128u8 {
                let mut text = vec![b'x'; 24];
                text[place] = byte;
                let text = String::from_utf8(text).unwrap();
                let back: String = serde_json::from_slice(&written(&text)).unwrap();
                assert_eq!(back, text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in any::<String>()) {
            prop_assert_eq!(&written(&text)[..], serde_json::to_vec(&text).unwrap());
        }

        #[test]
        fn any_bytes_are_written_as_their_text_or_refused_at_the_first_bad_byte(
            bytes in prop_oneof![vec(any::<u8>(), 0..80), vec(0x20..0x7fu8, 0..80)],
        ) {
            let mut out = Vec::new();
            match std::str::from_utf8(&bytes) {
                Ok(text) => {
                    prop_assert_eq!(write_bytes(&mut out, &bytes), Ok(()));
                    prop_assert_eq!(&out[..], &written(text)[..]);
                }
                Err(error) => {
                    prop_assert_eq!(write_bytes(&mut out, &bytes), Err(error.valid_up_to()));
                }
            }
        }
    }
}
