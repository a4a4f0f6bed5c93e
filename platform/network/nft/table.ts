/** Our table in the kernel: what is in it, transactions on it, its removal. */
import { messageOf } from "#platform/base/log.ts";
import type { ProgramResult, RunProgram } from "../host/program.ts";
import { type ExistingNames, type Ruleset, rebuild, resync } from "./ruleset.ts";

interface NftList {
  nftables: {
    chain?: { table: string; name: string };
    set?: { table: string; name: string; flags?: string[]; timeout?: number };
    map?: { table: string; name: string };
  }[];
}

export interface NftTable {
  /** One transaction. Throws with nft's words; then nothing has changed. */
  transact(script: string): Promise<void>;
  /** Makes the table exactly this, whatever is in it. */
  replace(ruleset: Ruleset): Promise<void>;
  /** Whether the table is still there (an administrator's `nft flush ruleset` removes it). */
  present(): Promise<boolean>;
  remove(): Promise<void>;
}

/** An error's text for people: nft echoes the whole line and marks it; the first lines say what is wrong. */
const shorten = (text: string) => text.trim().split("\n").slice(0, 3).join(" ").slice(0, 500);

/** A chain without hook and rules, in every table of ours. */
export const PRESENCE = "present";

/** Ten thousand services from nothing take most of a minute on a busy small machine. */
const TRANSACTION_MS_MAX = 180_000;

interface Waiting {
  script: string;
  done(result: ProgramResult | Promise<ProgramResult>): void;
}

/** What the tables of one machine are to be told in this turn of the loop. */
const waiting = new WeakMap<RunProgram, Waiting[]>();
/** What is longer goes alone: nobody else is to wait for it. */
const TOGETHER_CHARACTERS_MAX = 65_536;

const apply = (run: RunProgram, script: string): Promise<ProgramResult> =>
  run("nft", ["-f", "-"], { input: script, timeout_ms: TRANSACTION_MS_MAX });

/**
 * Small changes of several tables at the same moment (a pod that comes is one of three) are one transaction: most of what one costs is
 * nft's start and its look at what there is. When it is refused, each is tried alone.
 */
function applyTogether(run: RunProgram, script: string): Promise<ProgramResult> {
  if (script.length > TOGETHER_CHARACTERS_MAX) return apply(run, script);
  return new Promise((done) => {
    const all = waiting.get(run) ?? [];
    all.push({ script, done });
    waiting.set(run, all);
    if (all.length > 1) return;
    setImmediate(() => {
      waiting.delete(run);
      const alone = () => {
        for (const one of all) one.done(apply(run, one.script));
      };
      if (all.length === 1) alone();
      else
        apply(run, all.map((one) => one.script).join("\n")).then((result) => {
          if (result.code !== 0) alone();
          else for (const one of all) one.done(result);
        }, alone);
    });
  });
}

/** `table` with its family: "ip NAME". */
export function createNftTable(table: string, run: RunProgram): NftTable {
  const [family = "", name = ""] = table.split(" ");
  const transact = async (script: string) => {
    if (script === "") return;
    const result = await applyTogether(run, script);
    if (result.code !== 0) throw new Error(`nft refused the rules of table ${table}: ${shorten(result.stderr)}`);
  };
  const listed = async (what: "chains" | "sets" | "maps") => {
    const result = await run("nft", ["-j", "-t", "list", what, family]);
    if (result.code !== 0) throw new Error(`nft list ${what}: ${shorten(result.stderr)}`);
    return (JSON.parse(result.stdout) as NftList).nftables;
  };
  const existing = async (): Promise<ExistingNames> => {
    const [chains, sets, maps] = [await listed("chains"), await listed("sets"), await listed("maps")];
    return {
      chains: chains.flatMap(({ chain }) => (chain?.table === name ? [chain.name] : [])),
      sets: [
        ...sets.flatMap(({ set }) =>
          set?.table === name ? [{ name: set.name, kind: "set" as const, dynamic: set.timeout !== undefined }] : [],
        ),
        ...maps.flatMap(({ map }) =>
          map?.table === name ? [{ name: map.name, kind: "map" as const, dynamic: false }] : [],
        ),
      ],
    };
  };
  return {
    transact,
    async replace(ruleset) {
      try {
        await transact(resync(table, await existing(), ruleset));
      } catch (error) {
        // A table of another version may declare the same names differently: only then everything is made anew.
        await transact(rebuild(table, ruleset)).catch((second: unknown) => {
          throw new Error(`${messageOf(second)} (and before that: ${messageOf(error)})`);
        });
      }
    },
    // A declaration of what is there changes nothing, and costs a tenth of a listing, for which nft reads the whole table.
    present: async () => (await run("nft", ["add", "chain", family, name, PRESENCE])).code === 0,
    remove: () => transact(`add table ${table}\ndelete table ${table}\n`),
  };
}
