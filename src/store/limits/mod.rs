//! What the volume and the clock allow: how much stays free, and how much may go for its age.

mod age;
mod tasks;
mod volume;
mod wall_clock;

pub use tasks::TaskAgeLimit;
pub use wall_clock::WallClock;

pub(super) use age::AgeLimit;
pub(super) use volume::fit;
