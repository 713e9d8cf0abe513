//! What a run consists of: tasks, producers, viewers and faults, all from one seed.
//!
//! The seed decides texts, who does what, and which faults come in which order. What happens at the
//! same moment is the machine's to decide, so two runs of one seed are alike and not equal.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Producers of one task.
const PRODUCERS_PER_TASK: usize = 3;

/// How long a shared server may be silent towards a viewer: four of its default heartbeats.
const SHARED_SILENCE: Duration = Duration::from_secs(60);

/// The same for a server of our own, which sends heartbeats every two seconds.
const OWN_SILENCE: Duration = Duration::from_secs(10);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of texts, ways and faults.
    pub seed: u64,
    /// How long producers produce; what comes after that takes its own time.
    pub duration: Duration,
    /// How many producers.
    pub producers: usize,
    /// How many viewers.
    pub viewers: usize,
    /// Lines a second of each producer.
    pub rate: f64,
    /// What is injected.
    pub faults: Vec<FaultKind>,
    /// About how far apart faults are.
    pub fault_every: Duration,
    /// How long the server may take to come back and to catch up after the last fault.
    pub patience: Duration,
}

/// One producer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProducerPlan {
    pub(super) seed: u64,
    pub(super) task: String,
    pub(super) worker: String,
    pub(super) session: String,
    /// Whether it numbers its lines and sends unanswered ones again.
    pub(super) is_numbered: bool,
    /// Whether one acknowledgement may answer many lines.
    pub(super) is_cumulative: bool,
    pub(super) lines_per_second: f64,
}

/// One viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ViewerPlan {
    pub(super) seed: u64,
    /// The task that it reads; all when there is none.
    pub(super) task: Option<String>,
    pub(super) way: Way,
    pub(super) silence_limit: Duration,
}

/// How a viewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// On and on.
    Steady,
    /// Drops its connection every few moments and resumes.
    Hopping,
    /// Begins anew at the first line every few seconds.
    Fresh,
    /// Takes a little at a time.
    Slow,
    /// Takes nothing for seconds.
    Stopped,
}

/// Whose server a run is against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerKind {
    /// On a server that this program started.
    Own,
    /// On a server that others use too.
    Shared,
}

/// The tasks, producers and viewers of one round.
#[derive(Debug, Clone)]
pub(super) struct RoundPlan {
    pub(super) tasks: Vec<String>,
    pub(super) producers: Vec<ProducerPlan>,
    pub(super) viewers: Vec<ViewerPlan>,
}

impl Plan {
    /// Gap reasons that explain why an acknowledged line is gone, given what is injected.
    pub fn excuses(&self) -> Vec<String> {
        let mut excuses = Vec::new();
        if self.has_retention() {
            excuses.push("retention".into());
        }
        if self.has(FaultKind::Damage) {
            excuses.push("damage".into());
        }
        excuses
    }

    /// Whether the fault is injected.
    pub fn has(&self, kind: FaultKind) -> bool {
        self.faults.contains(&kind)
    }

    /// Whether the server of our own deletes old entries.
    pub fn has_retention(&self) -> bool {
        self.has(FaultKind::KillRetention) || self.needs_volume()
    }

    /// Whether the server of our own keeps its log on a volume of its own.
    pub(super) fn needs_volume(&self) -> bool {
        self.faults.iter().any(|kind| kind.needs_volume())
    }

    /// A round whose tasks no other has: `run` differs from run to run.
    pub(super) fn round(&self, run: u32, number: u32, server: ServerKind) -> RoundPlan {
        let count = self.producers.div_ceil(PRODUCERS_PER_TASK).max(1);
        let tasks: Vec<_> =
            (1..=count).map(|task| format!("verify-{run:08x}-{number}-{task}")).collect();
        let producers = (0..self.producers).map(|turn| self.producer(turn, &tasks)).collect();
        let viewers = (0..self.viewers).map(|turn| self.viewer(turn, &tasks, server)).collect();
        RoundPlan { tasks, producers, viewers }
    }

    fn producer(&self, turn: usize, tasks: &[String]) -> ProducerPlan {
        let task = tasks[turn % tasks.len()].clone();
        let worker = format!("w{}", turn + 1);
        let session = format!("{task}-{worker}");
        ProducerPlan {
            seed: self.seed,
            task,
            worker,
            session,
            // Of each task two as `push` does, the third as ottoscaler does.
            is_numbered: (turn / tasks.len()) % PRODUCERS_PER_TASK != PRODUCERS_PER_TASK - 1,
            is_cumulative: turn.is_multiple_of(2),
            lines_per_second: self.rate,
        }
    }

