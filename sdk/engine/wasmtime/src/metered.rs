//! What a call costs: the processor's time while it is polled, not the time that it waits for it, for the host or for others.
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

/// The future's answer, and how long its thread computed for it.
pub async fn metered<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut spent = Duration::ZERO;
    let answer = poll_fn(|context| {
        let started = thread_time();
        let polled = work.as_mut().poll(context);
        spent += thread_time().saturating_sub(started);
        polled
    });
    let answer = answer.await;
    (answer, spent)
}

#[cfg(unix)]
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Safety: writes to what it is given, and cannot fail with this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn thread_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
