//! Why an attempt ended, in words.

use std::error::Error;

use tonic::{Code, Status};

/// The error and its causes, without repeats.
pub(super) fn of_error(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// Why a call ended; `method` is its full name.
pub(super) fn of_status(status: &Status, method: &str) -> String {
    match status.code() {
        Code::Unimplemented => format!("the source does not serve {method}"),
        // The transport's own failures have a cause that says more than the status.
        code => match status.source() {
            Some(cause) => of_error(cause),
            None => format!("{}: {}", name(code), status.message()),
        },
    }
}

/// The code's name on the wire.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_its_name_and_message() {
        let reason = of_status(&Status::failed_precondition("no lines yet"), "a.B/C");
        assert_eq!(reason, "FAILED_PRECONDITION: no lines yet");
        let reason = of_status(&Status::unimplemented(""), "a.B/C");
        assert_eq!(reason, "the source does not serve a.B/C");
    }

    #[test]
    fn causes_are_named_once_each() {
        let inner = std::io::Error::other("refused");
        let outer = std::io::Error::other(inner);
        assert_eq!(of_error(&outer), "refused");
    }
}
