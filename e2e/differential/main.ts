/**
 * `npm run differential`: the same requests to kube-apiserver and to Capstan, made from the schemas by a seed, and what the replies differ in
 * after volatile values are named. Needs Go (the original is built from its module).
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { delay } from "#platform/base/clock.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { capstan, ensureServiceAccount, type Side, upstream } from "../bench/sides.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { buildBinaries, buildImpossible, peerBinaries } from "../conformance/suite.ts";
import { HttpClient } from "../support/http.ts";
import { difference, type Reply } from "./compare.ts";
import { known } from "./known.ts";
import { mutated, Random } from "./mutate.ts";
import { type Sample, samples } from "./samples.ts";

const help = `npm run differential -- [options]
  --kinds NAMES      resources, separated by commas (all of ${samples.length})
  --rounds N         sequences for each kind (20)
  --seed N           repeats a run
  --show N           differences shown for each kind (5)`;

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const NAMESPACE = "diff";

interface Party {
  url: string;
  client: HttpClient;
}

const partyOf = ({ servers, cert, key }: Side): Party => ({
  url: servers[0] ?? "",
  // The original makes its own serving certificate.
  client: new HttpClient({
    cert: readFileSync(cert, "utf8"),
    key: readFileSync(key, "utf8"),
    rejectUnauthorized: false,
  }),
});

const collection = ({ group, version, resource, namespaced }: Sample): string =>
  `${group === "" ? "/api" : `/apis/${group}`}/${version}${namespaced ? `/namespaces/${NAMESPACE}` : ""}/${resource}`;

/** One request of a sequence: what is sent, made from what the side answered before. */
type Step = {
  name: string;
  method: string;
  path: string;
  type?: string;
  accept?: string;
  body?: (last: Reply) => unknown;
};

