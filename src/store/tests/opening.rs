//! Opening: after a clean end, after a crash, after damage.

use super::*;

/// A closed-off copy of a store's only segment: its path, its bytes and where commits end.
struct Crashed {
    dir: tempfile::TempDir,
    segment: PathBuf,
    bytes: Vec<u8>,
    /// The file's length after each commit, and the entries kept by then.
    commits: Vec<(usize, usize)>,
}

/// A store of some commits over two tasks that was never closed.
async fn crashed(durability: Durability) -> Crashed {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions { durability, ..StoreOptions::new(dir.path()) });
    let segment = segment_files(dir.path()).remove(0);
    let mut commits = Vec::new();
    for n in 0..5 {
        let long = "x".repeat(2000 * (n % 2));
        let mut batch = lines("a", &[&format!("a{n}"), &long]);
        batch.runs.extend(lines("b", &[&format!("b{n}")]).runs);
        keep(&store, batch).await;
        commits.push((fs::metadata(&segment).unwrap().len() as usize, 3 * (n + 1)));
    }
    let copy = copy_dir(dir.path());
    store.close().await;
    let segment = copy.path().join(segment.file_name().unwrap());
    let bytes = fs::read(&segment).unwrap();
    Crashed { dir: copy, segment, bytes, commits }
}

impl Crashed {
    fn options(&self) -> StoreOptions {
        StoreOptions::new(self.dir.path())
    }

    /// Removes what was set aside.
    fn forget_crashes(&self) {
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|reason| reason == "crash") {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Opens with `bytes` as the segment.
    fn open(&self, bytes: &[u8]) -> Result<Store, OpenError> {
        fs::write(&self.segment, bytes).unwrap();
        open(self.options(), Box::new(|_, _| {}))
    }
}

/// How many entries both tasks have, and whether a gap says that a crash may have cut off more.
async fn told(store: &Store) -> (usize, bool) {
    let (gaps, seen) = read_all(store, Scope::All, 1, 1 << 20).await.unwrap();
    assert!(gaps.iter().all(|gap| gap.reason == "crash"), "{gaps:?}");
    (seen.len(), !gaps.is_empty())
}

/// How many entries both tasks have.
async fn count(store: &Store) -> Result<usize, ReadError> {
    let (gaps, seen) = read_all(store, Scope::All, 1, 1 << 20).await?;
    assert_eq!(gaps, []);
    Ok(seen.len())
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let crashed = crashed(Durability::Fsync).await;
    let store = open_store(crashed.options());
    assert_eq!(count(&store).await, Ok(15));
    assert_eq!(store.tail(), Offset(16));
    keep(&store, lines("a", &["more"])).await;
    store.close().await;
    assert_eq!(bodies(&open_store(crashed.options()), "a").await.last().unwrap(), "more");
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_of_the_last_commit_is_cut_and_appending_goes_on() {
    let crashed = crashed(Durability::Fsync).await;
    let (before, whole) = (crashed.commits[3], crashed.commits[4]);
    for end in before.0..whole.0 {
        let store = crashed.open(&crashed.bytes[..end]).unwrap();
        let is_cut = end > before.0;
        assert_eq!(told(&store).await, (before.1, is_cut), "torn at {end}");
        keep(&store, lines("a", &["again"])).await;
        let (_, seen) = read_all(&store, Scope::Task(task("a")), 1, 1 << 20).await.unwrap();
        assert_eq!(seen.last().unwrap().3, "again");
        store.close().await;
        let store = open_store(crashed.options());
        assert_eq!(told(&store).await, (before.1 + 1, is_cut), "torn at {end}");
        store.close().await;
        crashed.forget_crashes();
    }
}

#[tokio::test]
async fn a_tail_of_zeros_or_garbage_is_cut() {
    let crashed = crashed(Durability::Fsync).await;
    for filler in [0_u8, 0xf6, b'{'] {
        let mut bytes = crashed.bytes.clone();
        bytes.resize(bytes.len() + 5000, filler);
        let store = crashed.open(&bytes).unwrap();
        assert_eq!(told(&store).await, (15, true));
        store.close().await;
        crashed.forget_crashes();
    }
}

#[tokio::test]
async fn a_store_of_many_segments_reopens_with_all_of_it_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_bytes: 600, ..StoreOptions::new(dir.path()) };
    for round in 0..4_u64 {
        let store = open_store(options.clone());
        for n in 0..20 {
            keep(&store, lines(["a", "b", "c"][n % 3], &["body"])).await;
        }
        let expected = (round + 1) * 20;
        for max_bytes in [1, 1 << 20] {
            let (gaps, seen) = read_all(&store, Scope::All, 1, max_bytes).await.unwrap();
            let offsets: Vec<_> = seen.iter().map(|entry| entry.0).collect();
            assert_eq!((gaps.len(), offsets), (0, (1..=expected).collect()));
        }
        assert_eq!(bodies(&store, "a").await.len() as u64, 7 * (round + 1));
        store.close().await;
    }
    assert!(segment_files(dir.path()).len() > 10);
}

