/** Conditions of an autoscaler: reason and message follow every look, the transition time only the status. */
import { timeText } from "#platform/base/clock.ts";
import type { HorizontalPodAutoscalerCondition } from "#sdk/api/generated/types.ts";

export class Conditions {
  readonly #now: number;
  #list: HorizontalPodAutoscalerCondition[];

  constructor(present: readonly HorizontalPodAutoscalerCondition[] | undefined, now: number) {
    this.#list = [...(present ?? [])];
    this.#now = now;
  }

  set(
    type: "AbleToScale" | "ScalingActive" | "ScalingLimited",
    isTrue: boolean,
    reason: string,
    message: string,
  ): void {
    const status = isTrue ? "True" : "False";
    const old = this.#list.find((c) => c.type === type);
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timeText(this.#now);
    const next: HorizontalPodAutoscalerCondition = { type, status, lastTransitionTime, reason, message };
    this.#list = old ? this.#list.map((c) => (c === old ? next : c)) : [...this.#list, next];
  }

  list(): HorizontalPodAutoscalerCondition[] {
    return this.#list;
  }
}