function sequence(sample: Sample, seed: number, round: number): Step[] {
  const random = new Random(seed);
  const at = collection(sample);
  const apiVersion = sample.group === "" ? sample.version : `${sample.group}/${sample.version}`;
  const own = (sample.body["metadata"] ?? {}) as JsonObject;
  const name = String(own["name"] ?? `${sample.kind.toLowerCase()}-${seed % 100000}`);
  const whole = { ...sample.body, kind: sample.kind, apiVersion, metadata: { ...own, name } };
  const first = mutated(random, sample, whole, round === 0 ? 0 : random.below(4));
  const patch = mutated(random, sample, { metadata: {} }, 1 + random.below(2));
  const { kind: _, apiVersion: __, ...fields } = patch;
  const object = `${at}/${name}`;
  const strict = random.below(3) === 0 ? "&fieldValidation=Strict" : "";
  return [
    { name: "create", method: "POST", path: `${at}?fieldManager=one${strict}`, body: () => first },
    {
      name: "update",
      method: "PUT",
      path: `${object}?fieldManager=two`,
      // The same seed for both sides, on what each of them answered.
      body: ({ body }) => mutated(new Random(seed + 1), sample, body as JsonObject, 1),
    },
    {
      name: "merge patch",
      method: "PATCH",
      path: `${object}?fieldManager=three`,
      type: "application/merge-patch+json",
      body: () => fields,
    },
    {
      name: "apply",
      method: "PATCH",
      path: `${object}?fieldManager=four`,
      type: "application/apply-patch+yaml",
      body: () => ({ ...patch, kind: sample.kind, apiVersion, metadata: { name, labels: { applied: "yes" } } }),
    },
    { name: "table", method: "GET", path: object, accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
    { name: "delete", method: "DELETE", path: `${object}?gracePeriodSeconds=0` },
  ];
}

/** Kinds that the server judges as soon as they are written, and the condition that shows it has: then the version stands still. */
const JUDGED: Readonly<Record<string, string>> = {
  "flowcontrol.apiserver.k8s.io/flowschemas": "Dangling",
  "apiextensions.k8s.io/customresourcedefinitions": "Established",
  "apiregistration.k8s.io/apiservices": "Available",
};
const READS_MAX = 50;
const CONFLICTS_MAX = 5;
const OPTIMISTIC_LOCK = /the object has been modified/;

/** Reads an object until `enough`, a bounded number of times. */
async function readUntil({ client }: Party, url: string, enough: (reply: Reply) => boolean): Promise<Reply> {
  for (let i = 1; ; i++) {
    const reply: Reply = await client.send("GET", url);
    if (enough(reply) || i === READS_MAX) return reply;
    await delay(100);
  }
}

const isJudged = (condition: string) => (reply: Reply) => {
  const { conditions } = ((reply.body as JsonObject)["status"] ?? {}) as { conditions?: { type: string }[] };
  return reply.code !== 200 || (conditions ?? []).some(({ type }) => type === condition);
};

/** Sends a step; an update that the server's own writes came before is made again of what is there now. */
async function sent(party: Party, step: Step, last: Reply): Promise<Reply> {
  const url = party.url + step.path;
  let before = last;
  for (let i = 1; ; i++) {
    const reply: Reply = await party.client.send(
      step.method,
      url,
      step.body?.(before),
      step.type,
      undefined,
      step.accept,
    );
    const lost = reply.code === 409 && OPTIMISTIC_LOCK.test(String((reply.body as JsonObject)["message"]));
    if (!lost || i === CONFLICTS_MAX) return reply;
    before = await party.client.send("GET", url);
  }
}

async function compareSequence(
  sample: Sample,
  seed: number,
  round: number,
  parties: [Party, Party],
): Promise<{ step: string; what: string; seed: number }[]> {
  const found: { step: string; what: string; seed: number }[] = [];
  let last: [Reply, Reply] = [
    { code: 0, body: {} },
    { code: 0, body: {} },
  ];
  for (const step of sequence(sample, seed, round)) {
    const replies = (await Promise.all(parties.map((party, i) => sent(party, step, last[i]!)))) as [Reply, Reply];
    const what = difference(...replies);
    if (what) found.push({ step: step.name, what, seed });
    const failed = replies.some(({ code }) => code >= 400);
    if (step.name === "create" && failed) break;
    // After different outcomes there are different objects.
    if (replies[0].code !== replies[1].code) break;
    if (failed || step.name === "table" || step.name === "delete") continue;
    const judged = JUDGED[`${sample.group}/${sample.resource}`];
    const { name } = (replies[0].body as { metadata: { name: string } }).metadata;
    last = judged
      ? ((await Promise.all(
          parties.map((party) => readUntil(party, `${party.url}${collection(sample)}/${name}`, isJudged(judged))),
        )) as [Reply, Reply])
      : replies;
  }
  await Promise.all(parties.map((party) => removed(party, `${party.url}${collection(sample)}`, sample, seed)));
  return found;
}

async function removed(party: Party, at: string, sample: Sample, seed: number): Promise<void> {
  const { client } = party;
  const own = (sample.body["metadata"] ?? {}) as JsonObject;
  const name = String(own["name"] ?? `${sample.kind.toLowerCase()}-${seed % 100000}`);
  await client.send("PATCH", `${at}/${name}`, { metadata: { finalizers: null } }, "application/merge-patch+json");
  await client.send("DELETE", `${at}/${name}?gracePeriodSeconds=0`);
  // The next sequence's object has the same name.
  if (own["name"]) await readUntil(party, `${at}/${name}`, ({ code }) => code === 404);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kinds: { type: "string" },
      rounds: { type: "string", default: "20" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      show: { type: "string", default: "5" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    say(help);
    return 0;
  }
  const impossible = buildImpossible();
  if (impossible) throw new Error(impossible);
  const buildDir = defaultBuildDir();
  await buildBinaries(buildDir, peerBinaries, say);
  const kinds = values.kinds?.split(",");
  const sides = [await upstream({ buildDir, servers: 1 })];
  try {
    sides.push(await capstan({ buildDir, servers: 1 }));
    const parties = sides.map(partyOf) as [Party, Party];
    for (const { client, url } of parties)
      await client.send("POST", `${url}/api/v1/namespaces`, {
        kind: "Namespace",
        apiVersion: "v1",
        metadata: { name: NAMESPACE },
      });
    for (const side of sides) await ensureServiceAccount(side, NAMESPACE);
    let differing = 0;
    let compared = 0;
    for (const sample of samples.filter(({ resource }) => !kinds || kinds.includes(resource))) {
      const classes = new Map<string, { what: string; step: string; seed: number; count: number }>();
      for (let round = 0; round < Number(values.rounds); round++) {
        compared++;
        for (const each of await compareSequence(sample, Number(values.seed) + round * 17, round, parties)) {
          if (known.some(({ kind, pattern }) => (kind === "*" || kind === sample.kind) && pattern.test(each.what)))
            continue;
          const key = each.what.replace(/\[\d+\]/g, "[]").replace(/: original.*/, "");
          const entry = classes.get(key);
          if (entry) entry.count++;
          else classes.set(key, { ...each, count: 1 });
        }
      }
      differing += classes.size;
      say(
        `${classes.size === 0 ? "✔" : "✖"} ${sample.group || "core"}/${sample.version} ${sample.kind}: ${classes.size} kinds of difference`,
      );
      for (const { what, step, seed, count } of [...classes.values()]
        .sort((a, b) => b.count - a.count)
        .slice(0, Number(values.show)))
        say(`    ${count}× ${step} (seed ${seed}) ${what}`);
    }
    say(`\n${compared} sequences, ${differing} kinds of difference, seed ${values.seed}`);
    for (const { client } of parties) client.close();
    return differing === 0 ? 0 : 1;
  } finally {
    for (const side of sides) await side.remove();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