#[tokio::test]
async fn a_footer_that_was_not_finished_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_chunks: 2, ..StoreOptions::new(dir.path()) };
    let store = open_store(options.clone());
    keep(&store, lines("a", &["1"])).await;
    keep(&store, lines("a", &["2"])).await;
    store.close().await;
    let files = segment_files(dir.path());
    assert_eq!(files.len(), 2);
    let whole = fs::read(&files[0]).unwrap();
    for missing in 1..=100 {
        segment_files(dir.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
        fs::write(&files[0], &whole[..whole.len() - missing]).unwrap();
        let store = open_store(options.clone());
        assert_eq!(bodies(&store, "a").await, ["1", "2"], "{missing} bytes are missing");
        keep(&store, lines("b", &["3"])).await;
        store.close().await;
        let store = open_store(options.clone());
        assert_eq!(bodies(&store, "b").await, ["3"], "{missing} bytes are missing");
        assert_eq!(store.stats().segments, 2);
        store.close().await;
    }
}

#[tokio::test]
async fn a_segment_whose_creation_was_interrupted_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    open_store(StoreOptions::new(dir.path())).close().await;
    let file = segment_files(dir.path()).remove(0);
    for bytes in 0..format::SEGMENT_HEADER_BYTES as u64 {
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(bytes).unwrap();
        let store = open_store(StoreOptions::new(dir.path()));
        store.close().await;
    }
}

#[tokio::test]
async fn a_second_store_in_one_directory_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(StoreOptions::new(dir.path()));
    let epoch = store.epoch();
    let error = open(StoreOptions::new(dir.path()), Box::new(|_, _| {})).unwrap_err().to_string();
    let expected =
        format!("the data directory {} is in use by another server", dir.path().display());
    assert_eq!(error, expected);
    store.close().await;
    assert_eq!(open_store(StoreOptions::new(dir.path())).epoch(), epoch);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("data");
    let unusable = [&file, &below, Path::new("/proc/otto-handler-data")];
    for path in unusable {
        let error = open(StoreOptions::new(path), Box::new(|_, _| {})).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    let missing = dir.path().join("some/where/data");
    assert!(open(StoreOptions::new(&missing), Box::new(|_, _| {})).is_ok());
    assert!(missing.join("META").exists());
}

#[tokio::test]
async fn a_newer_meta_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_store(StoreOptions::new(dir.path())).close().await;
    let meta = dir.path().join("META");
    let whole = fs::read_to_string(&meta).unwrap();
    let refused = |text: &str| {
        fs::write(&meta, text).unwrap();
        open(StoreOptions::new(dir.path()), Box::new(|_, _| {})).unwrap_err().to_string()
    };
    let newer = refused(&whole.replace("version 1", "version 2"));
    assert!(newer.contains("has format version 2, this server knows version 1"), "{newer}");
}
