/** `capstan plugin new|build|test|bench|reference`: what an author needs no platform for. */
import { resolve } from "node:path";
import { benchPlugin } from "#sdk/cli/bench.ts";
import { newPlugin, worldsOf } from "#sdk/cli/new.ts";
import { contractReference } from "#sdk/cli/reference.ts";
import { outDirOf, testPlugin } from "#sdk/cli/test.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { UserError } from "../../steps.ts";
import { liveCalls } from "./live.ts";
import { authorsEngine, buildOptions, only, type PluginOptions, say } from "./options.ts";

const folder = ([dir = "."]: readonly string[]): string => resolve(dir);
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

export const create = {
  usage: "new NAME --world W [--lang ts|go|c]",
  help: "a folder from a template that builds and tests as it is",
  async run({ world, lang }: PluginOptions, positionals: string[]): Promise<number> {
    const name = only(positionals, "a name", this.usage);
    if (!world)
      throw new UserError(`which world? ${worldsOf(lang).join(", ")}`, `npx capstan plugin new ${name} --world filter`);
    newPlugin(resolve(name), name, world, lang);
    say(`made ${name}/\n  next: npx capstan plugin test ${name}`);
    return 0;
  },
};

export const build = {
  usage: "build [DIR] [--interpreter starlingmonkey]",
  help: "the component, into DIR/dist: the same source gives the same digest",
  async run(options: PluginOptions, positionals: string[]): Promise<number> {
    const dir = folder(positionals);
    const { manifest, digest, bytes, path, built } = await buildPlugin(dir, outDirOf(dir), buildOptions(options));
    say(`${manifest.name} ${manifest.version}  ${digest}  ${kib(bytes)}${built ? "" : "  (unchanged)"}\n  ${path}`);
    return 0;
  },
};

export const test = {
  usage: "test [DIR] [--record]",
  help: "builds, then runs the cases in DIR/tests against a mock host",
  async run(options: PluginOptions, positionals: string[]): Promise<number> {
    const dir = folder(positionals);
    const outDir = outDirOf(dir);
    const live = options.record ? liveCalls(options, dir) : undefined;
    try {
      const { built, results } = await testPlugin(dir, {
        engine: authorsEngine(options, outDir),
        outDir,
        build: buildOptions(options),
        record: live?.call,
      });
      say(`${built.manifest.name} ${built.manifest.version}  ${kib(built.bytes)}`);
      for (const { name, wrong, micros, memoryBytes } of results)
        say(
          wrong === undefined
            ? `✔ ${name}  ${Math.round(micros)} µs  ${mib(memoryBytes)}`
            : `✖ ${name}\n  ${wrong.replaceAll("\n", "\n  ")}`,
        );
      const failed = results.filter(({ wrong }) => wrong !== undefined).length;
      say(`${results.length - failed} passed, ${failed} failed`);
      return failed > 0 ? 1 : 0;
    } finally {
      live?.close();
    }
  },
};

export const bench = {
  usage: "bench [DIR] [--calls N]",
  help: "what the last call of each case costs",
  async run(options: PluginOptions, positionals: string[]): Promise<number> {
    const dir = folder(positionals);
    const outDir = outDirOf(dir);
    const engine = authorsEngine(options, outDir);
    const { built, loadMs, instanceMs, measured } = await benchPlugin(dir, {
      engine,
      outDir,
      calls: options.calls,
      build: buildOptions(options),
    });
    say(
      `${built.manifest.name} ${built.manifest.version} on ${engine.name}: ${kib(built.bytes)}, compiled or loaded in ${loadMs.toFixed(0)} ms, an instance in ${instanceMs.toFixed(2)} ms`,
    );
    say("case                hook            calls     p50 µs     p99 µs   guest µs     memory");
    for (const m of measured) {
      const numbers = [m.p50, m.p99, m.guest].map((n) => n.toFixed(1).padStart(10)).join(" ");
      say(
        `${m.case.padEnd(19)} ${m.hook.padEnd(15)} ${String(m.calls).padStart(5)} ${numbers} ${mib(m.memoryBytes).padStart(10)}`,
      );
    }
    return 0;
  },
};

export const reference = {
  usage: "reference",
  help: "the contract as a page of Markdown",
  async run(): Promise<number> {
    process.stdout.write(contractReference("v1"));
    return 0;
  },
};
