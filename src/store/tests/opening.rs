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

    /// Opens with `bytes` as the segment.
    fn open(&self, bytes: &[u8]) -> Result<Store, OpenError> {
        fs::write(&self.segment, bytes).unwrap();
        open(self.options(), Box::new(|_, _| {}))
    }
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
        assert_eq!(count(&store).await, Ok(before.1), "torn at {end}");
        keep(&store, lines("a", &["again"])).await;
        assert_eq!(bodies(&store, "a").await.last().unwrap(), "again");
        store.close().await;
        let store = open_store(crashed.options());
        assert_eq!(count(&store).await, Ok(before.1 + 1), "torn at {end}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_tail_of_zeros_or_garbage_is_cut() {
    let crashed = crashed(Durability::Fsync).await;
    for filler in [0_u8, 0xf6, b'{'] {
        let mut bytes = crashed.bytes.clone();
        bytes.resize(bytes.len() + 5000, filler);
        let store = crashed.open(&bytes).unwrap();
        assert_eq!(count(&store).await, Ok(15));
        store.close().await;
    }
}

#[tokio::test]
async fn a_flipped_bit_before_the_last_commit_is_a_loud_error_that_changes_nothing() {
    let crashed = crashed(Durability::Fsync).await;
    for at in 0..crashed.commits[3].0 {
        let mut bytes = crashed.bytes.clone();
        bytes[at] ^= 0x20;
        let error = match crashed.open(&bytes) {
            Ok(_) => panic!("a flip at byte {at} went unnoticed"),
            Err(error) => error.to_string(),
        };
        let name = crashed.segment.to_str().unwrap();
        assert!(error.contains(name) && error.contains("damaged at byte"), "{error}");
        assert!(fs::read(&crashed.segment).unwrap() == bytes, "the file was changed, flip {at}");
    }
}

#[tokio::test]
async fn a_clean_end_proves_the_last_commit() {
    let crashed = crashed(Durability::Fsync).await;
    open_store(crashed.options()).close().await;
    let marked = fs::read(&crashed.segment).unwrap();
    assert!(marked.len() > crashed.bytes.len(), "no control chunk was written");
    for at in crashed.commits[3].0..crashed.commits[4].0 {
        let mut bytes = marked.clone();
        bytes[at] ^= 0x20;
        assert!(crashed.open(&bytes).is_err(), "a flip at byte {at} went unnoticed");
    }
    let store = crashed.open(&marked[..marked.len() - 1]).unwrap();
    assert_eq!(count(&store).await, Ok(15));
}

#[tokio::test]
async fn damage_to_what_was_never_synced_is_cut_at_the_first_place() {
    let crashed = crashed(Durability::Os).await;
    let mut bytes = crashed.bytes.clone();
    bytes[crashed.commits[1].0 + 10] ^= 0x20;
    let store = crashed.open(&bytes).unwrap();
    assert_eq!(count(&store).await, Ok(crashed.commits[1].1));
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
async fn damage_in_a_sealed_segment_is_reported_at_opening_or_at_reading() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_chunks: 4, ..StoreOptions::new(dir.path()) };
    let store = open_store(options.clone());
    for n in 0..8 {
        keep(&store, lines(["a", "b"][n % 2], &["body", "body"])).await;
    }
    store.close().await;
    let files = segment_files(dir.path());
    let whole = fs::read(&files[0]).unwrap();
    // What the footer says of tasks is in the task index too, which is read instead.
    let trailer = &whole[whole.len() - format::TRAILER_BYTES..];
    let data_end = u64::from_le_bytes(trailer[8..16].try_into().unwrap()) as usize;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&files[0], &bytes).unwrap();
        let Ok(store) = open(options.clone(), Box::new(|_, _| {})) else { continue };
        let results =
            [count(&store).await, count_task(&store, "a").await, count_task(&store, "b").await];
        let is_reported = results.iter().any(Result::is_err);
        let correct = results == [Ok(16), Ok(8), Ok(8)];
        assert!(is_reported || correct, "a flip at byte {at} gave {results:?}");
        let is_entry = (format::SEGMENT_HEADER_BYTES..data_end).contains(&at);
        assert!(is_reported || !is_entry, "a flip at byte {at} went unnoticed");
        store.close().await;
    }
}

async fn count_task(store: &Store, id: &str) -> Result<usize, ReadError> {
    Ok(read_all(store, Scope::Task(task(id)), 1, 1 << 20).await?.1.len())
}

#[tokio::test]
async fn a_missing_segment_between_others_and_a_cut_footer_are_loud_errors() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_chunks: 1, ..StoreOptions::new(dir.path()) };
    let store = open_store(options.clone());
    for _ in 0..4 {
        keep(&store, lines("a", &["x"])).await;
    }
    store.close().await;
    let files = segment_files(dir.path());
    let lacking = copy_dir(dir.path());
    fs::remove_file(lacking.path().join(files[1].file_name().unwrap())).unwrap();
    let error =
        open(StoreOptions::new(lacking.path()), Box::new(|_, _| {})).unwrap_err().to_string();
    assert!(error.contains("00000000000000000002.seg is missing"), "{error}");
    let bytes = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &bytes[..bytes.len() - 1]).unwrap();
    let error = open(options, Box::new(|_, _| {})).unwrap_err().to_string();
    assert!(error.contains("the sealed segment has no footer"), "{error}");
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
async fn a_damaged_or_missing_or_newer_meta_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_store(StoreOptions::new(dir.path())).close().await;
    let meta = dir.path().join("META");
    let whole = fs::read_to_string(&meta).unwrap();
    let refused = |text: Option<&str>| {
        match text {
            Some(text) => fs::write(&meta, text).unwrap(),
            None => fs::remove_file(&meta).unwrap(),
        }
        open(StoreOptions::new(dir.path()), Box::new(|_, _| {})).unwrap_err().to_string()
    };
    assert!(refused(Some(&whole.replace("epoch ", "epoch 1"))).contains("does not name a store"));
    let newer = refused(Some(&whole.replace("version 1", "version 2")));
    assert!(newer.contains("has format version 2, this server knows version 1"), "{newer}");
    assert!(refused(None).contains("it is missing, but there are segments"));
}
