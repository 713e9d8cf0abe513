//! The commands `push`, `tail`, `tasks` and `simulate`, as people and scripts use them.

mod messages;
mod pipeline;
mod push_command;
mod simulate_command;
mod spool;
mod tail;
mod tls;
mod unfinished;
