/**
 * The capability `net`: links of granted names, their addresses, routes and neighbours, and one nftables table of the plugin's own. Everything
 * else about the node's network is shown, and not touched: what a command says is judged word by word before the first one runs.
 */
import { createHash } from "node:crypto";
import { runProgram } from "./exec.ts";
import { denied, hostFailure } from "./failure.ts";

const COMMANDS_MAX = 200;
const WORDS_MAX = 64;
const RULESET_BYTES_MAX = 1 << 20;

const SHOWN: Readonly<Record<string, string[]>> = {
  link: ["link"],
  address: ["address"],
  route: ["route"],
  neighbor: ["neighbor"],
};

const invalid = (why: string) => hostFailure("Invalid", 422, why);

export async function showNet(what: string, timeoutMs: number): Promise<string> {
  const words = Object.hasOwn(SHOWN, what) ? SHOWN[what] : undefined;
  if (words === undefined) throw invalid(`net shows ${Object.keys(SHOWN).join(", ")}, not ${JSON.stringify(what)}`);
  const shown = await runProgram("ip", { args: ["-json", ...words, "show"], env: {}, stdin: "", timeoutMs });
  if (shown.exitCode !== 0) throw hostFailure("InternalError", 500, shown.stderr.trim());
  try {
    JSON.parse(shown.stdout || "[]");
  } catch {
    throw hostFailure("TooLarge", 413, `there is more about ${what} than is shown`);
  }
  return shown.stdout.trim() || "[]";
}

// ---- ip

/** What may stand after a word: the name of a granted link, an address, a network … ; "flag": nothing. */
type Kind = "link" | "kind" | "address" | "network" | "mac" | "number" | "word" | "flag";

const SHAPES: Readonly<Record<Exclude<Kind, "link" | "flag">, RegExp>> = {
  // Links that live in the kernel alone and give nobody more than a link.
  kind: /^(bridge|dummy|veth|vlan|vxlan|macvlan|ipvlan)$/,
  address: /^[0-9a-f]*[.:][0-9a-f.:]*(\/[0-9]{1,3})?$/i,
  // Not the whole world: a route for it would be everybody's.
  network:
    /^([0-9]{1,3}(\.[0-9]{1,3}){3}(\/([89]|[12][0-9]|3[0-2]))?|[0-9a-f]*:[0-9a-f:.]*(\/([89]|[1-9][0-9]|1[0-2][0-9]))?)$/i,
  mac: /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i,
  number: /^[0-9]{1,10}$/,
  word: /^[a-z][a-z0-9]{0,15}$/,
};

interface Grammar {
  verbs: readonly string[];
  /** What the first word after the verb is, where it is none of `words`. */
  first: Kind;
  /** Whole words only: ip takes beginnings of words too, and they are refused. */
  words: Readonly<Record<string, Kind>>;
}

const GRAMMARS: Readonly<Record<string, Grammar>> = {
  link: {
    verbs: ["add", "set", "del", "delete"],
    first: "link",
    words: {
      ...{ dev: "link", name: "link", master: "link", link: "link", type: "kind", peer: "flag", nomaster: "flag" },
      ...{
        up: "flag",
        down: "flag",
        mtu: "number",
        txqueuelen: "number",
        address: "mac",
        arp: "word",
        promisc: "word",
      },
      ...{ id: "number", local: "address", remote: "address", dstport: "number", ttl: "number", mode: "word" },
      ...{ learning: "flag", nolearning: "flag", stp_state: "number", vlan_filtering: "number", hairpin: "word" },
    },
  },
  address: {
    verbs: ["add", "replace", "del", "delete"],
    first: "address",
    words: {
      ...{ dev: "link", brd: "address", broadcast: "address", peer: "address", scope: "word" },
      ...{ noprefixroute: "flag", nodad: "flag" },
    },
  },
  route: {
    verbs: ["add", "replace", "del", "delete"],
    first: "network",
    words: {
      ...{ dev: "link", via: "address", src: "address", metric: "number", mtu: "number", scope: "word" },
      ...{ onlink: "flag" },
    },
  },
  neighbor: {
    verbs: ["add", "replace", "del", "delete"],
    first: "address",
    words: { dev: "link", lladdr: "mac", nud: "word" },
  },
};

export interface IpCommand {
  words: string[];
  /** Succeeds where the thing is there, or gone, already. */
  again: "add" | "del" | undefined;
  /** Of a link that is made. */
  made?: { name: string; kind: string };
}

