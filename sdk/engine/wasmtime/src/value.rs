//! JavaScript values on their way to and from the component model, with the mapping that jco uses: records and flags as
//! objects with camelCase names, variants as {tag, val}, options as the value or undefined, enums as their names, lists of
//! numbers as typed arrays, 64-bit integers as BigInt.
use napi::bindgen_prelude::*;
use napi::sys;
use std::ptr;
use wasmtime::component::Val;
use wasmtime::component::types::Type;

/// A JavaScript value taken off (or on its way to) the JavaScript thread.
#[derive(Debug, Clone)]
pub enum Js {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Big(i128),
    Text(String),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    S8(Vec<i8>),
    S16(Vec<i16>),
    S32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    List(Vec<Js>),
    Object(Vec<(String, Js)>),
}

pub fn fail(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidArg, message.into())
}

fn ok(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(Error::from_status(Status::from(status))) }
}

impl TypeName for Js {
    fn type_name() -> &'static str {
        "unknown"
    }
    fn value_type() -> ValueType {
        ValueType::Unknown
    }
}

impl ValidateNapiValue for Js {
    unsafe fn validate(_env: sys::napi_env, _value: sys::napi_value) -> Result<sys::napi_value> {
        Ok(ptr::null_mut())
    }
}

impl FromNapiValue for Js {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        unsafe { read(env, value, 0) }
    }
}

/// Depth bound for values from JavaScript, which may be cyclic.
const DEPTH_MAX: u32 = 64;

unsafe fn read(env: sys::napi_env, value: sys::napi_value, depth: u32) -> Result<Js> {
    if depth > DEPTH_MAX {
        return Err(fail("the value is nested too deeply"));
    }
    let mut kind = 0;
    ok(unsafe { sys::napi_typeof(env, value, &mut kind) })?;
    Ok(match kind {
        sys::ValueType::napi_undefined => Js::Undefined,
        sys::ValueType::napi_null => Js::Null,
        sys::ValueType::napi_boolean => Js::Bool(unsafe { bool::from_napi_value(env, value) }?),
        sys::ValueType::napi_number => Js::Number(unsafe { f64::from_napi_value(env, value) }?),
        sys::ValueType::napi_string => Js::Text(unsafe { String::from_napi_value(env, value) }?),
        sys::ValueType::napi_bigint => Js::Big(unsafe { BigInt::from_napi_value(env, value) }?.get_i128().0),
        sys::ValueType::napi_object => unsafe { read_object(env, value, depth) }?,
        _ => return Err(fail("a function or symbol cannot cross into a component")),
    })
}

unsafe fn read_object(env: sys::napi_env, value: sys::napi_value, depth: u32) -> Result<Js> {
    let mut is_array = false;
    ok(unsafe { sys::napi_is_array(env, value, &mut is_array) })?;
    if is_array {
        let mut length = 0;
        ok(unsafe { sys::napi_get_array_length(env, value, &mut length) })?;
        let mut items = Vec::with_capacity(length as usize);
        for i in 0..length {
            let mut item = ptr::null_mut();
            ok(unsafe { sys::napi_get_element(env, value, i, &mut item) })?;
            items.push(unsafe { read(env, item, depth + 1) }?);
        }
        return Ok(Js::List(items));
    }
    let mut is_typed = false;
    ok(unsafe { sys::napi_is_typedarray(env, value, &mut is_typed) })?;
    if is_typed {
        return unsafe { read_typed(env, value) };
    }
    let mut names = ptr::null_mut();
    ok(unsafe { sys::napi_get_property_names(env, value, &mut names) })?;
    let mut length = 0;
    ok(unsafe { sys::napi_get_array_length(env, names, &mut length) })?;
    let mut fields = Vec::with_capacity(length as usize);
    for i in 0..length {
        let (mut name, mut field) = (ptr::null_mut(), ptr::null_mut());
        ok(unsafe { sys::napi_get_element(env, names, i, &mut name) })?;
        ok(unsafe { sys::napi_get_property(env, value, name, &mut field) })?;
        let name = unsafe { String::from_napi_value(env, name) }?;
        fields.push((name, unsafe { read(env, field, depth + 1) }?));
    }
    Ok(Js::Object(fields))
}

