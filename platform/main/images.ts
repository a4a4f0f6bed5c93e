/**
 * Images without a registry: the sandbox's, busybox's and the example's are made here from Debian's busybox-static, as OCI
 * archives (OCI image-spec 1.0, image layout in a tar); others come from an archive by `capstan image load FILE`.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { type Header, pack } from "tar-stream";
import { messageOf } from "#platform/base/log.ts";
import type { Config, NodeConfig } from "./config.ts";
import { UserError } from "./steps.ts";

export const PAUSE_IMAGE = "capstan.dev/pause:1";
export const HELLO_IMAGE = "capstan.dev/hello:1";
export const BUSYBOX_IMAGE = "docker.io/library/busybox:latest";

/** Debian's busybox-static puts it here; the dynamic busybox package too, which `isStatic` tells apart. */
const BUSYBOX = "/bin/busybox";

/** PID 1 of a sandbox: waits for the end, and reaps what a shared process namespace leaves behind. */
const PAUSE_SCRIPT = `trap "exit 0" TERM INT; while :; do sleep 2147483647 & wait; done`;

/** PID 1 has no default signal actions: without the trap a pod would take its whole grace period to end. */
const HELLO_SCRIPT = `#!/bin/sh
httpd -f -p "\${PORT:-8080}" -h /www &
trap 'kill $!; exit 0' TERM INT
wait $!
`;

const HELLO_PAGE = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf '%s from %s\\n' "$(cat /config/greeting 2>/dev/null || echo "\${GREETING:-Hello}")" "$(hostname)"
`;

interface Entry {
  header: Pick<Header, "name"> & Partial<Header>;
  body?: Buffer;
}

interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  ExposedPorts?: Record<string, Record<string, never>>;
}

const run = promisify(execFile);
const sha256 = (data: Buffer | string): string => createHash("sha256").update(data).digest("hex");
const directory = (name: string, mode = 0o755): Entry => ({ header: { name, type: "directory", mode } });
const file = (name: string, body: Buffer | string, mode = 0o644): Entry => ({
  header: { name, mode, type: "file" },
  body: Buffer.from(body),
});

/** Same entries, same bytes: times and owners are zero. */
async function tarOf(entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  const whole = buffer(archive);
  for (const { header, body } of entries) archive.entry({ ...header, mtime: new Date(0), uid: 0, gid: 0 }, body ?? "");
  archive.finalize();
  return await whole;
}

/** The root file system: busybox under all its names. */
async function busyboxLayer(): Promise<Buffer> {
  const { stdout } = await run(BUSYBOX, ["--list"]);
  const applets = stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  return await tarOf([
    ...["bin", "etc", "home", "root", "usr", "usr/bin", "var"].map((name) => directory(name)),
    directory("tmp", 0o1777),
    file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    file("etc/group", "root:x:0:\nnobody:x:65534:\n"),
    file("bin/busybox", readFileSync(BUSYBOX), 0o755),
    ...applets.map((name): Entry => ({ header: { name: `bin/${name}`, type: "symlink", linkname: "busybox" } })),
    { header: { name: "usr/bin/env", type: "symlink", linkname: "../../bin/busybox" } },
  ]);
}

async function helloLayer(): Promise<Buffer> {
  return await tarOf([
    file("bin/hello", HELLO_SCRIPT, 0o755),
    directory("www"),
    directory("www/cgi-bin"),
    file("www/cgi-bin/index.cgi", HELLO_PAGE, 0o755),
  ]);
}

/** An OCI image layout in a tar, named so that containerd's importer knows the image under `name`. */
export async function ociArchive(name: string, layers: Buffer[], config: ImageConfig): Promise<Buffer> {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const image = JSON.stringify({
    created: new Date(0).toISOString(),
    architecture,
    os: "linux",
    config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], ...config },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  });
  const descriptor = (mediaType: string, data: Buffer | string) => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: `sha256:${sha256(data)}`,
    size: Buffer.byteLength(data),
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("config.v1+json", image),
    layers: layers.map((layer) => descriptor("layer.v1.tar", layer)),
  });
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...descriptor("manifest.v1+json", manifest),
        annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.split(":")[1] },
        platform: { architecture, os: "linux" },
      },
    ],
  };
  return await tarOf([
    file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
    file("index.json", JSON.stringify(index)),
    directory("blobs"),
    directory("blobs/sha256"),
    ...[image, manifest, ...layers].map((blob) => file(`blobs/sha256/${sha256(blob)}`, blob)),
  ]);
}

/** ELF without a program interpreter (PT_INTERP holds the loader's path). */
function isStatic(path: string): boolean {
  return !readFileSync(path).subarray(0, 4096).includes("ld-linux");
}

/** Makes the archives below DATA/images; the same busybox gives the same bytes. Answers their files. */
export async function buildImages(dataDir: string): Promise<string[]> {
  if (!existsSync(BUSYBOX) || !isStatic(BUSYBOX))
    throw new Error(`${BUSYBOX} is not Debian's busybox-static: apt-get install busybox-static`);
  const base = await busyboxLayer();
  const shell = (script: string) => ({ Entrypoint: ["/bin/sh", "-c", script] });
  const images: [string, Buffer[], ImageConfig][] = [
    [PAUSE_IMAGE, [base], shell(PAUSE_SCRIPT)],
    [BUSYBOX_IMAGE, [base], { Cmd: ["sh"] }],
    [HELLO_IMAGE, [base, await helloLayer()], { Entrypoint: ["/bin/hello"], ExposedPorts: { "8080/tcp": {} } }],
  ];
  const files: string[] = [];
  for (const [name, layers, config] of images) {
    const path = join(dataDir, "images", `${name.replace(/[^a-z0-9.]+/g, "_")}.tar`);
    mkdirSync(dirname(path), { recursive: true });
    // Several nodes of a machine may make the same archive at the same time.
    const fresh = `${path}.${process.pid}`;
    writeFileSync(fresh, await ociArchive(name, layers, config));
    renameSync(fresh, path);
    files.push(path);
  }
  return files;
}

