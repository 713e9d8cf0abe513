//! The file `BACKUP`: what a backup consists of. It is written last, so a directory that has it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::Epoch;
use crate::store::data_dir::BACKUP;
use crate::store::format::{FilePosition, VERSION};
use crate::store::open_error::OpenError;

/// What a backup consists of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    #[serde(with = "hex")]
    pub(super) epoch: Epoch,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) made: u64,
    pub(super) segments: Vec<BackedUpSegment>,
    /// The files that tell which entries were lost before.
    pub(super) lost_ranges: Vec<String>,
}

/// One file of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BackedUpSegment {
    pub(super) base: u64,
    pub(super) bytes: u64,
    /// CRC-32C of the file.
    pub(super) crc: u32,
}

impl Manifest {
    pub(super) fn new(
        epoch: Epoch,
        made: u64,
        segments: Vec<BackedUpSegment>,
        lost_ranges: Vec<String>,
    ) -> Self {
        Self { version: VERSION, epoch, made, segments, lost_ranges }
    }

    /// The manifest in `dir`; `None` where there is none.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = path(dir);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(OpenError::io("read", &path))?,
        };
        let damaged = |what: &str| OpenError::damaged(&path, FilePosition(0), what);
        let found: serde_json::Value =
            serde_json::from_slice(&text).map_err(|_| damaged("it is not JSON"))?;
        let version = found.get("version").and_then(serde_json::Value::as_u64);
        match version.map(u32::try_from) {
            Some(Ok(VERSION)) => {}
            Some(Ok(found)) => return Err(OpenError::Version { path, found, known: VERSION }),
            _ => return Err(damaged("it has no version")),
        }
        serde_json::from_value(found).map(Some).map_err(|error| damaged(&error.to_string()))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("numbers always encode into memory")
    }
}

/// The manifest's file in `dir`.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(BACKUP)
}

/// An epoch as in event ids: eight hex digits.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::Epoch;

    pub(super) fn serialize<S: Serializer>(epoch: &Epoch, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(epoch)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Epoch, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        u32::from_str_radix(&text, 16).map(Epoch).map_err(D::Error::custom)
    }
}
