/**
 * A model of part of one nftables table (a table is named with its family everywhere here: "ip NAME"), and the script that turns one state of it into another.
 * A script is one transaction for the kernel: traffic sees the state before or the state after, nothing between.
 *
 * Order within a script, so that nothing refers to what is not there: declare sets, declare chains, rewrite chains,
 * remove elements, add elements, delete chains (emptied first: they may jump to each other), delete sets.
 */
export interface NftSet {
  /** "map" when elements carry a verdict. */
  kind: "set" | "map";
  /** Everything between the braces: "type ipv4_addr; flags dynamic,timeout; timeout 60s;". */
  declaration: string;
  /** Filled by packets, not by us: kept through a resync. */
  dynamic?: boolean;
  /** Key → verdict ("goto chain"); "" in a set. */
  elements: Map<string, string>;
}

export interface NftChain {
  /** "type nat hook output priority -100;" for a base chain. */
  hook?: string;
  rules: string[];
}

export interface Ruleset {
  sets: Map<string, NftSet>;
  chains: Map<string, NftChain>;
}

export const emptyRuleset = (): Ruleset => ({ sets: new Map(), chains: new Map() });

/** The union; of two elements with one key the first given wins. Chains have one owner each. */
export function merge(parts: Iterable<Ruleset>): Ruleset {
  const all = emptyRuleset();
  for (const part of parts) {
    for (const [name, chain] of part.chains) all.chains.set(name, chain);
    for (const [name, set] of part.sets) {
      const known = all.sets.get(name);
      if (!known) all.sets.set(name, { ...set, elements: new Map(set.elements) });
      else for (const [key, value] of set.elements) if (!known.elements.has(key)) known.elements.set(key, value);
    }
  }
  return all;
}

const ELEMENTS_PER_LINE = 400;
const sameRules = (a: NftChain, b: NftChain) =>
  a.rules.length === b.rules.length && a.rules.every((rule, i) => rule === b.rules[i]);
const elementText = (key: string, value: string) => (value === "" ? key : `${key} : ${value}`);

function elementLines(verb: "add" | "delete", table: string, set: string, elements: string[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < elements.length; i += ELEMENTS_PER_LINE)
    lines.push(`${verb} element ${table} ${set} { ${elements.slice(i, i + ELEMENTS_PER_LINE).join(", ")} }`);
  return lines;
}

const declareSet = (table: string, name: string, set: NftSet) =>
  `add ${set.kind} ${table} ${name} { ${set.declaration} }`;
const declareChain = (table: string, name: string, chain: NftChain) =>
  `add chain ${table} ${name}${chain.hook ? ` { ${chain.hook} }` : ""}`;

/**
 * The script from one state to the other; "" when they are the same. Sets in `keep` are shared with parts of the table that
 * these rulesets do not show: their elements change, they are never deleted.
 */
export function diff(table: string, from: Ruleset, to: Ruleset, keep: ReadonlySet<string> = new Set()): string {
  const lines: string[] = [];
  for (const [name, set] of to.sets)
    if (!from.sets.has(name) && !keep.has(name)) lines.push(declareSet(table, name, set));
  const changed = [...to.chains].filter(([name, chain]) => {
    const old = from.chains.get(name);
    return !old || !sameRules(old, chain);
  });
  for (const [name, chain] of changed) lines.push(declareChain(table, name, chain));
  for (const [name] of changed) if (from.chains.has(name)) lines.push(`flush chain ${table} ${name}`);
  for (const [name, chain] of changed) for (const rule of chain.rules) lines.push(`add rule ${table} ${name} ${rule}`);
  lines.push(...elementChanges(table, from, to, keep));
  const gone = [...from.chains.keys()].filter((name) => !to.chains.has(name));
  for (const name of gone) lines.push(`flush chain ${table} ${name}`);
  for (const name of gone) lines.push(`delete chain ${table} ${name}`);
  for (const [name, set] of from.sets)
    if (!to.sets.has(name) && !keep.has(name)) lines.push(`delete ${set.kind} ${table} ${name}`);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function elementChanges(table: string, from: Ruleset, to: Ruleset, keep: ReadonlySet<string>): string[] {
  const removals: string[] = [];
  const additions: string[] = [];
  for (const name of new Set([...from.sets.keys(), ...to.sets.keys()])) {
    const old = from.sets.get(name)?.elements ?? new Map<string, string>();
    const now = to.sets.get(name)?.elements ?? new Map<string, string>();
    if (!to.sets.has(name) && !keep.has(name)) continue; // deleted as a whole
    const out = [...old]
      .filter(([key, value]) => now.get(key) !== value)
      .map(([key, value]) => elementText(key, value));
    const into = [...now]
      .filter(([key, value]) => old.get(key) !== value)
      .map(([key, value]) => elementText(key, value));
    removals.push(...elementLines("delete", table, name, out));
    additions.push(...elementLines("add", table, name, into));
  }
  return [...removals, ...additions];
}

/** What `nft -j list` says is in the table now; undefined when there is no such table. */
export interface ExistingNames {
  chains: string[];
  /** With `timeout`: filled by packets. */
  sets: { name: string; kind: "set" | "map"; dynamic: boolean }[];
}

/** One transaction that makes the table exactly `to`, whatever is in it, without losing what packets have put into sets. */
export function resync(table: string, existing: ExistingNames | undefined, to: Ruleset): string {
  const lines = [`add table ${table}`];
  for (const chain of existing?.chains ?? []) lines.push(`flush chain ${table} ${chain}`);
  for (const set of existing?.sets ?? []) if (!set.dynamic) lines.push(`flush ${set.kind} ${table} ${set.name}`);
  for (const chain of existing?.chains ?? []) if (!to.chains.has(chain)) lines.push(`delete chain ${table} ${chain}`);
  for (const set of existing?.sets ?? [])
    if (!to.sets.has(set.name)) lines.push(`delete ${set.kind} ${table} ${set.name}`);
  return `${lines.join("\n")}\n${diff(table, emptyRuleset(), to)}`;
}

/** For a table whose declarations are of another version: everything anew, still one transaction. */
export const rebuild = (table: string, to: Ruleset): string =>
  `add table ${table}\ndelete table ${table}\nadd table ${table}\n${diff(table, emptyRuleset(), to)}`;
