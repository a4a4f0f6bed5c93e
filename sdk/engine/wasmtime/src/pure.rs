//! Instances whose hooks make no host calls: they are entered on the caller's own thread, without a promise. What every component may
//! have (`log`, `config`, `clock`) is answered here; any other import ends the call.
use crate::value::{Js, fail};
use crate::{EPOCHS_BETWEEN_CHECKS, Export, Limits, arguments, js_error, refuel, split, stopped_by};
use crate::{NativeComponent, find_function};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre, Linker, Val};
use wasmtime::{Engine, Store, UpdateDeadline};

/// Lines kept of one call.
const LINES_MAX: usize = 100;
const LINE_BYTES_MAX: usize = 4096;

pub struct PureState {
    limits: Limits,
    config: String,
    facts: String,
    /// (level, message)
    lines: Vec<(String, String)>,
}

struct PureLive {
    store: Store<PureState>,
    instance: Instance,
    exports: Vec<Export>,
}

fn clipped(text: &str) -> String {
    let mut end = text.len().min(LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn monotonic() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}

/// The value of an import that needs nobody: None for what is not granted to a pure instance.
fn answered(state: &mut PureState, interface: &str, function: &str, args: &[Val]) -> Option<Option<Val>> {
    match (interface, function) {
        ("log", "write") => {
            if let ([Val::Enum(level), Val::String(text)], true) = (args, state.lines.len() < LINES_MAX) {
                state.lines.push((level.clone(), clipped(text)));
            }
            Some(None)
        }
        ("config", "get") => Some(Some(Val::String(state.config.clone()))),
        ("config", "host") => Some(Some(Val::String(state.facts.clone()))),
        ("clock", "now") => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            Some(Some(Val::Float64(now.as_secs_f64() * 1000.0)))
        }
        ("clock", "monotonic") => Some(Some(Val::Float64(monotonic()))),
        _ => None,
    }
}

pub fn link(engine: &Engine, component: &Component, prefixes: &[String]) -> wasmtime::Result<InstancePre<PureState>> {
    let mut linker: Linker<PureState> = Linker::new(engine);
    let ty = component.component_type();
    for (interface, import) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        let Some(prefix) = prefixes.iter().find(|prefix| interface.starts_with(prefix.as_str())) else { continue };
        let short = interface[prefix.len()..].split('@').next().unwrap_or_default().to_owned();
        let mut linked = linker.instance(interface)?;
        for (name, export) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(_) = export.ty else { continue };
            let (interface, function) = (short.clone(), name.to_owned());
            linked.func_new(name, move |mut store, _ty, args, results| {
                let value = answered(store.data_mut(), &interface, &function, args).ok_or_else(|| {
                    wasmtime::Error::msg(format!("{interface} {function} is not granted to this plugin"))
                })?;
                if let (Some(slot), Some(value)) = (results.first_mut(), value) {
                    *slot = value;
                }
                Ok(())
            })?;
        }
    }
    linker.define_unknown_imports_as_traps(component)?;
    linker.instantiate_pre(component)
}

/// What became of a call.
struct Entered {
    tag: &'static str,
    value: Js,
    memory: usize,
    burnt: u64,
}

impl Entered {
    /// The guest was not entered.
    fn not(tag: &'static str, message: String) -> Entered {
        Entered { tag, value: Js::Text(message), memory: 0, burnt: 0 }
    }
}

/// Tags of a call, as numbers.
const TAGS: [&str; 7] = ["ok", "err", "invalid", "trap", "deadline", "memory", "fuel"];
/// How many numbers a call writes.
const OUTCOMES: usize = 5;

/// Belongs to the thread that made it.
#[napi]
pub struct PureInstance {
    runtime: &'static crate::runtime::Runtime,
    live: Option<PureLive>,
    /// Shared with JavaScript: the tag's number, microseconds, memory bytes, lines logged, fuel.
    outcome: Float64Array,
    lines: Vec<(String, String)>,
}

