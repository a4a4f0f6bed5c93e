//! Compiled functions by their contents. Components made by one toolchain hold the same interpreter: what one of them compiled is found by the
//! next, in whatever process. They are kept in one file and read when something has to be compiled, which is seldom.
//!
//! The file is a row of entries: length of the key and of the value (32 bits each, little endian), key, value. It appears whole, by rename.
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wasmtime::CacheStore;

/// Kept of what was compiled; more than this, and all begins anew.
const BYTES_MAX: usize = 96 << 20;
/// Fewer new bytes than this are not worth writing everything again.
const NEW_BYTES_MIN: usize = 128 << 10;
const HEAD_BYTES: usize = 8;

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    new_bytes: usize,
    functions: HashMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct Functions {
    kept: Mutex<Kept>,
    /// One compilation at a time: each uses all processors, and what it found is in memory for so long only.
    turn: Mutex<()>,
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.kept().functions.get(key).map(|function| Cow::Owned(function.clone()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut kept = self.kept();
        let bytes = HEAD_BYTES + key.len() + value.len();
        if kept.bytes + bytes > BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.new_bytes += bytes;
        kept.functions.insert(key.to_vec(), value).is_none()
    }
}

impl Functions {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `compile` with what the file has, and writes what it added. A file that cannot be read or written costs time only.
    pub fn with<T>(&self, file: &Path, compile: impl FnOnce() -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *self.kept() = read(file).unwrap_or_default();
        let made = compile();
        let kept = std::mem::take(&mut *self.kept());
        if kept.new_bytes >= NEW_BYTES_MIN {
            let _ = write(file, &kept);
        }
        made
    }
}

fn read(file: &Path) -> Option<Kept> {
    let bytes = std::fs::read(file).ok()?;
    let mut kept = Kept { bytes: bytes.len(), ..Kept::default() };
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (head, behind) = rest.split_at_checked(HEAD_BYTES)?;
        let length = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (key, behind) = behind.split_at_checked(length(0))?;
        let (value, behind) = behind.split_at_checked(length(4))?;
        kept.functions.insert(key.to_vec(), value.to_vec());
        rest = behind;
    }
    Some(kept)
}

fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(kept.bytes);
    for (key, value) in &kept.functions {
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(key);
        bytes.extend(value);
    }
    let beside = file.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, file)
}
