/** For guests: time. `Date` works too (the prelude asks the same clock). */
import clock from "capstan:plugin/clock@1.0.0";

/** Milliseconds since the epoch. */
export const now = (): number => clock.now();
/** Milliseconds from any fixed moment, never going back. */
export const monotonic = (): number => clock.monotonic();