unsafe fn read_typed(env: sys::napi_env, value: sys::napi_value) -> Result<Js> {
    let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
    let (mut buffer, mut offset) = (ptr::null_mut(), 0);
    ok(unsafe { sys::napi_get_typedarray_info(env, value, &mut kind, &mut length, &mut data, &mut buffer, &mut offset) })?;
    // An empty array's pointer may be null or dangling.
    unsafe fn copy<T: Copy>(data: *mut std::ffi::c_void, length: usize) -> Vec<T> {
        if length == 0 { Vec::new() } else { unsafe { std::slice::from_raw_parts(data.cast::<T>(), length) }.to_vec() }
    }
    unsafe {
        Ok(match kind {
            sys::TypedarrayType::uint8_array | sys::TypedarrayType::uint8_clamped_array => Js::U8(copy(data, length)),
            sys::TypedarrayType::uint16_array => Js::U16(copy(data, length)),
            sys::TypedarrayType::uint32_array => Js::U32(copy(data, length)),
            sys::TypedarrayType::int8_array => Js::S8(copy(data, length)),
            sys::TypedarrayType::int16_array => Js::S16(copy(data, length)),
            sys::TypedarrayType::int32_array => Js::S32(copy(data, length)),
            sys::TypedarrayType::float32_array => Js::F32(copy(data, length)),
            sys::TypedarrayType::float64_array => Js::F64(copy(data, length)),
            _ => return Err(fail("this kind of typed array cannot cross into a component")),
        })
    }
}

impl ToNapiValue for Js {
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        unsafe {
            match value {
                Js::Undefined => <()>::to_napi_value(env, ()),
                Js::Null => Null::to_napi_value(env, Null),
                Js::Bool(v) => bool::to_napi_value(env, v),
                Js::Number(v) => f64::to_napi_value(env, v),
                Js::Big(v) => i128::to_napi_value(env, v),
                Js::Text(v) => String::to_napi_value(env, v),
                Js::U8(v) => Uint8Array::to_napi_value(env, v.into()),
                Js::U16(v) => Uint16Array::to_napi_value(env, v.into()),
                Js::U32(v) => Uint32Array::to_napi_value(env, v.into()),
                Js::S8(v) => Int8Array::to_napi_value(env, v.into()),
                Js::S16(v) => Int16Array::to_napi_value(env, v.into()),
                Js::S32(v) => Int32Array::to_napi_value(env, v.into()),
                Js::F32(v) => Float32Array::to_napi_value(env, v.into()),
                Js::F64(v) => Float64Array::to_napi_value(env, v.into()),
                Js::List(items) => {
                    let mut array = ptr::null_mut();
                    ok(sys::napi_create_array_with_length(env, items.len(), &mut array))?;
                    for (i, item) in items.into_iter().enumerate() {
                        let item = Js::to_napi_value(env, item)?;
                        ok(sys::napi_set_element(env, array, i as u32, item))?;
                    }
                    Ok(array)
                }
                Js::Object(fields) => {
                    let mut object = ptr::null_mut();
                    ok(sys::napi_create_object(env, &mut object))?;
                    for (name, field) in fields {
                        let name = String::to_napi_value(env, name)?;
                        let field = Js::to_napi_value(env, field)?;
                        ok(sys::napi_set_property(env, object, name, field))?;
                    }
                    Ok(object)
                }
            }
        }
    }
}

/// "pods-max" → "podsMax".
pub fn camel(kebab: &str) -> String {
    let mut name = String::with_capacity(kebab.len());
    let mut upper = false;
    for character in kebab.chars() {
        if character == '-' {
            upper = true;
        } else if upper {
            name.extend(character.to_uppercase());
            upper = false;
        } else {
            name.push(character);
        }
    }
    name
}

fn number(js: &Js) -> Result<f64> {
    match js {
        Js::Number(v) => Ok(*v),
        Js::Big(v) => Ok(*v as f64),
        _ => Err(fail("a number is expected")),
    }
}

/// A whole number within the type's range; never cut silently.
fn whole<T: TryFrom<i128>>(js: &Js) -> Result<T> {
    let value = match js {
        Js::Big(v) => *v,
        other => {
            let v = number(other)?;
            if v.fract() != 0.0 || !v.is_finite() {
                return Err(fail(format!("{v} is not a whole number")));
            }
            v as i128
        }
    };
    T::try_from(value).map_err(|_| fail(format!("{value} is out of range")))
}

fn items(js: &Js) -> Option<Vec<Js>> {
    fn numbers<T: Copy + Into<f64>>(v: &[T]) -> Vec<Js> {
        v.iter().map(|n| Js::Number((*n).into())).collect()
    }
    Some(match js {
        Js::List(v) => v.clone(),
        Js::U8(v) => numbers(v),
        Js::U16(v) => numbers(v),
        Js::U32(v) => numbers(v),
        Js::S8(v) => numbers(v),
        Js::S16(v) => numbers(v),
        Js::S32(v) => numbers(v),
        Js::F32(v) => numbers(v),
        Js::F64(v) => numbers(v),
        _ => return None,
    })
}

