//! What holds for an instance and for each of its calls.
use crate::own::Texts;
use crate::runtime::TICK;
use crate::size::bytes;
use napi_derive::napi;
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;
use wasmtime::component::Val;

/// Epochs between two looks at the clock; other guests on the thread get their turn then.
pub const EPOCHS_BETWEEN_CHECKS: u64 = 2;
/// A call that computes for more than so many looks rests after each, where it is to: about as long as it computed.
const LOOKS_WITHOUT_REST: u32 = 3;
pub const REST: Duration = Duration::from_millis(2);

/// What holds for an instance.
#[napi(object)]
pub struct InstanceOptions {
    pub memory_bytes_max: f64,
    /// Of an answer, and of what a host call is given.
    pub crossing_bytes_max: f64,
    /// For the instantiation itself.
    pub deadline_ms: u32,
    /// Its long calls let others go before them.
    pub rests: bool,
    /// Left out: calls of `log`, `config` and `clock` go to the host as all others.
    pub own: Option<Texts>,
}

/// What holds for one call, and which of it ended the call.
pub struct Limits {
    deadline: Instant,
    /// How often the guest may yet be looked at. A guest that did not run in between, since others had the processor, is not looked at.
    looks_left: u32,
    looked: u32,
    pub memory_bytes: usize,
    memory_bytes_max: usize,
    crossing_bytes_max: usize,
    /// Which limit ended the call, when one did.
    pub stopped: Option<&'static str>,
}

impl Limits {
    pub fn new(options: &InstanceOptions) -> Limits {
        Limits {
            deadline: Instant::now() + Duration::from_millis(options.deadline_ms.into()),
            looks_left: u32::MAX,
            looked: 0,
            memory_bytes: 0,
            memory_bytes_max: options.memory_bytes_max as usize,
            crossing_bytes_max: options.crossing_bytes_max as usize,
            stopped: None,
        }
    }

    /// `running`: so long it may compute, however much of the time until the deadline it has the processor.
    pub fn begin(&mut self, deadline: Instant, running: Option<Duration>) {
        (self.deadline, self.stopped, self.looked) = (deadline, None, 0);
        let looks = running.map(|time| time.as_millis() / (TICK.as_millis() * u128::from(EPOCHS_BETWEEN_CHECKS)));
        self.looks_left = looks.and_then(|looks| u32::try_from(looks).ok()).unwrap_or(u32::MAX);
    }

    /// Fails where it is too much: it takes the time of the thread that everybody shares.
    pub fn cross<'a>(&mut self, what: &str, values: impl Iterator<Item = &'a Val>) -> wasmtime::Result<()> {
        let (size, max) = (values.map(bytes).sum::<usize>(), self.crossing_bytes_max);
        if size <= max {
            return Ok(());
        }
        self.stopped = Some("size");
        Err(wasmtime::Error::msg(format!("{what} has {size} bytes, and may have {max}")))
    }

    /// It has computed for long.
    pub fn is_long(&self) -> bool {
        self.looked >= LOOKS_WITHOUT_REST
    }

    pub fn check(&mut self) -> wasmtime::Result<()> {
        if Instant::now() < self.deadline && self.looks_left > 0 {
            self.looks_left -= 1;
            self.looked = self.looked.saturating_add(1);
            return Ok(());
        }
        self.stopped = Some("deadline");
        Err(wasmtime::Error::msg("the deadline is over"))
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_sub(current) + desired;
        if total > self.memory_bytes_max {
            self.stopped = Some("memory");
            return Err(wasmtime::Error::msg(format!("the memory cap of {} bytes is reached", self.memory_bytes_max)));
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 65_536)
    }
}
