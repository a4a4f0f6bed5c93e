/**
 * Devices by the names of the Container Device Interface (CNCF, specification 1.0): what their drivers wrote down of them is given to the container
 * as plain variables, mounts and device nodes, so that a runtime need not know the interface (containerd 1.6 does not).
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { ContainerEdits } from "#sdk/plugin/types.ts";

/** The later is the stronger. */
const DIRECTORIES = ["/etc/cdi", "/var/run/cdi"];
const SPEC_BYTES_MAX = 4 << 20;
const SPECS_MAX = 10_000;

const editsShape = z.object({
  env: z.array(z.string()).optional(),
  deviceNodes: z
    .array(z.object({ path: z.string(), hostPath: z.string().optional(), permissions: z.string().optional() }))
    .optional(),
  mounts: z
    .array(z.object({ hostPath: z.string(), containerPath: z.string(), options: z.array(z.string()).optional() }))
    .optional(),
  hooks: z.array(z.unknown()).optional(),
  intelRdt: z.unknown().optional(),
  netDevices: z.array(z.unknown()).optional(),
  additionalGids: z.array(z.number()).optional(),
});
const specShape = z.object({
  kind: z.string(),
  containerEdits: editsShape.optional(),
  devices: z.array(z.object({ name: z.string(), containerEdits: editsShape })),
});
type Edits = z.infer<typeof editsShape>;

interface Known {
  own: Edits;
  /** Of every device of its file, once a container. */
  common: Edits | undefined;
  file: string;
}

/** The container's edits with CDI's names resolved. Throws an Error where one is not known, or asks for what cannot be said to a runtime. */
export function resolveCdi(edits: ContainerEdits, directories: readonly string[] = DIRECTORIES): ContainerEdits {
  const { cdiDevices, ...others } = edits;
  if (cdiDevices.length === 0) return edits;
  const known = readSpecs(directories);
  const missing = cdiDevices.filter((name) => !known.has(name));
  if (missing.length > 0)
    throw new Error(`CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
  const found = cdiDevices.map((name) => known.get(name)!);
  const parts = [...new Set([...found.flatMap(({ common }) => common ?? []), ...found.map(({ own }) => own)])];
  for (const part of parts) {
    const unsaid = (["hooks", "intelRdt", "netDevices", "additionalGids"] as const).find((name) =>
      Array.isArray(part[name]) ? part[name].length > 0 : part[name] !== undefined,
    );
    if (unsaid) throw new Error(`CDI device injection failed: ${cdiDevices.join(", ")}: ${unsaid} are not supported`);
  }
  return {
    ...others,
    cdiDevices: [],
    envs: [...others.envs, ...parts.flatMap(({ env = [] }) => env.map(variable))],
    mounts: [
      ...others.mounts,
      ...parts.flatMap(({ mounts = [] }) =>
        mounts.map(({ hostPath, containerPath, options = [] }) => ({
          hostPath,
          containerPath,
          readOnly: options.includes("ro"),
        })),
      ),
    ],
    deviceNodes: [
      ...others.deviceNodes,
      ...parts.flatMap(({ deviceNodes = [] }) =>
        deviceNodes.map(({ path, hostPath, permissions }) => ({
          hostPath: hostPath || path,
          containerPath: path,
          permissions: permissions || "rwm",
        })),
      ),
    ],
  };
}

const variable = (text: string): [string, string] => {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
};

/** By qualified name ("vendor.example/class=name"). A file that cannot be read, or that says something else, tells nothing. */
function readSpecs(directories: readonly string[]): Map<string, Known> {
  const found = new Map<string, Known>();
  for (const directory of directories)
    for (const file of filesIn(directory)) {
      const spec = readSpec(file);
      for (const { name, containerEdits } of spec?.devices ?? [])
        found.set(`${spec!.kind}=${name}`, { own: containerEdits, common: spec!.containerEdits, file });
    }
  return found;
}

function filesIn(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => /\.(json|yaml|yml)$/.test(name));
    return names
      .sort()
      .slice(0, SPECS_MAX)
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function readSpec(file: string): z.infer<typeof specShape> | undefined {
  try {
    if (statSync(file).size > SPEC_BYTES_MAX) return undefined;
    const text = readFileSync(file, "utf8");
    return specShape.safeParse(file.endsWith(".json") ? JSON.parse(text) : parse(text)).data;
  } catch {
    return undefined;
  }
}
