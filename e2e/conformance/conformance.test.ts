/** The runner's own rules, and, where the suite has been built, a handful of the tests that must pass. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { skipWithoutNode, startInstance } from "../support/instance.ts";
import { parseReport, runSuite } from "./ginkgo.ts";
import {
  mustPassBeyondFile,
  mustPassFile,
  namesOfSig,
  patternOf,
  readNames,
  sigOf,
  sigs,
  tenantExceptionsFile,
  twoNodesFile,
} from "./names.ts";
import { defaultBuildDir, parseOptions, UsageError } from "./options.ts";
import { causeOf, groupByCause, markdown, summarize } from "./report.ts";
import { suiteIsBuilt } from "./suite.ts";

const spec = (texts: string[], leaf: string, state: string, failure?: string) => ({
  ContainerHierarchyTexts: texts,
  LeafNodeType: "It",
  LeafNodeText: leaf,
  State: state,
  RunTime: 1.24e9,
  ...(failure ? { Failure: { Message: failure, Location: { FileName: "pods.go", LineNumber: 7 } } } : {}),
});

describe("the conformance lists", () => {
  it("have each test once, in the list of its SIG", () => {
    const all = sigs().flatMap(namesOfSig);
    assert.equal(new Set(all).size, all.length);
    for (const sig of sigs()) for (const name of namesOfSig(sig)) assert.equal(sigOf(name), sig);
  });

  it("name every must-pass test once", () => {
    const names = readNames(mustPassFile);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^\[sig-.+\[Conformance\]$/);
  });

  it("except from tenants only tests of the lists, each once", () => {
    const names = readNames(tenantExceptionsFile);
    const listed = new Set([...sigs().flatMap(namesOfSig), ...[mustPassFile, mustPassBeyondFile].flatMap(readNames)]);
    assert.deepEqual(
      names.filter((name, i) => !listed.has(name) || names.indexOf(name) !== i),
      [],
    );
    const options = parseOptions(["--open", "--tenant"]);
    assert.ok(names.length > 0 && !names.some((name) => options?.names?.includes(name)));
  });

  it("become an expression that finds these names and no longer one", () => {
    const name = "[sig-node] Pods (a.b) should run [Conformance]";
    const expression = new RegExp(patternOf([name, "other"]));
    assert.match(name, expression);
    assert.doesNotMatch(`${name} twice`, expression);
    assert.doesNotMatch("[sig-node] Pods (axb) should run [Conformance]", expression);
  });
});

describe("the conformance command line", () => {
  it("takes lists of SIGs and counts each test once", () => {
    const options = parseOptions(["--sig", "auth", "--sig", "auth", "--processes", "2"]);
    assert.deepEqual(options?.names, namesOfSig("auth"));
    assert.equal(options?.processes, 2);
    assert.equal(options?.nodes, 1);
  });

  it("has two nodes where a named test needs them, and as many as are asked for", () => {
    assert.equal(parseOptions(["--list", twoNodesFile])?.nodes, 2);
    assert.equal(parseOptions(["--focus", "x", "--nodes", "3"])?.nodes, 3);
  });

  it("refuses what it cannot run", () => {
    for (const argv of [[], ["--sig", "nobody"], ["--sig", "auth", "--focus", "x"], ["--open", "--processes", "0"]])
      assert.throws(() => parseOptions(argv), UsageError);
  });
});

describe("the conformance report", () => {
  const json = JSON.stringify([
    {
      SpecReports: [
        spec(["[sig-node] Pods"], "should run", "passed"),
        spec(["[sig-node] Pods"], "should end", "failed", 'timed out\n waiting for pod "pod-1234abcd"'),
        spec(["[sig-node] Pods"], "should also end", "timedout", 'timed out waiting for pod "pod-99"'),
        spec(["[sig-node] Pods"], "is not asked for", "skipped"),
      ],
    },
  ]);

  it("has what ran, each failure with its first error and its place", () => {
    const { results, problem } = parseReport(json);
    assert.equal(problem, undefined);
    assert.deepEqual(
      results.map(({ name, passed, seconds }) => [name, passed, seconds]),
      [
        ["[sig-node] Pods should run", true, 1.2],
        ["[sig-node] Pods should end", false, 1.2],
        ["[sig-node] Pods should also end", false, 1.2],
      ],
    );
    const report = summarize(results, ["[sig-node] Pods should run", "[sig-node] Pods never ran"]);
    assert.deepEqual(report.missing, ["[sig-node] Pods never ran"]);
    const text = markdown(report);
    assert.match(text, /1 passed, 2 failed, 1 not run/);
    assert.match(text, /timed out waiting for pod "pod-1234abcd"\n {2}at pods\.go:7/);
  });

  it("puts failures together that differ in names only", () => {
    assert.equal(groupByCause(parseReport(json).results.filter((r) => !r.passed)).length, 1);
    assert.notEqual(causeOf("refused"), causeOf("timed out"));
  });

  it("says when the suite failed before its first test", () => {
    const setUp = { LeafNodeType: "SynchronizedBeforeSuite", State: "failed", Failure: { Message: "no nodes" } };
    assert.equal(parseReport(JSON.stringify([{ SpecReports: [setUp] }])).problem, "no nodes");
  });
});

/** A few of the quick ones: the whole list is `npm run conformance -- --must-pass`. */
const HANDFUL = 12;
const buildDir = defaultBuildDir();
const skip =
  skipWithoutNode ||
  (suiteIsBuilt(buildDir) && existsSync(join(buildDir, "images.tar"))
    ? false
    : `the suite is not built in ${buildDir}: npm run conformance -- --build`);

/** The same ones each time, spread over the list; none that needs a second node. */
function handful(names: string[]): string[] {
  const two = new Set(readNames(twoNodesFile));
  const step = Math.max(1, Math.ceil(names.length / HANDFUL));
  return names.filter((name, index) => index % step === 0 && !name.includes("[Serial]") && !two.has(name));
}

describe("the conformance suite", () => {
  it("passes a handful of the tests that must pass", { skip, timeout: 600_000 }, async () => {
    const names = handful(readNames(mustPassFile));
    const reportDir = mkdtempSync(join(tmpdir(), "capstan-conformance-"));
    const instance = await startInstance();
    try {
      const loaded = await instance.capstan("image", "load", join(buildDir, "images.tar"));
      assert.equal(loaded.code, 0, loaded.stderr);
      const { kubeconfig } = instance;
      const pattern = patternOf(names);
      const run = await runSuite({ buildDir, kubeconfig, pattern, processes: 4, minutes: 8, reportDir });
      const report = summarize(run.results, names, run.problem);
      assert.deepEqual(report, { passed: [...names].sort(), failed: [], missing: [] });
    } finally {
      await instance.remove();
      rmSync(reportDir, { recursive: true, force: true });
    }
  });
});