fn field<'a>(js: &'a Js, name: &str) -> &'a Js {
    match js {
        Js::Object(fields) => fields.iter().find(|(n, _)| n == name).map_or(&Js::Undefined, |(_, v)| v),
        _ => &Js::Undefined,
    }
}

/// Where in the value something is wrong.
fn at(place: &str) -> impl Fn(Error) -> Error {
    let place = place.to_owned();
    move |e| fail(format!("{place}: {}", e.reason))
}

/// {tag, val} of a variant or result.
fn tagged(js: &Js) -> Result<(&str, &Js)> {
    match field(js, "tag") {
        Js::Text(tag) => Ok((tag, field(js, "val"))),
        _ => Err(fail("an object with a tag is expected")),
    }
}

fn payload(js: &Js, ty: Option<Type>) -> Result<Option<Box<Val>>> {
    ty.map(|ty| lower(js, &ty).map(Box::new)).transpose()
}

/// A JavaScript value as a component value of this type.
pub fn lower(js: &Js, ty: &Type) -> Result<Val> {
    Ok(match ty {
        Type::Bool => match js {
            Js::Bool(v) => Val::Bool(*v),
            _ => return Err(fail("a boolean is expected")),
        },
        Type::S8 => Val::S8(whole(js)?),
        Type::U8 => Val::U8(whole(js)?),
        Type::S16 => Val::S16(whole(js)?),
        Type::U16 => Val::U16(whole(js)?),
        Type::S32 => Val::S32(whole(js)?),
        Type::U32 => Val::U32(whole(js)?),
        Type::S64 => Val::S64(whole(js)?),
        Type::U64 => Val::U64(whole(js)?),
        Type::Float32 => Val::Float32(number(js)? as f32),
        Type::Float64 => Val::Float64(number(js)?),
        Type::Char => match js {
            Js::Text(v) if v.chars().count() == 1 => Val::Char(v.chars().next().unwrap_or_default()),
            _ => return Err(fail("one character is expected")),
        },
        Type::String => match js {
            Js::Text(v) => Val::String(v.clone()),
            _ => return Err(fail("a string is expected")),
        },
        Type::List(list) => {
            let element = list.ty();
            match (js, &element) {
                (Js::U8(v), Type::U8) => Val::List(v.iter().map(|n| Val::U8(*n)).collect()),
                (Js::U32(v), Type::U32) => Val::List(v.iter().map(|n| Val::U32(*n)).collect()),
                (Js::List(v), _) => Val::List(lower_all(v, &element)?),
                _ => Val::List(lower_all(&items(js).ok_or_else(|| fail("a list is expected"))?, &element)?),
            }
        }
        Type::Record(record) => {
            let mut fields = Vec::new();
            for f in record.fields() {
                let name = camel(f.name);
                fields.push((f.name.to_owned(), lower(field(js, &name), &f.ty).map_err(at(&name))?));
            }
            Val::Record(fields)
        }
        Type::Tuple(tuple) => {
            let values = items(js).ok_or_else(|| fail("a tuple is expected"))?;
            if values.len() != tuple.types().len() {
                return Err(fail(format!("a tuple of {} is expected", tuple.types().len())));
            }
            Val::Tuple(values.iter().zip(tuple.types()).map(|(v, t)| lower(v, &t)).collect::<Result<_>>()?)
        }
        Type::Variant(variant) => {
            let (tag, val) = tagged(js)?;
            let case = variant.cases().find(|c| c.name == tag).ok_or_else(|| fail(format!("there is no case {tag}")))?;
            Val::Variant(tag.to_owned(), payload(val, case.ty).map_err(at(tag))?)
        }
        Type::Enum(cases) => match js {
            Js::Text(v) if cases.names().any(|n| n == v) => Val::Enum(v.clone()),
            _ => return Err(fail("one of the enum's names is expected")),
        },
        Type::Option(option) => match (js, option.ty()) {
            (Js::Undefined | Js::Null, _) => Val::Option(None),
            (_, inner @ Type::Option(_)) => match tagged(js)? {
                ("some", val) => Val::Option(Some(Box::new(lower(val, &inner)?))),
                _ => Val::Option(None),
            },
            (_, inner) => Val::Option(Some(Box::new(lower(js, &inner)?))),
        },
        Type::Result(result) => match tagged(js)? {
            ("ok", val) => Val::Result(Ok(payload(val, result.ok())?)),
            ("err", val) => Val::Result(Err(payload(val, result.err())?)),
            (tag, _) => return Err(fail(format!("a result is ok or err, not {tag}"))),
        },
        Type::Flags(flags) => Val::Flags(
            flags.names().filter(|n| matches!(field(js, &camel(n)), Js::Bool(true))).map(str::to_owned).collect(),
        ),
        _ => return Err(fail("values of this type cannot cross")),
    })
}