/** Imports a docker or OCI archive into a containerd; answers the names that are new or changed. The archive may be compressed. */
export async function loadImage(node: Pick<NodeConfig, "containerdSocket">, archive: string): Promise<string[]> {
  if (!existsSync(archive)) throw new Error(`there is no file ${archive}`);
  const before = new Set(await imageLines(node).catch(notRunning));
  try {
    await ctr(node, "images", "import", "--no-unpack", archive);
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new UserError(
      `containerd did not take ${archive}: ${said}`,
      "docker save IMAGE -o FILE   # makes an archive that it takes; OCI archives are taken too",
    );
  }
  return (await imageLines(node)).filter((line) => !before.has(line)).map((line) => line.split(/\s+/)[0] ?? "");
}

function notRunning(error: unknown): never {
  throw new UserError(`the node's containerd does not answer: ${messageOf(error)}`, "npm run up");
}

async function ctr(node: Pick<NodeConfig, "containerdSocket">, ...args: string[]): Promise<string> {
  const all = ["--address", node.containerdSocket, "--namespace", "k8s.io", ...args];
  return (await run("ctr", all, { timeout: 600_000, maxBuffer: 1 << 22 })).stdout;
}

/** "name type digest …" of each image that has a name of its own. */
async function imageLines(node: Pick<NodeConfig, "containerdSocket">): Promise<string[]> {
  const lines = (await ctr(node, "images", "list")).split("\n").slice(1);
  return lines.filter((line) => line !== "" && !line.startsWith("sha256:"));
}

/** `capstan image load FILE`: into the containerd of every node of this machine. */
export async function imageLoad(config: Config, archive: string): Promise<string[]> {
  if (config.nodes.length === 0)
    throw new UserError(
      "there is no node on this machine to load images into",
      "npm run down && npm run up -- --nodes 1",
    );
  const names = new Set<string>();
  for (const node of config.nodes) for (const name of await loadImage(node, archive)) names.add(name);
  return [...names];
}

/** Builds and loads what every node needs before its first pod. Idempotent; containerd must be up. */
export async function loadOwnImages(config: Config): Promise<void> {
  for (const archive of await buildImages(config.dataDir)) await imageLoad(config, archive);
}
