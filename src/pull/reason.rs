//! Why an attempt ended, in words.

use std::error::Error;

use tonic::{Code, Status};

use crate::causes::with_causes;

/// Why a call ended; `method` is its full name.
pub(super) fn of_status(status: &Status, method: &str) -> String {
    match status.code() {
        Code::Unimplemented => format!("the source does not serve {method}"),
        // The transport's own failures have a cause that says more than the status.
        code => match status.source() {
            Some(cause) => with_causes(cause),
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
}
