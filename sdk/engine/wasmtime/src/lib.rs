//! Capstan's components in wasmtime, for Node. The JavaScript side (sdk/engine/wasmtime.ts) implements the engine port over these
//! two classes. No method throws for what a guest does: calls answer a tag and a value.
mod functions;
mod limits;
mod metered;
mod own;
mod pure;
mod runtime;
mod size;
mod value;

use limits::{EPOCHS_BETWEEN_CHECKS, InstanceOptions, Limits, REST};
use metered::metered;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;
use own::Own;
use runtime::{Runtime, runtime};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use value::{Js, fail, lift, lower};
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Func, Instance, InstancePre, Linker, Val};
use wasmtime::{Store, Trap, UpdateDeadline};

/// (interface, function, arguments) → a promise of {tag: "ok" | "err" | "trap", val}. Never rejects.
type HostCall = ThreadsafeFunction<FnArgs<(String, String, Js)>, Promise<Js>, FnArgs<(String, String, Js)>, Status, false, true>;

struct State {
    host: Arc<HostCall>,
    limits: Limits,
    rests: bool,
    own: Option<Own>,
}

struct Export {
    func: Func,
    params: Vec<Type>,
    result: Option<Type>,
}

struct Live {
    store: Store<State>,
    instance: Instance,
    exports: HashMap<String, Export>,
}

fn js_error(error: wasmtime::Error) -> Error {
    Error::new(Status::GenericFailure, format!("{error:#}"))
}

#[napi]
pub struct NativeComponent {
    runtime: &'static Runtime,
    pre: Arc<InstancePre<State>>,
    component: Component,
    prefixes: Vec<String>,
    /// Linked when the first pure instance is asked for.
    pure: OnceLock<InstancePre<pure::PureState>>,
    cached: bool,
}

impl NativeComponent {
    fn pure_pre(&self) -> wasmtime::Result<&InstancePre<pure::PureState>> {
        if self.pure.get().is_none() {
            let linked = pure::link(&self.runtime.engine, &self.component, &self.prefixes)?;
            let _ = self.pure.set(linked);
        }
        self.pure.get().ok_or_else(|| wasmtime::Error::msg("the component is not linked"))
    }
}

#[napi]
impl NativeComponent {
    /// Whether the compiled code came from the cache.
    #[napi(getter)]
    pub fn cached(&self) -> bool {
        self.cached
    }

    /// Whether instances come from the pool.
    #[napi(getter)]
    pub fn pooled(&self) -> bool {
        self.runtime.pooled
    }

    /// The interfaces it exports.
    #[napi(getter)]
    pub fn exports(&self) -> Vec<String> {
        let ty = self.component.component_type();
        ty.exports(&self.runtime.engine)
            .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentInstance(_)))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    #[napi]
    pub async fn instantiate(&self, options: InstanceOptions, host: HostCall) -> Result<NativeInstance> {
        let limits = Limits::new(&options);
        let own = options.own.map(Own::new);
        let state = State { host: Arc::new(host), limits, rests: options.rests, own };
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        refuel(self.runtime, &mut store, None)?;
        store.set_epoch_deadline(EPOCHS_BETWEEN_CHECKS);
        store.epoch_deadline_callback(|mut context| {
            let State { limits, rests, .. } = context.data_mut();
            limits.check()?;
            if *rests && limits.is_long() {
                return Ok(UpdateDeadline::YieldCustom(EPOCHS_BETWEEN_CHECKS, Box::pin(tokio::time::sleep(REST))));
            }
            Ok(UpdateDeadline::Yield(EPOCHS_BETWEEN_CHECKS))
        });
        let _running = self.runtime.running();
        let instance = self.pre.instantiate_async(&mut store).await.map_err(js_error)?;
        Ok(NativeInstance {
            runtime: self.runtime,
            live: Arc::new(Mutex::new(Some(Live { store, instance, exports: HashMap::new() }))),
        })
    }
}

/// Compiles (or takes from the cache directory) and links a component. Its imports from the named prefixes go to the host's function;
/// all others are functions that trap.
/// With `fuel`, what its instances do is counted and bounded.
#[napi]
pub async fn load(
    bytes: Buffer,
    digest: String,
    cache: String,
    prefixes: Vec<String>,
    fuel: bool,
) -> Result<NativeComponent> {
    let runtime = runtime(fuel).map_err(js_error)?;
    let work = move || -> wasmtime::Result<NativeComponent> {
        let (component, cached) = runtime.component(&PathBuf::from(cache), &digest, &bytes)?;
        let pre = link(runtime, &component, &prefixes)?;
        Ok(NativeComponent { runtime, pre: Arc::new(pre), component, prefixes, pure: OnceLock::new(), cached })
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| fail(e.to_string()))?.map_err(js_error)
}