fn lower_all(values: &[Js], ty: &Type) -> Result<Vec<Val>> {
    values.iter().enumerate().map(|(i, v)| lower(v, ty).map_err(|e| at(&i.to_string())(e))).collect()
}

fn object(fields: Vec<(&str, Js)>) -> Js {
    Js::Object(fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
}

pub fn tag(name: &str, value: Option<Js>) -> Js {
    match value {
        Some(v) => object(vec![("tag", Js::Text(name.to_owned())), ("val", v)]),
        None => object(vec![("tag", Js::Text(name.to_owned()))]),
    }
}

fn inner(value: Option<Box<Val>>, ty: Option<Type>) -> Option<Js> {
    match (value, ty) {
        (Some(v), Some(t)) => Some(lift(*v, &t)),
        _ => None,
    }
}

/// A component value of this type as a JavaScript value.
pub fn lift(value: Val, ty: &Type) -> Js {
    match (value, ty) {
        (Val::Bool(v), _) => Js::Bool(v),
        (Val::S8(v), _) => Js::Number(v.into()),
        (Val::U8(v), _) => Js::Number(v.into()),
        (Val::S16(v), _) => Js::Number(v.into()),
        (Val::U16(v), _) => Js::Number(v.into()),
        (Val::S32(v), _) => Js::Number(v.into()),
        (Val::U32(v), _) => Js::Number(v.into()),
        (Val::S64(v), _) => Js::Big(v.into()),
        (Val::U64(v), _) => Js::Big(v.into()),
        (Val::Float32(v), _) => Js::Number(v.into()),
        (Val::Float64(v), _) => Js::Number(v),
        (Val::Char(v), _) => Js::Text(v.to_string()),
        (Val::String(v), _) => Js::Text(v),
        (Val::List(values), Type::List(list)) => lift_list(values, &list.ty()),
        (Val::Record(fields), Type::Record(record)) => {
            Js::Object(fields.into_iter().zip(record.fields()).map(|((n, v), f)| (camel(&n), lift(v, &f.ty))).collect())
        }
        (Val::Tuple(values), Type::Tuple(tuple)) => {
            Js::List(values.into_iter().zip(tuple.types()).map(|(v, t)| lift(v, &t)).collect())
        }
        (Val::Variant(name, value), Type::Variant(variant)) => {
            let ty = variant.cases().find(|c| c.name == name).and_then(|c| c.ty);
            tag(&name, inner(value, ty))
        }
        (Val::Enum(name), _) => Js::Text(name),
        (Val::Option(None), _) => Js::Undefined,
        (Val::Option(Some(value)), Type::Option(option)) => match option.ty() {
            nested @ Type::Option(_) => tag("some", Some(lift(*value, &nested))),
            plain => lift(*value, &plain),
        },
        (Val::Result(Ok(value)), Type::Result(result)) => tag("ok", inner(value, result.ok())),
        (Val::Result(Err(value)), Type::Result(result)) => tag("err", inner(value, result.err())),
        (Val::Flags(set), Type::Flags(flags)) => {
            Js::Object(flags.names().map(|n| (camel(n), Js::Bool(set.iter().any(|s| s == n)))).collect())
        }
        _ => Js::Undefined,
    }
}

fn lift_list(values: Vec<Val>, element: &Type) -> Js {
    macro_rules! typed {
        ($js:ident, $val:ident) => {
            Js::$js(values.into_iter().map(|v| if let Val::$val(n) = v { n } else { Default::default() }).collect())
        };
    }
    match element {
        Type::U8 => typed!(U8, U8),
        Type::U16 => typed!(U16, U16),
        Type::U32 => typed!(U32, U32),
        Type::S8 => typed!(S8, S8),
        Type::S16 => typed!(S16, S16),
        Type::S32 => typed!(S32, S32),
        Type::Float32 => typed!(F32, Float32),
        Type::Float64 => typed!(F64, Float64),
        _ => Js::List(values.into_iter().map(|v| lift(v, element)).collect()),
    }
}
