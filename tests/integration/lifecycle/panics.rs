//! A server that lost a part of itself ends and says why.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use otto_handler::store::{Disk, DiskFile, FileState, RealDisk, Room};
use tonic::Code;

use crate::support::{Producer, TestServer, connect, entry, within};

/// The real disk, until it panics on a write.
#[derive(Debug, Clone, Default)]
struct PanickingDisk(Arc<AtomicBool>);

#[derive(Debug)]
struct PanickingFile {
    file: Arc<dyn DiskFile>,
    panics: Arc<AtomicBool>,
}

impl PanickingDisk {
    fn file(&self, file: io::Result<Arc<dyn DiskFile>>) -> io::Result<Arc<dyn DiskFile>> {
        let panics = Arc::clone(&self.0);
        file.map(|file| Arc::new(PanickingFile { file, panics }) as Arc<dyn DiskFile>)
    }
}

impl Disk for PanickingDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(RealDisk.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.file(RealDisk.open(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        RealDisk.state(path)
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        RealDisk.room(dir)
    }
}

impl DiskFile for PanickingFile {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        assert!(!self.panics.load(Ordering::Relaxed), "as the test asked for");
        self.file.write(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    fn state(&self) -> io::Result<FileState> {
        self.file.state()
    }
}

#[tokio::test]
async fn a_panic_of_the_committer_ends_the_server_with_the_reason_and_acknowledges_nothing() {
    let disk = PanickingDisk::default();
    let dir = tempfile::tempdir().unwrap();
    let server =
        TestServer::start_in(dir, &[], |options| options.disk = Arc::new(disk.clone())).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, vec![entry("t", "kept")]).await;
    disk.0.store(true, Ordering::Relaxed);
    producer.send(entry("t", "not kept")).await;
    let ended = within("the stream's end", producer.responses.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    let error = server.ended().await.unwrap_err();
    assert_eq!(error.to_string(), "the store's committer panicked");
}
