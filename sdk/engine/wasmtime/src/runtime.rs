//! One wasmtime engine for the process: pooled instances, epochs for deadlines, compiled code kept on disk.
use crate::functions::Functions;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

/// How often a running guest is asked whether its time is up.
pub const TICK: Duration = Duration::from_millis(1);
/// The ticker goes on for so long after the last call, so that frequent short calls don't wake it each time.
const LINGER: Duration = Duration::from_millis(50);
/// Live instances in the process; a call more than this waits in the host's queue or fails to start.
const INSTANCES_MAX: u32 = 128;
/// The greatest memory cap a manifest may ask for.
const MEMORY_BYTES_MAX: usize = 1 << 30;

fn config(pooled: bool, fuel: bool, functions: &Arc<Functions>) -> Config {
    let mut config = Config::new();
    // Refused only where the crate is built without it.
    let _ = config.enable_incremental_compilation(functions.clone());
    config.epoch_interruption(true);
    config.consume_fuel(fuel);
    config.wasm_component_model(true);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(INSTANCES_MAX);
        pool.total_core_instances(INSTANCES_MAX * 24);
        pool.total_memories(INSTANCES_MAX * 2);
        pool.total_tables(INSTANCES_MAX * 16);
        pool.total_stacks(INSTANCES_MAX);
        pool.max_core_instances_per_component(64);
        pool.max_memories_per_component(4);
        pool.max_tables_per_component(64);
        pool.table_elements(65_536);
        pool.max_memory_size(MEMORY_BYTES_MAX);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

struct Ticker {
    calls: AtomicUsize,
    parked: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

pub struct Runtime {
    pub engine: Engine,
    pub pooled: bool,
    /// What guests do is counted: it costs each of them some speed, so that others have an engine without.
    pub fuel: bool,
    functions: Arc<Functions>,
    ticker: Arc<Ticker>,
}

/// Held while a guest runs: time passes only then.
pub struct Running(Arc<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Runtime {
    /// Without room for the pool's address space (small virtual memory limits), and where fuel is counted, instances are made on demand.
    fn new(fuel: bool) -> Result<Runtime> {
        let functions = Arc::new(Functions::default());
        let pool = if fuel { None } else { Engine::new(&config(true, fuel, &functions)).ok() };
        let (engine, pooled) = match pool {
            Some(engine) => (engine, true),
            None => (Engine::new(&config(false, fuel, &functions))?, false),
        };
        let ticker = Arc::new(Ticker {
            calls: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let (clock, ticking) = (engine.clone(), ticker.clone());
        std::thread::Builder::new().name("capstan-epochs".into()).spawn(move || tick(&clock, &ticking))?;
        Ok(Runtime { engine, pooled, fuel, functions, ticker })
    }

    pub fn running(&self) -> Running {
        self.ticker.calls.fetch_add(1, Ordering::SeqCst);
        if self.ticker.parked.load(Ordering::SeqCst) {
            let _guard = self.ticker.lock.lock();
            self.ticker.wake.notify_one();
        }
        Running(self.ticker.clone())
    }

    /// Compiled code of the component with this digest: from the cache, or compiled and put there. The cache's directory must
    /// be writable by its owner only: what is in it is run as native code. The name tells digest, version, settings and CPU.
    pub fn component(&self, cache: &Path, digest: &str, bytes: &[u8]) -> Result<(Component, bool)> {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        let settings = hasher.finish();
        let path: PathBuf = cache.join(format!("{}-{settings:016x}.cwasm", digest.replace(':', "-")));
        if path.exists() {
            // Safety: see above. A file cut short or of another version is refused, and made again.
            if let Ok(component) = unsafe { Component::deserialize_file(&self.engine, &path) } {
                return Ok((component, true));
            }
        }
        let functions = cache.join(format!("functions-{settings:016x}.bin"));
        let compiled = self.functions.with(&functions, || self.engine.precompile_component(bytes))?;
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        if std::fs::write(&beside, &compiled).and_then(|()| std::fs::rename(&beside, &path)).is_ok() {
            // Safety: written just now. From the file, its pages are shared with other processes.
            if let Ok(component) = unsafe { Component::deserialize_file(&self.engine, &path) } {
                return Ok((component, false));
            }
        }
        // Safety: made just now by this engine.
        Ok((unsafe { Component::deserialize(&self.engine, &compiled) }?, false))
    }
}

fn tick(engine: &Engine, ticker: &Ticker) {
    let mut last = Instant::now();
    loop {
        if ticker.calls.load(Ordering::SeqCst) > 0 {
            last = Instant::now();
        } else if last.elapsed() > LINGER {
            let Ok(mut guard) = ticker.lock.lock() else { return };
            ticker.parked.store(true, Ordering::SeqCst);
            while ticker.calls.load(Ordering::SeqCst) == 0 {
                guard = match ticker.wake.wait(guard) {
                    Ok(guard) => guard,
                    Err(_) => return,
                };
            }
            ticker.parked.store(false, Ordering::SeqCst);
            last = Instant::now();
        }
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}

/// With `fuel` the one that counts what guests do.
pub fn runtime(fuel: bool) -> Result<&'static Runtime> {
    type Made = OnceLock<std::result::Result<Runtime, String>>;
    static PLAIN: Made = OnceLock::new();
    static COUNTING: Made = OnceLock::new();
    let made = if fuel { &COUNTING } else { &PLAIN };
    made.get_or_init(|| Runtime::new(fuel).map_err(|e| format!("{e:#}")))
        .as_ref()
        .map_err(|message| wasmtime::Error::msg(message.clone()))
}