fn link(runtime: &Runtime, component: &Component, prefixes: &[String]) -> wasmtime::Result<InstancePre<State>> {
    let mut linker: Linker<State> = Linker::new(&runtime.engine);
    let ty = component.component_type();
    for (interface, import) in ty.imports(&runtime.engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        let Some(short) = short_of(interface, prefixes) else { continue };
        let mut linked = linker.instance(interface)?;
        for (name, export) in instance.exports(&runtime.engine) {
            let ComponentItem::ComponentFunc(func) = export.ty else { continue };
            let (short, interface, function) = (short.to_owned(), interface.to_owned(), name.to_owned());
            let params: Arc<Vec<Type>> = Arc::new(func.params().map(|(_, ty)| ty).collect());
            let result: Arc<Option<Type>> = Arc::new(func.results().next());
            linked.func_new_async(name, move |mut store, _ty, args, results| {
                let own = store.data_mut().own.as_mut().and_then(|own| own.answered(&short, &function, args));
                let (interface, function) = (interface.clone(), function.clone());
                let (params, result) = (params.clone(), result.clone());
                Box::new(async move {
                    if let Some(value) = own {
                        if let (Some(slot), Some(value)) = (results.first_mut(), value) {
                            *slot = value;
                        }
                        return Ok(());
                    }
                    store.data_mut().limits.cross(&format!("what {interface} {function} is given"), args.iter())?;
                    let args = args.iter().zip(params.iter()).map(|(v, ty)| lift(v.clone(), ty)).collect();
                    let host = store.data().host.clone();
                    let answer = call_host(&host, &interface, &function, args).await;
                    if let (Some(slot), Some(ty)) = (results.first_mut(), result.as_ref()) {
                        *slot = answered(answer?, ty).map_err(|e| {
                            wasmtime::Error::msg(format!("{interface} {function} answered wrongly: {}", e.reason))
                        })?;
                    } else {
                        answer?;
                    }
                    Ok(())
                })
            })?;
        }
    }
    linker.define_unknown_imports_as_traps(component)?;
    linker.instantiate_pre(component)
}

/// "api" of "capstan:plugin/api@1.0.0"; None for an interface of another package.
fn short_of<'a>(interface: &'a str, prefixes: &[String]) -> Option<&'a str> {
    let name = prefixes.iter().find_map(|prefix| interface.strip_prefix(prefix.as_str()))?;
    name.split('@').next()
}

async fn call_host(host: &HostCall, interface: &str, function: &str, args: Vec<Js>) -> wasmtime::Result<(String, Js)> {
    let request = (interface.to_owned(), function.to_owned(), Js::List(args)).into();
    let failed = |e: Error| wasmtime::Error::msg(format!("the host's {interface} {function} failed: {}", e.reason));
    let promise = host.call_async_catch(request).await.map_err(failed)?;
    let Js::Object(fields) = promise.await.map_err(failed)? else {
        return Err(wasmtime::Error::msg("the host answered without a tag"));
    };
    let (mut tag, mut val) = (String::new(), Js::Undefined);
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("tag", Js::Text(text)) => tag = text,
            ("val", value) => val = value,
            _ => {}
        }
    }
    match (tag.as_str(), val) {
        ("trap", Js::Text(message)) => Err(wasmtime::Error::msg(message)),
        (_, val) => Ok((tag, val)),
    }
}

/// What the host answered, as the imported function's result.
fn answered((tag, value): (String, Js), ty: &Type) -> Result<Val> {
    match ty {
        Type::Result(_) => lower(&value::tag(&tag, Some(value)), ty),
        _ if tag == "ok" => lower(&value, ty),
        _ => Err(fail("a function that cannot fail has failed")),
    }
}

#[napi]
pub struct NativeInstance {
    runtime: &'static Runtime,
    live: Arc<Mutex<Option<Live>>>,
}