/** The command as it is run. Throws where it is outside of the grant, or nothing that this knows. */
export function judgeCommand(command: string, links: readonly string[]): IpCommand {
  const words = command.trim().split(/[ \t]+/);
  const [object = "", verb = "", ...rest] = words;
  const grammar = Object.hasOwn(GRAMMARS, object) ? GRAMMARS[object] : undefined;
  if (words.length > WORDS_MAX || grammar?.verbs.includes(verb) !== true) throw denied(`ip ${object} ${verb}`);
  const said = new Map<string, string>();
  let named = 0;
  const take = (about: string, kind: Exclude<Kind, "flag">, value = "") => {
    if (kind !== "link") {
      if (!SHAPES[kind].test(value)) throw denied(`${JSON.stringify(value)} in ip ${object} ${verb}`);
    } else {
      if (!/^[\w.-]{1,15}$/.test(value) || !links.some((prefix) => value.startsWith(prefix)))
        throw denied(`the link ${JSON.stringify(value)}`);
      named++;
    }
    if (!said.has(about)) said.set(about, value);
  };
  while (rest.length > 0) {
    const word = rest.shift() ?? "";
    const kind = Object.hasOwn(grammar.words, word) ? grammar.words[word] : undefined;
    if (kind === undefined && said.size === 0 && grammar.first !== "flag") take("", grammar.first, word);
    else if (kind === undefined) throw denied(`the word ${JSON.stringify(word)} in ip ${object} ${verb}`);
    else if (kind !== "flag") take(word, kind, rest.shift());
  }
  if (named === 0) throw denied(`${JSON.stringify(command)}, which names no link,`);
  const again = verb === "add" ? "add" : verb.startsWith("del") ? "del" : undefined;
  if (object !== "link" || again !== "add")
    // What is there already may be said again, and is the same then.
    return { words: again === "add" ? [object, "replace", ...words.slice(2)] : words, again };
  const kind = said.get("type");
  if (kind === undefined) throw denied("a link without a type");
  return { words, again, made: { name: said.get("") ?? said.get("name") ?? said.get("dev") ?? "", kind } };
}

const isThere = /File exists/;
const isGone = /Cannot find device|No such process|No such file or directory|Cannot assign requested address/;

/** `links`: what the names of granted links begin with. */
export async function applyNet(
  commands: readonly string[],
  links: readonly string[],
  timeoutMs: number,
): Promise<void> {
  if (commands.length > COMMANDS_MAX) throw hostFailure("TooLarge", 413, `at most ${COMMANDS_MAX} commands at once`);
  const judged = commands.map((command) => judgeCommand(command, links));
  const deadline = performance.now() + timeoutMs;
  const ip = (args: string[]) =>
    runProgram("ip", { args, env: {}, stdin: "", timeoutMs: Math.max(1, deadline - performance.now()) });
  for (const { words, again, made } of judged) {
    const done = await ip(words);
    if (done.exitCode === 0) continue;
    if (again === "del" && isGone.test(done.stderr)) continue;
    if (again === "add" && made !== undefined && isThere.test(done.stderr)) {
      const shown = await ip(["-json", "-details", "link", "show", "dev", made.name]);
      if (shown.exitCode === 0 && kindOf(shown.stdout) === made.kind) continue;
      throw hostFailure("Conflict", 409, `the link ${made.name} is there already, and is no ${made.kind}`);
    }
    throw hostFailure("InternalError", 500, `ip ${words.join(" ")}: ${done.stderr.trim()}`);
  }
}

function kindOf(shown: string): string | undefined {
  const [link] = JSON.parse(shown) as { linkinfo?: { info_kind?: string } }[];
  return link?.linkinfo?.info_kind;
}

// ---- nftables

/** What all tables of an instance's plugins begin with: several instances may be on one machine. */
export const pluginTablePrefix = (dataDir: string): string =>
  `capstan_plugin_${createHash("sha256").update(dataDir).digest("hex").slice(0, 8)}_`;

/** As nft knows it: two plugins that ask for the same name have two tables. */
export const tableOf = (dataDir: string, plugin: string, table: string): string =>
  `${pluginTablePrefix(dataDir)}${`${plugin}_${table}`.replace(/[^a-z0-9]/g, "_")}`;

/** Throws where the statements would end the table that they stand in, or bring in files. */
export function judgeRuleset(ruleset: string): void {
  if (Buffer.byteLength(ruleset) > RULESET_BYTES_MAX) throw hostFailure("TooLarge", 413, "the ruleset is too large");
  // A backslash joins lines, and other control characters are nothing that rules are made of.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\\\u0000-\u0008\u000b-\u001f\u007f]/.test(ruleset))
    throw invalid("the ruleset has characters that no rule needs");
  // Texts and comments are nothing that nft acts on; what is left of an unclosed text is a quote.
  const bare = ruleset.replace(/"[^"]*"|#[^\n]*/g, " ");
  if (bare.includes('"')) throw invalid("the ruleset has a text that does not end");
  let depth = 0;
  for (const one of bare) {
    if (one === "{") depth++;
    else if (one === "}" && --depth < 0) throw denied("what stands outside of the plugin's own table");
  }
  if (depth !== 0) throw invalid("the ruleset has a block that does not end");
  if (/(^|[^\w-])include([^\w-]|$)/.test(bare)) throw denied("include");
}

/** `table`: as `tableOf` names it. */
export async function replaceRules(ruleset: string, table: string, timeoutMs: number): Promise<void> {
  judgeRuleset(ruleset);
  const stdin = `table inet ${table} {}\ndelete table inet ${table}\ntable inet ${table} {\n${ruleset}\n}\n`;
  const done = await runProgram("nft", { args: ["-f", "-"], env: {}, stdin, timeoutMs });
  if (done.exitCode !== 0) throw invalid(done.stderr.trim().slice(0, 4096));
}
