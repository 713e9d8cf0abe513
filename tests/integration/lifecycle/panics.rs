//! What a panic ends, and what it does not.
