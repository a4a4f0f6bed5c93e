//! Instances whose hooks make no host calls: they are entered on the caller's own thread, without a promise. Any import
//! beside those that every component may have (own.rs) ends the call.
use crate::limits::{EPOCHS_BETWEEN_CHECKS, InstanceOptions, Limits};
use crate::own::Own;
use crate::value::{Js, fail};
use crate::{Export, NativeComponent, arguments, find_function, js_error, refuel, short_of, split, stopped_by};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::time::{Duration, Instant};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre, Linker, Val};
use wasmtime::{Engine, Store, UpdateDeadline};

pub struct PureState {
    limits: Limits,
    own: Own,
}

struct PureLive {
    store: Store<PureState>,
    instance: Instance,
    exports: Vec<Export>,
}

pub fn link(engine: &Engine, component: &Component, prefixes: &[String]) -> wasmtime::Result<InstancePre<PureState>> {
    let mut linker: Linker<PureState> = Linker::new(engine);
    let ty = component.component_type();
    for (interface, import) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        let Some(short) = short_of(interface, prefixes) else { continue };
        let mut linked = linker.instance(interface)?;
        for (name, export) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(_) = export.ty else { continue };
            let (interface, function) = (short.to_owned(), name.to_owned());
            linked.func_new(name, move |mut store, _ty, args, results| {
                let value = store.data_mut().own.answered(&interface, &function, args).ok_or_else(|| {
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
const TAGS: [&str; 8] = ["ok", "err", "invalid", "trap", "deadline", "memory", "fuel", "size"];
/// How many numbers a call writes.
const OUTCOMES: usize = 5;

/// Belongs to the thread that made it.
#[napi]
pub struct PureInstance {
    runtime: &'static crate::runtime::Runtime,
    live: Option<PureLive>,
    /// Shared with JavaScript: the tag's number, microseconds, memory bytes, lines logged, fuel.
    outcome: Float64Array,
    /// Of a call that ended the instance.
    last: Option<Own>,
}

#[napi]
impl NativeComponent {
    /// Of the options, `own` must be there. `outcome` (five numbers) is written by each call.
    #[napi]
    pub fn instantiate_pure(&self, options: InstanceOptions, outcome: Float64Array) -> Result<PureInstance> {
        if outcome.len() < OUTCOMES {
            return Err(fail("five numbers are expected"));
        }
        let limits = Limits::new(&options);
        let own = options.own.map(Own::new).ok_or_else(|| fail("what the instance is told of itself is missing"))?;
        let state = PureState { limits, own };
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
        Ok(PureInstance { runtime: self.runtime, live, outcome, last: None })
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
        let lines = self.own().map_or(0, |own| own.lines_kept());
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
        let limits = &mut live.store.data_mut().limits;
        let outcome = outcome.and_then(|()| limits.cross("its answer", std::iter::once(&result)));
        let (memory, stopped) = (limits.memory_bytes, limits.stopped);
        match outcome {
            Ok(()) => {
                let (tag, value) = split((count > 0).then_some(result), export.result.as_ref());
                Entered { tag, value, memory, burnt }
            }
            Err(error) => {
                // What was stopped half way is never entered again.
                self.last = self.live.take().map(|live| live.store.into_data().own);
                Entered { tag: stopped_by(stopped, &error), value: Js::Text(format!("{error:#}")), memory, burnt }
            }
        }
    }

    /// [level, message] of each line that the last calls logged, once.
    #[napi]
    pub fn lines(&mut self) -> Js {
        self.own().map_or(Js::Undefined, Own::lines)
    }

    fn own(&mut self) -> Option<&mut Own> {
        match self.live.as_mut() {
            Some(live) => Some(&mut live.store.data_mut().own),
            None => self.last.as_mut(),
        }
    }

    /// Frees the instance's memory now.
    #[napi]
    pub fn discard(&mut self) {
        self.live = None;
    }
}
