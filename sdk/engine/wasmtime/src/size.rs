//! How much a value is on its way to JavaScript.
use wasmtime::component::Val;

/// What a value takes beside its contents.
const EACH: usize = 8;

/// About as many bytes as there are to be copied and looked at.
pub fn bytes(value: &Val) -> usize {
    match value {
        Val::Bool(_) | Val::S8(_) | Val::U8(_) => 1,
        Val::S16(_) | Val::U16(_) => 2,
        Val::S32(_) | Val::U32(_) | Val::Float32(_) | Val::Char(_) => 4,
        Val::String(text) | Val::Enum(text) => EACH + text.len(),
        Val::List(values) | Val::Tuple(values) => EACH + values.iter().map(bytes).sum::<usize>(),
        Val::Record(fields) => EACH + fields.iter().map(|(_, value)| EACH + bytes(value)).sum::<usize>(),
        Val::Variant(_, value) | Val::Option(value) | Val::Result(Ok(value) | Err(value)) => {
            EACH + value.as_deref().map_or(0, bytes)
        }
        Val::Flags(names) => EACH * (1 + names.len()),
        _ => EACH,
    }
}
