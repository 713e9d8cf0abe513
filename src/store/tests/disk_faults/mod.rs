//! Faults of the disk: writes that fail, and bytes that are not what was written.

mod damage;
mod disk;
mod property;

use super::*;