#[napi]
impl NativeInstance {
    /// Answers [tag, value, microseconds of the guest, memory bytes, fuel, lines logged]. Tags: "ok", "err" (the function's own error), and what
    /// ended the instance: "trap", "deadline", "memory", "size", "fuel" (the value is then the message). "invalid": arguments or names are
    /// wrong.
    #[napi]
    pub async fn call(
        &self,
        interface: String,
        function: String,
        args: Js,
        deadline_ms: u32,
        fuel: Option<f64>,
    ) -> Result<Js> {
        let mut guard = self.live.lock().await;
        let nothing = |tag: &str, message: String| Ok(answer(tag, Js::Text(message), Duration::ZERO, 0, 0, Js::Undefined));
        let Some(live) = guard.as_mut() else {
            return nothing("trap", "the instance has ended".into());
        };
        let key = format!("{interface}#{function}");
        if let Err(error) = find_export(live, &key, &interface, &function) {
            return nothing("invalid", error.reason.clone());
        }
        let export = &live.exports[&key];
        let params = match arguments(&args, &export.params) {
            Ok(params) => params,
            Err(error) => return nothing("invalid", error.reason.clone()),
        };
        let deadline = Instant::now() + Duration::from_millis(deadline_ms.into());
        live.store.data_mut().limits.begin(deadline, None);
        live.store.set_epoch_deadline(EPOCHS_BETWEEN_CHECKS);
        let filled = refuel(self.runtime, &mut live.store, fuel)?;
        let mut results = vec![Val::Bool(false); export.result.iter().count()];
        let (outcome, cost) = {
            let _running = self.runtime.running();
            let call = export.func.call_async(&mut live.store, &params, &mut results);
            metered(tokio::time::timeout_at(deadline.into(), call)).await
        };
        let burnt = filled.saturating_sub(live.store.get_fuel().unwrap_or(0));
        let state = live.store.data_mut();
        let (memory, lines) = (state.limits.memory_bytes, state.own.as_mut().map_or(Js::Undefined, Own::lines));
        let outcome = outcome.map(|called| called.and_then(|()| state.limits.cross("its answer", results.iter())));
        let (tag, value) = match outcome {
            Ok(Ok(())) => {
                let (tag, value) = split(results.pop(), export.result.as_ref());
                return Ok(answer(tag, value, cost, memory, burnt, lines));
            }
            Ok(Err(error)) => (stopped_by(state.limits.stopped, &error), format!("{error:#}")),
            Err(_) => ("deadline", "the deadline is over".to_owned()),
        };
        // What was stopped half way is never entered again.
        *guard = None;
        Ok(answer(tag, Js::Text(value), cost, memory, burnt, lines))
    }

    /// Frees the instance's memory now; calls after this answer "trap".
    #[napi]
    pub async fn discard(&self) {
        *self.live.lock().await = None;
    }
}

fn answer(tag: &str, value: Js, cost: Duration, memory: usize, fuel: u64, lines: Js) -> Js {
    let micros = cost.as_nanos() as f64 / 1000.0;
    Js::List(vec![
        Js::Text(tag.to_owned()),
        value,
        Js::Number(micros),
        Js::Number(memory as f64),
        Js::Number(fuel as f64),
        lines,
    ])
}

/// What the store has before a call, where it is counted: the budget, or more than anybody burns.
fn refuel<T>(runtime: &Runtime, store: &mut Store<T>, fuel: Option<f64>) -> Result<u64> {
    if !runtime.fuel {
        return Ok(0);
    }
    let filled = fuel.map_or(u64::MAX, |fuel| fuel as u64);
    store.set_fuel(filled).map_err(js_error)?;
    Ok(filled)
}

/// Which limit ended a call; a trap otherwise.
fn stopped_by(limit: Option<&'static str>, error: &wasmtime::Error) -> &'static str {
    let burnt = error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel);
    limit.unwrap_or(if burnt { "fuel" } else { "trap" })
}

fn split(value: Option<Val>, ty: Option<&Type>) -> (&'static str, Js) {
    match (value, ty) {
        (Some(Val::Result(result)), Some(Type::Result(ty))) => {
            let (tag, value, ty) = match result {
                Ok(value) => ("ok", value, ty.ok()),
                Err(value) => ("err", value, ty.err()),
            };
            (tag, value.zip(ty).map_or(Js::Undefined, |(value, ty)| lift(*value, &ty)))
        }
        (Some(value), Some(ty)) => ("ok", lift(value, ty)),
        _ => ("ok", Js::Undefined),
    }
}

fn arguments(args: &Js, types: &[Type]) -> Result<Vec<Val>> {
    let Js::List(values) = args else { return Err(fail("arguments are a list")) };
    if values.len() != types.len() {
        return Err(fail(format!("{} arguments are expected, not {}", types.len(), values.len())));
    }
    values.iter().zip(types).map(|(value, ty)| lower(value, ty)).collect()
}

fn find_export(live: &mut Live, key: &str, interface: &str, function: &str) -> Result<()> {
    if !live.exports.contains_key(key) {
        let export = find_function(&live.instance, &mut live.store, interface, function)?;
        live.exports.insert(key.to_owned(), export);
    }
    Ok(())
}

fn find_function<T>(instance: &Instance, store: &mut Store<T>, interface: &str, function: &str) -> Result<Export> {
    let missing = || fail(format!("the component has no {interface} {function}"));
    let parent = instance.get_export_index(&mut *store, None, interface).ok_or_else(missing)?;
    let index = instance.get_export_index(&mut *store, Some(&parent), function).ok_or_else(missing)?;
    let func = instance.get_func(&mut *store, index).ok_or_else(missing)?;
    let ty = func.ty(&*store);
    Ok(Export { func, params: ty.params().map(|(_, ty)| ty).collect(), result: ty.results().next() })
}
