//! The commands `push` and `tail`, as people and scripts use them.

mod pipeline;
mod push_command;
mod tail;
