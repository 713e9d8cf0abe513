//! What the flags mean to the parts of the server: the options that each is started with.

use bytesize::ByteSize;
use http::Uri;

use super::args::{AuthMode, PullMode, ServeArgs};
use crate::http::{Auth, HttpOptions, MetricsPlace, Verifier};
use crate::hub::hub_blocks_bytes;
use crate::ingest::Limits;
use crate::pull::{Mode, Polling, PullOptions};
use crate::store::StoreOptions;

/// The longest line where nothing is said.
const LINE_BYTES: ByteSize = ByteSize::mib(16);

/// A limit of 0 is none.
pub(super) fn limit<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

pub(super) fn store(args: &ServeArgs) -> StoreOptions {
    StoreOptions {
        durability: args.durability,
        segment_bytes: args.segment_bytes.as_u64(),
        queue_bytes: args.queue_bytes.as_u64() as usize,
        memory_bytes: hub_blocks_bytes(args.hub_bytes.as_u64() as usize),
        retention_age: limit(args.retention_age),
        retention_bytes: limit(args.retention_bytes).map(|size| size.as_u64()),
        task_bytes: limit(args.task_bytes).map(|size| size.as_u64()),
        min_free_bytes: args.min_free_bytes.map(|size| size.as_u64()),
        stall_timeout: args.store_stall_timeout,
        ..StoreOptions::new(&args.data_dir)
    }
}

pub(super) fn http(args: &ServeArgs) -> HttpOptions {
    let auth = match (args.auth, &args.jwt_secret) {
        (AuthMode::Jwt, Some(secret)) => Auth::Jwt(Verifier::hs256(secret.as_bytes())),
        _ => Auth::None,
    };
    HttpOptions {
        frontend_url: args.frontend_url.trim_end_matches('/').to_owned(),
        base_path: args.base_path.clone(),
        grpc_addr: None,
        auth,
        heartbeat: args.heartbeat,
        viewer_stall_timeout: args.viewer_stall_timeout,
        max_viewers: args.max_viewers,
        metrics: match args.observe.metrics_addr {
            Some(_) => MetricsPlace::OwnPort,
            None => MetricsPlace::HttpPort,
        },
        access_log: args.observe.access_log,
        reader_bytes: args.reader_bytes.as_u64() as usize,
    }
}

pub(super) fn limits(args: &ServeArgs) -> Limits {
    let line_bytes = args.max_line_bytes.unwrap_or_else(|| default_line_bytes(args));
    Limits {
        entry_bytes: args.max_entry_bytes.as_u64() as usize,
        line_bytes: line_bytes.as_u64() as usize,
        streams: args.max_push_streams,
        stall_timeout: args.store_stall_timeout,
        idle_ack: Limits::IDLE_ACK,
        budget_bytes: args.ingest_bytes.as_u64().saturating_sub(args.queue_bytes.as_u64()) as usize,
    }
}

/// The longest line that may be asked for: with the rest of its entry it takes half of the memory for
/// what is not in the append queue yet.
pub(super) fn longest_line(args: &ServeArgs) -> ByteSize {
    let room = args.ingest_bytes.as_u64().saturating_sub(args.queue_bytes.as_u64());
    let longest = (room / 2).saturating_sub(args.max_entry_bytes.as_u64());
    ByteSize(longest.max(args.max_entry_bytes.as_u64()))
}

fn default_line_bytes(args: &ServeArgs) -> ByteSize {
    longest_line(args).min(LINE_BYTES.max(args.max_entry_bytes))
}

/// `None` where nothing is pulled.
pub(super) fn pull(args: &ServeArgs, from: Option<Uri>) -> Option<PullOptions> {
    let mode = match args.pull_mode {
        PullMode::Off => return None,
        PullMode::Fallback => Mode::Fallback { after: args.pull_after },
        PullMode::Always => Mode::Always,
    };
    Some(PullOptions::new(from?, mode, Polling::new(args.pull_status_interval)))
}

/// One thread per core where nothing is said.
pub(super) fn threads(args: &ServeArgs) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    args.threads.unwrap_or_else(cores)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn args(flags: &[&str]) -> ServeArgs {
        ServeArgs::read(flags.iter().copied()).unwrap()
    }

    #[test]
    fn nothing_is_pulled_without_a_source_or_when_it_is_switched_off() {
        let from = || Some(Uri::from_static("http://source:1"));
        let after = Duration::from_secs(5);
        let cases: [(&[&str], Option<Uri>, Option<Mode>); 4] = [
            (&[], None, None),
            (&["--pull-mode=off"], from(), None),
            (&["--pull-after=5s"], from(), Some(Mode::Fallback { after })),
            (&["--pull-mode=always"], from(), Some(Mode::Always)),
        ];
        for (flags, from, expected) in cases {
            let mode = pull(&args(flags), from).map(|options| options.mode);
            assert_eq!(mode, expected, "{flags:?}");
        }
    }

    #[test]
    fn a_line_may_have_16_mib_or_what_there_is_memory_for() {
        let line_mib = |flags: &[&str]| limits(&args(flags)).line_bytes >> 20;
        assert_eq!(line_mib(&[]), 16);
        assert_eq!(line_mib(&["--ingest-bytes=24MiB", "--queue-bytes=8MiB"]), 7);
        assert_eq!(line_mib(&["--ingest-bytes=24MiB", "--max-entry-bytes=4MiB"]), 4);
        assert_eq!(line_mib(&["--max-line-bytes=2MiB"]), 2);
        assert_eq!(limits(&args(&[])).message_bytes() >> 20, 17);
    }

    #[test]
    fn a_limit_of_0_is_none_where_there_may_be_none() {
        let flags = ["--retention-age=0", "--retention-bytes=0", "--task-bytes=0"];
        let options = store(&args(&flags));
        assert_eq!((options.retention_age, options.retention_bytes), (None, None));
        assert_eq!((options.task_bytes, options.min_free_bytes), (None, None));
        assert_eq!(store(&args(&["--min-free-bytes=0"])).min_free_bytes, Some(0));
        let tasks = ["--auth=none", "--task-retention-age=0s", "--task-retention-count=0"];
        assert!(crate::config::Config::new(args(&tasks)).unwrap().task_retention.is_off());
    }

    #[test]
    fn readers_show_a_token_unless_auth_is_none() {
        let secret = "--jwt-secret=0123456789abcdef0123456789abcdef";
        assert!(matches!(http(&args(&[secret])).auth, Auth::Jwt(_)));
        assert!(matches!(http(&args(&[secret, "--auth=none"])).auth, Auth::None));
    }

    #[test]
    fn the_front_ends_origin_loses_its_slash() {
        let options = http(&args(&["--frontend-url=http://ci.example/"]));
        assert_eq!(options.frontend_url, "http://ci.example");
    }
}
