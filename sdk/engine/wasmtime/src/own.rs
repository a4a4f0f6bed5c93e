//! What every component may have (`log`, `config`, `clock`), answered where the guest runs: nobody else's thread has to do with it, however often
//! it is asked for. Lines are kept until the call is over, so many of them and no more.
use crate::value::Js;
use napi_derive::napi;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::Val;

/// Kept of one call.
const LINES_MAX: usize = 100;
const LINES_BYTES_MAX: usize = 64 << 10;
const LINE_BYTES_MAX: usize = 4096;

/// What the imports `config` answer.
#[napi(object)]
pub struct Texts {
    pub config: String,
    pub facts: String,
}

pub struct Own {
    texts: Texts,
    /// (level, message)
    lines: Vec<(String, String)>,
    bytes: usize,
    left_out: usize,
}

impl Own {
    pub fn new(texts: Texts) -> Own {
        Own { texts, lines: Vec::new(), bytes: 0, left_out: 0 }
    }

    /// The value of an import: None for what is not answered here. `interface` is without its package and version.
    pub fn answered(&mut self, interface: &str, function: &str, args: &[Val]) -> Option<Option<Val>> {
        match (interface, function) {
            ("log", "write") => {
                if let [Val::Enum(level), Val::String(text)] = args {
                    self.write(level, text);
                }
                Some(None)
            }
            ("config", "get") => Some(Some(Val::String(self.texts.config.clone()))),
            ("config", "host") => Some(Some(Val::String(self.texts.facts.clone()))),
            ("clock", "now") => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Some(Some(Val::Float64(now.as_secs_f64() * 1000.0)))
            }
            ("clock", "monotonic") => Some(Some(Val::Float64(monotonic()))),
            _ => None,
        }
    }

    fn write(&mut self, level: &str, text: &str) {
        let text = clipped(text);
        if self.lines.len() >= LINES_MAX || self.bytes + text.len() > LINES_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.bytes += text.len();
        self.lines.push((level.to_owned(), text.to_owned()));
    }

    /// [level, message] of each line since this was asked last, and how many there were beyond; Undefined where there is none.
    pub fn lines(&mut self) -> Js {
        if self.lines.is_empty() {
            return Js::Undefined;
        }
        if self.left_out > 0 {
            let text = format!("{} lines were left out: too much for one call", self.left_out);
            self.lines.push(("warn".to_owned(), text));
        }
        (self.bytes, self.left_out) = (0, 0);
        let lines = self.lines.drain(..);
        Js::List(lines.map(|(level, text)| Js::List(vec![Js::Text(level), Js::Text(text)])).collect())
    }

    pub fn lines_kept(&self) -> usize {
        self.lines.len()
    }
}

fn clipped(text: &str) -> &str {
    let mut end = text.len().min(LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn monotonic() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0
}