    fn viewer(&self, turn: usize, tasks: &[String], server: ServerKind) -> ViewerPlan {
        let ways = [Way::Steady, Way::Hopping, Way::Fresh, Way::Slow, Way::Stopped, Way::Steady];
        let way = match ways[turn % ways.len()] {
            Way::Slow if server == ServerKind::Shared || !self.has(FaultKind::SlowViewers) => {
                Way::Steady
            }
            Way::Stopped
                if server == ServerKind::Shared || !self.has(FaultKind::StoppedViewers) =>
            {
                Way::Hopping
            }
            way => way,
        };
        let reads_all = server == ServerKind::Own && turn % ways.len() == ways.len() - 1;
        let task = (!reads_all).then(|| tasks[turn % tasks.len()].clone());
        let silence_limit = if server == ServerKind::Own { OWN_SILENCE } else { SHARED_SILENCE };
        let seed = self.seed ^ ((turn as u64 + 1) << 40);
        ViewerPlan { seed, task, way, silence_limit }
    }
}

macro_rules! fault_kinds {
    ($($kind:ident, $name:literal, $what:literal;)*) => {
        /// A fault that can be injected.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $(#[doc = $what] $kind,)*
        }

        impl FaultKind {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// What it does, in a few words.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$kind => $what),* }
            }
        }
    };
}

fault_kinds! {
    Kill, "kill", "kill -9 at any moment";
    KillStart, "kill-start", "kill -9 right after the start and during recovery, several times";
    KillRoll, "kill-roll", "kill -9 when a new segment appears";
    KillShutdown, "kill-shutdown", "SIGTERM, and kill -9 before it is done";
    KillRetention, "kill-retention", "small retention, and kill -9 when a segment is deleted";
    Term, "term", "SIGTERM; the exit code has to be 0, in time";
    Stop, "stop", "SIGSTOP, and SIGCONT a few seconds later";
    Cut, "cut", "close connections, all or some";
    Reset, "reset", "reset connections (RST), all or some";
    Stall, "stall", "let no byte through for some seconds";
    SlowViewers, "slow-viewers", "some viewers read slowly";
    StoppedViewers, "stopped-viewers", "some viewers read nothing for seconds";
    Full, "full", "fill the disk and free it again (a tmpfs: root on Linux)";
    Inodes, "inodes", "take all inodes of the disk and give them back (a tmpfs: root on Linux)";
    Descriptors, "descriptors", "let the server open no file or connection for some seconds";
    Damage, "damage", "flip a bit or lose a page of a sealed segment while the server is down";
}

impl FaultKind {
    /// Those that are injected when none are named.
    pub fn defaults() -> Vec<Self> {
        let is_extra =
            |kind: &Self| matches!(kind, Self::KillRetention | Self::Damage) || kind.needs_volume();
        Self::ALL.iter().copied().filter(|kind| !is_extra(kind)).collect()
    }

    /// Whether it fills a volume of its own.
    pub(super) const fn needs_volume(self) -> bool {
        matches!(self, Self::Full | Self::Inodes)
    }

    /// Whether it happens at moments; the others are ways of viewers.
    pub(super) const fn is_event(self) -> bool {
        !matches!(self, Self::SlowViewers | Self::StoppedViewers)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault, known are {known}", known = names())]
pub struct UnknownFault(String);

fn names() -> String {
    FaultKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

impl FromStr for FaultKind {
    type Err = UnknownFault;
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: Vec<FaultKind>) -> Plan {
        let (duration, fault_every) = (Duration::from_secs(1), Duration::from_secs(1));
        let patience = Duration::from_secs(1);
        Plan {
            seed: 7,
            duration,
            producers: 7,
            viewers: 12,
            rate: 1.0,
            faults,
            fault_every,
            patience,
        }
    }

    #[test]
    fn a_seed_gives_one_plan() {
        let (one, other) = (plan(FaultKind::defaults()), plan(FaultKind::defaults()));
        let (one, other) = (one.round(1, 1, ServerKind::Own), other.round(1, 1, ServerKind::Own));
        assert_eq!((&one.producers, &one.viewers), (&other.producers, &other.viewers));
        assert_eq!(one.tasks.len(), 3);
    }

    #[test]
    fn a_shared_server_gets_no_viewer_that_reads_all_or_holds_back() {
        let round = plan(FaultKind::ALL.to_vec()).round(1, 1, ServerKind::Shared);
        let is_polite = |viewer: &ViewerPlan| {
            viewer.task.is_some() && !matches!(viewer.way, Way::Slow | Way::Stopped)
        };
        assert!(round.viewers.iter().all(is_polite));
    }

    #[test]
    fn every_fault_has_a_name_that_is_read_back() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        let error = "fire".parse::<FaultKind>().unwrap_err().to_string();
        assert!(error.starts_with("\"fire\" is not a fault, known are kill, "), "{error}");
    }
}
