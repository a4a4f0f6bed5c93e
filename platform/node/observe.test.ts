import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { Container, ContainerState, PodSandbox } from "./cri.ts";
import { CONTAINER_NAME, createObserver, type Observer } from "./observe.ts";
import { type ListFilter, type Runtime, RuntimeError } from "./ports.ts";
import { POD_UID } from "./sandbox.ts";

const NOT_FOUND = 5;

/** A runtime that writes down what it is asked, and may be held up. */
function world() {
  const sandboxes = new Map<string, PodSandbox>();
  const containers = new Map<string, Container>();
  const asked: string[] = [];
  const changed: string[] = [];
  const state = { now: 0, hold: Promise.resolve(), broken: false };
  const isAsked = ({ podUid, ended }: ListFilter, labels: Record<string, string> = {}, over: boolean) =>
    (podUid === undefined || labels[POD_UID] === podUid) && (ended !== true || over);
  const runtime = {
    async listPodSandboxes(filter: ListFilter = {}) {
      asked.push(`list ${JSON.stringify(filter)}`);
      const found = [...sandboxes.values()].filter((one) =>
        isAsked(filter, one.labels, one.state === "SANDBOX_NOTREADY"),
      );
      await state.hold;
      if (state.broken) throw new RuntimeError(14, "the runtime is away");
      return found;
    },
    async listContainers(filter: ListFilter = {}) {
      const found = [...containers.values()].filter((one) =>
        isAsked(filter, one.labels, one.state === "CONTAINER_EXITED"),
      );
      await state.hold;
      return found;
    },
    async containerStatus(id: string) {
      asked.push(`status ${id}`);
      const { podSandboxId: _, ...status } = containers.get(id) ?? raise(id);
      return status;
    },
  } as Partial<Runtime> as Runtime;
  const put = (uid: string, id: string, now: ContainerState) => {
    sandboxes.set(`s-${uid}`, {
      id: `s-${uid}`,
      metadata: { name: uid, namespace: "default", uid },
      state: "SANDBOX_READY",
      labels: { [POD_UID]: uid },
    });
    containers.set(id, {
      id,
      podSandboxId: `s-${uid}`,
      metadata: { name: "main" },
      state: now,
      labels: { [POD_UID]: uid, [CONTAINER_NAME]: "main" },
    });
  };
  const observer = createObserver(
    runtime,
    () => state.now,
    (uid) => changed.push(uid),
  );
  return { sandboxes, containers, asked, changed, state, put, observer };
}

const raise = (id: string): never => {
  throw new RuntimeError(NOT_FOUND, `no container ${id}`);
};
const states = (observer: Observer, uid: string) => observer.get(uid).containers.map((one) => one.state);

describe("what the runtime has", () => {
  let w: ReturnType<typeof world>;
  beforeEach(() => {
    w = world();
    for (const uid of ["a", "b"]) w.put(uid, `c-${uid}`, "CONTAINER_RUNNING");
  });

  it("is listed whole once, then asked for what has ended only", async () => {
    await w.observer.poll();
    assert.deepEqual(w.changed, ["a", "b"]);
    w.asked.length = 0;
    w.state.now += 1000;
    await w.observer.poll();
    assert.deepEqual(w.asked, ['list {"ended":true}']);
    w.put("b", "c-b", "CONTAINER_EXITED");
    await w.observer.poll();
    assert.deepEqual(states(w.observer, "b"), ["CONTAINER_EXITED"]);
    assert.deepEqual(w.changed, ["a", "b", "b"]);
    w.asked.length = 0;
    await w.observer.poll();
    assert.deepEqual(w.asked, ['list {"ended":true}'], "what is known to have ended is no news");
  });

  it("is found out when somebody else took it away, within ten seconds", async () => {
    await w.observer.poll();
    w.containers.delete("c-a");
    w.sandboxes.delete("s-a");
    w.state.now += 10_000;
    await w.observer.poll();
    assert.deepEqual(w.observer.uids(), ["b"]);
    assert.equal(w.changed.at(-1), "a");
  });

  it("is listed whole after the runtime did not answer", async () => {
    await w.observer.poll();
    w.state.broken = true;
    await assert.rejects(w.observer.poll(), /away/);
    w.state.broken = false;
    w.asked.length = 0;
    await w.observer.poll();
    assert.deepEqual(w.asked, ["list {}"]);
  });

  it("is as the later of two looks saw it, whichever is answered first", async () => {
    await w.observer.refresh();
    let release = () => {};
    w.state.hold = new Promise((resolve) => {
      release = resolve;
    });
    const old = w.observer.refresh();
    w.state.hold = Promise.resolve();
    w.put("a", "c-new", "CONTAINER_RUNNING");
    await w.observer.refreshPod("a");
    release();
    await old;
    assert.deepEqual(new Set(w.observer.get("a").containers.map((one) => one.id)), new Set(["c-a", "c-new"]));
  });

  it("does not come back by a listing that began before it was gone", async () => {
    await w.observer.refresh();
    let release = () => {};
    w.state.hold = new Promise((resolve) => {
      release = resolve;
    });
    const old = w.observer.refresh();
    w.state.hold = Promise.resolve();
    w.containers.delete("c-a");
    w.sandboxes.delete("s-a");
    await w.observer.refreshPod("a");
    release();
    await old;
    assert.deepEqual(w.observer.uids(), ["b"]);
    assert.deepEqual(w.observer.get("a").containers, []);
  });

  it("is known from who acted, without a listing, and a look that began before does not undo it", async () => {
    let release = () => {};
    w.state.hold = new Promise((resolve) => {
      release = resolve;
    });
    const old = w.observer.refresh();
    const started = { id: "c-x", podSandboxId: "s-x", metadata: { name: "main" }, name: "main", attempt: 0 };
    w.observer.note("x", { container: { ...started, state: "CONTAINER_RUNNING" } });
    release();
    await old;
    assert.deepEqual(states(w.observer, "x"), ["CONTAINER_RUNNING"]);
    assert.deepEqual(w.observer.uids().sort(), ["a", "b", "x"]);
  });
});
