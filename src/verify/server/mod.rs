//! A server of our own, and what is done to it.

mod damage;
pub(super) mod faults;
pub(super) mod process;
pub(super) mod proxy;
pub(super) mod volume;
