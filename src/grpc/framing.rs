//! How messages stand in a body.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `Length-Prefixed-Message`.

/// What stands before each message, in bytes: whether it is compressed, and its length.
pub(super) const PREFIX_BYTES: usize = 5;