#[napi]
impl NativeComponent {
    /// `config` and `facts`: what the imports of those names answer. `outcome` (five numbers) is written by each call.
    #[napi]
    pub fn instantiate_pure(
        &self,
        memory_bytes_max: f64,
        deadline_ms: u32,
        config: String,
        facts: String,
        outcome: Float64Array,
    ) -> Result<PureInstance> {
        if outcome.len() < OUTCOMES {
            return Err(fail("five numbers are expected"));
        }
        let limits = Limits::new(memory_bytes_max as usize, Duration::from_millis(deadline_ms.into()));
        let state = PureState { limits, config, facts, lines: Vec::new() };
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        refuel(self.runtime, &mut store, None)?;
        store.set_epoch_deadline(EPOCHS_BETWEEN_CHECKS);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().limits.check()?;
            Ok(UpdateDeadline::Continue(EPOCHS_BETWEEN_CHECKS))
        });
        let pre = self.pure_pre().map_err(js_error)?;
        let _running = self.runtime.running();
        let instance = pre.instantiate(&mut store).map_err(js_error)?;
        let live = Some(PureLive { store, instance, exports: Vec::new() });
        Ok(PureInstance { runtime: self.runtime, live, outcome, lines: Vec::new() })
    }
}

#[napi]
impl PureInstance {
    /// The number under which `call` knows an exported function; throws where there is none.
    #[napi]
    pub fn find(&mut self, interface: String, function: String) -> Result<u32> {
        let live = self.live.as_mut().ok_or_else(|| fail("the instance has ended"))?;
        let export = find_function(&live.instance, &mut live.store, &interface, &function)?;
        live.exports.push(export);
        Ok(live.exports.len() as u32 - 1)
    }

    /// The value, or the message of what went wrong; which of them, and what it took, stands in `outcome`. `running_ms`: so long it may compute.
    #[napi]
    pub fn call(
        &mut self,
        number: u32,
        args: Js,
        deadline_ms: u32,
        running_ms: Option<u32>,
        fuel: Option<f64>,
    ) -> Js {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(deadline_ms.into());
        let running = running_ms.map(|ms| Duration::from_millis(ms.into()));
        let Entered { tag, value, memory, burnt } = self.enter(number, args, (deadline, running), fuel);
        let micros = started.elapsed().as_nanos() as f64 / 1000.0;
        let code = TAGS.iter().position(|name| *name == tag).unwrap_or(3);
        let lines = self.lines.len();
        // Safety: JavaScript is on this very thread, and reads it after this function has returned.
        let outcome = unsafe { self.outcome.as_mut() };
        outcome[..OUTCOMES].copy_from_slice(&[code as f64, micros, memory as f64, lines as f64, burnt as f64]);
        value
    }

    fn enter(&mut self, number: u32, args: Js, within: (Instant, Option<Duration>), fuel: Option<f64>) -> Entered {
        let Some(live) = self.live.as_mut() else {
            return Entered::not("trap", "the instance has ended".into());
        };
        let Some(export) = live.exports.get(number as usize) else {
            return Entered::not("invalid", "there is no such export".into());
        };
        let params = match arguments(&args, &export.params) {
            Ok(params) => params,
            Err(error) => return Entered::not("invalid", error.reason.clone()),
        };
        let filled = match refuel(self.runtime, &mut live.store, fuel) {
            Ok(filled) => filled,
            Err(error) => return Entered::not("invalid", error.reason.clone()),
        };
        live.store.data_mut().limits.begin(within.0, within.1);
        live.store.set_epoch_deadline(EPOCHS_BETWEEN_CHECKS);
        let mut results = [Val::Bool(false)];
        let count = usize::from(export.result.is_some());
        let outcome = {
            let _running = self.runtime.running();
            export.func.call(&mut live.store, &params, &mut results[..count])
        };
        let [result] = results;
        let burnt = filled.saturating_sub(live.store.get_fuel().unwrap_or(0));
        let state = live.store.data_mut();
        let (memory, stopped) = (state.limits.memory_bytes, state.limits.stopped);
        self.lines.append(&mut state.lines);
        match outcome {
            Ok(()) => {
                let (tag, value) = split((count > 0).then_some(result), export.result.as_ref());
                Entered { tag, value, memory, burnt }
            }
            Err(error) => {
                // What was stopped half way is never entered again.
                self.live = None;
                Entered { tag: stopped_by(stopped, &error), value: Js::Text(format!("{error:#}")), memory, burnt }
            }
        }
    }

    /// [level, message] of each line that the last calls logged, once.
    #[napi]
    pub fn lines(&mut self) -> Js {
        let texts = self.lines.drain(..).map(|(level, text)| Js::List(vec![Js::Text(level), Js::Text(text)]));
        Js::List(texts.collect())
    }

    /// Frees the instance's memory now.
    #[napi]
    pub fn discard(&mut self) {
        self.live = None;
    }
}
