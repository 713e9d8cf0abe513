//! Damage: what is sound is read, what is not is told, and the store serves.

use super::super::retention::wait_for_segments;
use super::*;

/// A data directory with everything that was acknowledged in it.
struct Acknowledged {
    dir: tempfile::TempDir,
    entries: Vec<Seen>,
}

/// Several segments of three tasks, the last one closed cleanly or not.
async fn kept(durability: Durability, is_closed: bool) -> Acknowledged {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_chunks: 6, durability, ..StoreOptions::new(dir.path()) };
    let store = open_store(options);
    for n in 0..14 {
        let long = "x".repeat(1500 * (n % 2));
        let mut batch = lines("a", &[&format!("a{n}"), &long]);
        batch.runs.extend(lines(["b", "c"][n % 2], &[&format!("b{n}")]).runs);
        keep(&store, batch).await;
    }
    let (gaps, entries) = read_all(&store, Scope::All, 1, 1 << 20).await.unwrap();
    assert_eq!((gaps.len(), entries.len()), (0, 42));
    let copy = copy_dir(dir.path());
    store.close().await;
    let dir = if is_closed { copy_dir(dir.path()) } else { copy };
    Acknowledged { dir, entries }
}

impl Acknowledged {
    /// What is written while it is checked need not outlive the test.
    fn options(&self) -> StoreOptions {
        StoreOptions { durability: Durability::Os, ..StoreOptions::new(self.dir.path()) }
    }

    fn copy(&self) -> Self {
        Self { dir: copy_dir(self.dir.path()), entries: self.entries.clone() }
    }

    fn repaired(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        offline::repair(self.dir.path(), dir.path(), &|_, _| {}).unwrap();
        Self { dir, entries: self.entries.clone() }
    }

    fn file(&self, at: usize) -> PathBuf {
        segment_files(self.dir.path()).remove(at)
    }

    /// Opens it, reads everything in every way, and fails unless each entry is read as it was kept or told
    /// to be missing. Returns how many are missing, and the gaps of the read of all.
    async fn check(&self, what: &str) -> (usize, Vec<Gap>) {
        let store = open(self.options(), Box::new(|_, _| {}))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut found = (0, Vec::new());
        for scope in [None, Some("a"), Some("b"), Some("c")] {
            let wanted = |entry: &&Seen| scope.is_none_or(|id| entry.1 == id);
            let expected: Vec<_> = self.entries.iter().filter(wanted).cloned().collect();
            let of_scope = scope.map_or(Scope::All, |id| Scope::Task(task(id)));
            let max_bytes = if what.len().is_multiple_of(2) { 1 } else { 1 << 20 };
            let (gaps, seen) = read_all(&store, of_scope, 1, max_bytes).await.unwrap();
            let missing = missing(&expected, &gaps, &seen, &format!("{what}, {scope:?}"));
            if scope.is_none() {
                found = (missing, gaps);
            }
        }
        for (offset, id, line, _) in self.entries.iter().skip(what.len() % 7).step_by(7) {
            let line = line.unwrap();
            let located = store.locate(task(id), line).await.unwrap();
            let (gaps, seen) =
                read_all(&store, Scope::Task(task(id)), located.0, 1 << 20).await.unwrap();
            let is_told = gaps.iter().any(|gap| gap.from.0 <= *offset && *offset <= gap.to.0);
            let is_there = seen.first().is_some_and(|first| first.2 == Some(line));
            assert!(is_told || is_there, "{what}: line {line} of {id} is neither there nor told");
        }
        keep(&store, lines("a", &["after"])).await;
        let (_, seen) = read_all(&store, Scope::Task(task("a")), 1, 1 << 20).await.unwrap();
        assert_eq!(seen.last().unwrap().3, "after", "{what}");
        store.close().await;
        found
    }
}

