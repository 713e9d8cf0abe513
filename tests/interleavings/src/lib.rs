//! The hub's wake-ups and the store's way to an acknowledgement, with the product's own sources,
//! under a scheduler that tries many interleavings (`shuttle`). `run` starts it.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "what is copied is judged elsewhere"
)]

pub use otto_handler::{counter, domain, encode, histogram};

pub mod channel;

/// What stands in the place of `std::sync` and `std::thread`.
pub mod scheduled {
    pub mod sync {
        pub use shuttle::sync::{
            Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        };
        pub use std::sync::{Arc, LockResult, OnceLock, PoisonError, Weak};

        pub use super::super::channel as mpsc;

        pub mod atomic {
            pub use shuttle::sync::atomic::{
                AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize,
            };
            pub use std::sync::atomic::Ordering;
        }
    }

    /// A sender without receivers.
    pub fn watch_sender<T>(value: T) -> tokio::sync::watch::Sender<T> {
        tokio::sync::watch::channel(value).0
    }

    pub mod thread {
        pub use shuttle::thread::{Builder, JoinHandle, sleep, spawn, yield_now};
        pub use std::thread::panicking;
    }
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

#[cfg(test)]
mod tests;
