/** Which devices an expression of a DeviceClass or a claim selects (upstream: dynamic-resource-allocation/cel). */
import { messageOf } from "#platform/base/log.ts";
import { CelEnvironment, DYN, type Program, toQuantity, toSemver, typeText } from "#platform/rules/cel/index.ts";
import type { Device, DeviceAttribute } from "#sdk/api/generated/types.ts";

const environment = new CelEnvironment({ variables: { device: DYN }, binds: true });
/** Expressions that are kept compiled; the one that was used least lately goes. */
const PROGRAMS_MAX = 256;
const programs = new Map<string, Program>();

/** A domain that a device says nothing of is one without entries, not an error. */
class Domains extends Map<unknown, unknown> {
  override get(domain: unknown): unknown {
    return super.get(domain) ?? new Map();
  }
}

/** What expressions said of a device: of as many as a device is asked about by. */
const ANSWERS_MAX = 64;
const answers = new WeakMap<Device, Map<string, boolean>>();

/** Throws an Error that says why the expression cannot be used. Asked once for an expression and a device. */
export function selects(expression: string, driver: string, device: Device): boolean {
  const said = answers.get(device) ?? new Map<string, boolean>();
  answers.set(device, said);
  let answer = said.get(expression);
  if (answer === undefined) {
    answer = evaluate(expression, driver, device);
    if (said.size >= ANSWERS_MAX) said.clear();
    said.set(expression, answer);
  }
  return answer;
}

function evaluate(expression: string, driver: string, device: Device): boolean {
  const program = programOf(expression);
  let value: unknown;
  try {
    ({ value } = program.evaluate({ device: celDevice(driver, device) }));
  } catch (error) {
    throw new Error(`CEL runtime error: ${messageOf(error)}`);
  }
  if (typeof value !== "boolean") throw new Error("CEL runtime error: the result could not be converted to bool");
  return value;
}

function programOf(expression: string): Program {
  let program = programs.get(expression);
  programs.delete(expression);
  if (!program) {
    const compiled = environment.compile(expression);
    if (!compiled.ok) throw new Error(`CEL compile error: compilation failed: ${compiled.error}`);
    program = compiled.program;
    const { kind } = program.type;
    if (kind !== "bool" && kind !== "dyn") {
      throw new Error(`CEL compile error: must evaluate to bool or the unknown type, not ${typeText(program.type)}`);
    }
  }
  programs.set(expression, program);
  if (programs.size > PROGRAMS_MAX) programs.delete(programs.keys().next().value!);
  return program;
}

function celDevice(driver: string, device: Device): Map<string, unknown> {
  const byDomain = <T>(entries: Record<string, T> | undefined, convert: (entry: T, name: string) => unknown) => {
    const domains = new Domains();
    for (const [name, entry] of Object.entries(entries ?? {})) {
      const slash = name.indexOf("/");
      const domain = slash < 0 ? driver : name.slice(0, slash);
      const of = domains.has(domain) ? (domains.get(domain) as Map<string, unknown>) : new Map<string, unknown>();
      domains.set(domain, of.set(name.slice(slash + 1), convert(entry, name)));
    }
    return domains;
  };
  return new Map<string, unknown>([
    ["driver", driver],
    ["allowMultipleAllocations", device.allowMultipleAllocations ?? false],
    ["attributes", byDomain(device.attributes, attributeValue)],
    ["capacity", byDomain(device.capacity, ({ value }) => toQuantity(value))],
  ]);
}

function attributeValue({ int, bool, string, version }: DeviceAttribute, name: string): unknown {
  if (int !== undefined) return BigInt(int);
  const value = bool ?? string ?? (version === undefined ? undefined : toSemver(version));
  if (value === undefined) throw new Error(`attribute ${name}: unsupported attribute value`);
  return value;
}