/// How many of `expected` are missing in `seen`; each must be told in `gaps`, and nothing else be there.
fn missing(expected: &[Seen], gaps: &[Gap], seen: &[Seen], what: &str) -> usize {
    let mut rest = seen.iter().peekable();
    let mut missing = 0;
    for entry in expected {
        if rest.peek() == Some(&entry) {
            rest.next();
            continue;
        }
        let is_told = gaps.iter().any(|gap| (gap.from..=gap.to).contains(&Offset(entry.0)));
        assert!(is_told, "{what}: {} of {} is not told: {gaps:?}", entry.0, entry.1);
        missing += 1;
    }
    assert_eq!(rest.next(), None, "{what}: something else is there");
    missing
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_bit_flipped_at_2000_places_takes_nothing_that_is_not_told() {
    let mut random = fastrand::Rng::with_seed(10);
    let mut told = 0;
    for (durability, is_closed) in [
        (Durability::Fsync, true),
        (Durability::Fsync, false),
        (Durability::Os, true),
        (Durability::Os, false),
    ] {
        let sound = kept(durability, is_closed).await;
        assert_eq!(sound.copy().check("without damage").await, (0, vec![]));
        for _ in 0..500 {
            let damaged = sound.copy();
            let files = segment_files(damaged.dir.path());
            let file = &files[random.usize(..files.len())];
            let length = fs::metadata(file).unwrap().len() as usize;
            let (at, bit) = (random.usize(..length), random.u8(..8));
            flip(file, at, bit);
            let name = file.file_name().unwrap().to_str().unwrap();
            let what = format!("{durability:?}, closed: {is_closed}, {name} byte {at} bit {bit}");
            let repaired = (told % 25 == 7).then(|| damaged.repaired());
            let (missing, gaps) = damaged.check(&what).await;
            told += usize::from(missing > 0);
            if let Some(repaired) = repaired {
                let (as_well, _) = repaired.check(&format!("repaired: {what}")).await;
                assert!(as_well <= missing, "{what}: {as_well} are missing where {missing} were");
            }
            assert!(missing < 12, "{what}: {missing} entries are missing: {gaps:?}");
            if told.is_multiple_of(10) {
                let again = damaged.missing_again(&what).await;
                assert!(again >= missing, "{what}: told only once");
            }
        }
    }
    assert!(told > 500, "only {told} flips took something");
}

impl Acknowledged {
    /// Opens it once more: what was told is told again.
    async fn missing_again(&self, what: &str) -> usize {
        let store = open(self.options(), Box::new(|_, _| {})).unwrap();
        let (gaps, seen) = read_all(&store, Scope::All, 1, 1 << 20).await.unwrap();
        let mut expected = self.entries.clone();
        expected.extend(seen.last().filter(|last| last.3 == "after").cloned());
        let missing = missing(&expected, &gaps, &seen, what);
        store.close().await;
        missing
    }
}

#[tokio::test]
async fn a_lost_page_a_cut_file_and_a_missing_one_are_told_and_what_is_behind_is_read() {
    let sound = kept(Durability::Fsync, true).await;
    let count = segment_files(sound.dir.path()).len();
    for at in 0..count {
        let lost = sound.copy();
        let mut bytes = fs::read(lost.file(at)).unwrap();
        let end = bytes.len().min(700);
        bytes[200..end].fill(0);
        fs::write(lost.file(at), bytes).unwrap();
        let (missing, _) = lost.check(&format!("a lost page of segment {at}")).await;
        assert!((1..=12).contains(&missing), "{missing}");

        let cut = sound.copy();
        let bytes = fs::read(cut.file(at)).unwrap();
        fs::write(cut.file(at), &bytes[..bytes.len() / 2]).unwrap();
        cut.check(&format!("half of segment {at}")).await;

        let lacking = sound.copy();
        fs::remove_file(lacking.file(at)).unwrap();
        if (1..count - 1).contains(&at) {
            let (missing, gaps) = lacking.check(&format!("segment {at} is missing")).await;
            assert_eq!((missing > 0, gaps.len(), gaps[0].reason), (true, 1, "damage"));
        }
    }
}

#[tokio::test]
async fn without_its_footer_and_its_index_a_segment_is_read_from_its_chunks() {
    let sound = kept(Durability::Fsync, true).await;
    for removed in 1..120 {
        let cut = sound.copy();
        let bytes = fs::read(cut.file(0)).unwrap();
        fs::write(cut.file(0), &bytes[..bytes.len() - removed]).unwrap();
        fs::remove_file(cut.dir.path().join("TASKS")).unwrap();
        assert_eq!(cut.check(&format!("{removed} bytes of the footer")).await, (0, vec![]));
    }
}

#[tokio::test]
async fn the_file_that_names_the_store_is_made_anew_from_the_segments() {
    let sound = kept(Durability::Fsync, true).await;
    let epoch = open_store(sound.copy().options()).epoch();
    for text in [None, Some("nonsense"), Some("version 1\nepoch 00000000\ncrc 00000000\n")] {
        let damaged = sound.copy();
        let meta = damaged.dir.path().join("META");
        match text {
            Some(text) => fs::write(&meta, text).unwrap(),
            None => fs::remove_file(&meta).unwrap(),
        }
        assert_eq!(damaged.check("META").await, (0, vec![]));
        assert_eq!(open_store(damaged.options()).epoch(), epoch);
        let aside = fs::read_to_string(damaged.dir.path().join("META.damaged")).ok();
        assert_eq!(aside.as_deref(), text);
    }
}

#[tokio::test]
async fn what_is_cut_off_is_set_aside_byte_for_byte_until_its_segment_goes() {
    let sound = kept(Durability::Fsync, false).await;
    let file = segment_files(sound.dir.path()).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let (missing, gaps) = sound.check("a torn end").await;
    assert_eq!((missing, gaps.len(), gaps[0].reason), (3, 1, "crash"));
    let set_aside = |dir: &Path| {
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|it| it == "crash")).collect::<Vec<_>>()
    };
    let aside = set_aside(sound.dir.path());
    let kept = fs::read(&aside[0]).unwrap();
    assert!(bytes[..bytes.len() - 3].ends_with(&kept) && kept.len() > 100);
    let options = StoreOptions { retention_bytes: Some(1), ..sound.options() };
    let store = open_store(StoreOptions { segment_chunks: 1, ..options.clone() });
    keep(&store, lines("a", &["more"])).await;
    wait_for_segments(&store, 1).await;
    store.close().await;
    open_store(options).close().await;
    assert_eq!(set_aside(sound.dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_cannot_be_read_does_not_go_early_for_its_age() {
    let damaged = kept(Durability::Fsync, true).await;
    let bytes = fs::metadata(damaged.file(0)).unwrap().len() as usize;
    fs::write(damaged.file(0), vec![0; bytes]).unwrap();
    fs::remove_file(damaged.file(2)).unwrap();
    let files = segment_files(damaged.dir.path());
    let age = Some(std::time::Duration::from_secs(3600));
    let store = open_store(StoreOptions { retention_age: age, ..damaged.options() });
    keep(&store, lines("a", &["after"])).await;
    store.close().await;
    assert_eq!(segment_files(damaged.dir.path())[..files.len()], files);
}
