/**
 * The container images that the suite asks for, under the names it asks for, without a registry: a Debian root (debootstrap),
 * Debian's static busybox and bash, and binaries built from Go. Written as one docker archive (image-spec v1.2, `docker save`'s
 * format), which `capstan image load` and every other importer takes.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ensurePackages, must } from "./program.ts";
import { binDir, imageSources } from "./suite.ts";

const E2E = "registry.k8s.io/e2e-test-images";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const hostPackages = [
  { name: "debootstrap", program: "debootstrap" },
  { name: "busybox-static", program: "busybox" },
  { name: "bash-static", program: "bash-static" },
];

/** Programs that the suite starts inside agnhost and its like. */
const debianPackages = [
  ...["bash", "bind9-dnsutils", "ca-certificates", "conntrack", "curl", "iperf", "iproute2", "iptables"],
  ...["iputils-ping", "net-tools", "netcat-openbsd", "nginx-light", "perl", "procps", "util-linux-extra"],
];

interface Layer {
  /** An uncompressed tar. */
  file: string;
  digest: string;
}

interface Image {
  names: string[];
  layers: (workDir: Work) => Promise<Layer[]>;
  config: { Entrypoint?: string[]; Cmd?: string[]; User?: string };
}

/** The folder images are made in; a layer that several images share is made once. */
interface Work {
  dir: string;
  bin: string;
  sources: string;
  /** Where the Debian layer is kept. */
  debian: string;
  once(name: string, make: (root: string) => Promise<void> | void): Promise<Layer>;
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

async function layerOf(root: string): Promise<Layer> {
  const file = `${root}.tar`;
  await must("tar", ["--numeric-owner", "--sort=name", "-C", root, "-cf", file, "."]);
  rmSync(root, { recursive: true, force: true });
  return { file, digest: await digestOf(file) };
}

function put(root: string, from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, to)), { recursive: true });
  copyFileSync(from, join(root, to));
  chmodSync(join(root, to), mode);
}

/** A user and a group of the names and numbers that the suite's tests of supplementary groups look for. */
const IDENTITIES =
  "groupadd -g 50000 group-defined-in-image && useradd -u 1000 -m user-defined-in-image && usermod -aG group-defined-in-image user-defined-in-image";

async function debianRoot(root: string): Promise<void> {
  rmSync(root, { recursive: true });
  await must("debootstrap", ["--variant=minbase", `--include=${debianPackages.join(",")}`, "bookworm", root]);
  await must("chroot", [root, "sh", "-c", IDENTITIES]);
  for (const path of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"])
    rmSync(join(root, path), { recursive: true, force: true });
}

async function busyboxRoot(root: string): Promise<void> {
  put(root, "/bin/busybox", "bin/busybox", 0o755);
  const applets = (await must("/bin/busybox", ["--list"])).split("\n");
  for (const name of applets)
    if (name && name !== "busybox" && name !== "sh") symlinkSync("busybox", join(root, "bin", name));
  // The suite looks for variables with dashes in their names, which Debian's busybox shell drops.
  put(root, "/bin/bash-static", "bin/sh", 0o755);
  for (const path of ["etc", "home", "root", "tmp", "usr/bin", "usr/sbin", "sbin", "var"])
    mkdirSync(join(root, path), { recursive: true });
  chmodSync(join(root, "tmp"), 0o1777);
  writeFileSync(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
  );
  writeFileSync(join(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
}

/** The one layer that takes minutes: kept in the build directory for the next time. */
async function debian(work: Work): Promise<Layer> {
  if (existsSync(work.debian)) return { file: work.debian, digest: await digestOf(work.debian) };
  const layer = await work.once("debian", debianRoot);
  renameSync(layer.file, work.debian);
  return { ...layer, file: work.debian };
}

const busybox = (work: Work) => work.once("busybox", busyboxRoot);

const agnhost = (work: Work) =>
  work.once("agnhost", (root) => {
    put(root, join(work.bin, "agnhost"), "agnhost", 0o755);
    put(root, join(work.bin, "coredns"), "coredns", 0o755);
    for (const name of ["localhost.crt", "localhost.key"]) put(root, join(work.sources, "agnhost/porter", name), name);
    symlinkSync("agnhost", join(root, "agnhost-2"));
    mkdirSync(join(root, "uploads"));
    mkdirSync(join(root, "usr/local/bin"), { recursive: true });
    symlinkSync("/usr/bin/iperf", join(root, "usr/local/bin/iperf"));
  });

/** A layer with one of the built binaries. */
const binary =
  (name: string, path: string, mode = 0o755) =>
  (work: Work) =>
    work.once(name, (root) => put(root, join(work.bin, name), path, mode));

/** Pictures served by the update demo's images. */
const site = (name: string) => (work: Work) =>
  work.once(name, (root) => {
    put(root, join(work.sources, name, "html", `${name}.jpg`), `${name}.jpg`);
    put(root, join(work.sources, name, "html/data.json"), "data.json");
  });

const of =
  (...makers: ((work: Work) => Promise<Layer>)[]) =>
  async (work: Work): Promise<Layer[]> => {
    const layers: Layer[] = [];
    for (const make of makers) layers.push(await make(work));
    return layers;
  };

/** Names and versions as in the suite's manifest of images (test/utils/image/manifest.go). */
const images: Record<string, Image> = {
  agnhost: {
    names: [`${E2E}/agnhost:2.63.0`, `${E2E}/agnhost:2.55`],
    layers: of(debian, agnhost),
    config: { Entrypoint: ["/agnhost"], Cmd: ["pause"] },
  },
  busybox: {
    names: [`${E2E}/busybox:1.37.0-1`, `${E2E}/busybox:1.36.1-1`],
    layers: of(busybox),
    config: { Cmd: ["sh"] },
  },
  nonroot: { names: [`${E2E}/nonroot:1.5`], layers: of(busybox), config: { Cmd: ["sh"], User: "1234" } },
  pause: {
    names: ["registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.6"],
    layers: of(binary("pause", "pause")),
    config: { Entrypoint: ["/pause"], User: "65535:65535" },
  },
  nginx: {
    names: [`${E2E}/nginx:1.15-4`, `${E2E}/nginx:1.27-0`],
    layers: of(debian),
    config: { Cmd: ["nginx", "-g", "daemon off;"] },
  },
  tools: {
    names: [`${E2E}/perl:5.26`, `${E2E}/ipc-utils:1.4`, `${E2E}/glibc-dns-testing:2.0.0`],
    layers: of(debian),
    config: { Cmd: ["bash"] },
  },
  nonewprivs: {
    names: [`${E2E}/nonewprivs:1.4`],
    layers: of(debian, binary("nnp", "usr/local/bin/nnp", 0o4755)),
    config: { Cmd: ["nnp"] },
  },
  "sample-apiserver": {
    names: [`${E2E}/sample-apiserver:1.29.2`],
    layers: of(debian, binary("sample-apiserver", "sample-apiserver")),
    config: { Entrypoint: ["/sample-apiserver"] },
  },
  etcd: {
    names: ["registry.k8s.io/etcd:3.6.8-0"],
    layers: of(debian, binary("etcd", "usr/local/bin/etcd")),
    config: { Cmd: ["etcd"] },
  },
  kitten: {
    names: [`${E2E}/kitten:1.8`],
    layers: of(debian, agnhost, site("kitten")),
    config: { Entrypoint: ["/agnhost"], Cmd: ["test-webserver"] },
  },
  nautilus: {
    names: [`${E2E}/nautilus:1.8`],
    layers: of(debian, agnhost, site("nautilus")),
    config: { Entrypoint: ["/agnhost"], Cmd: ["test-webserver"] },
  },
};

export const imageNames: readonly string[] = Object.keys(images);

async function startWork(buildDir: string): Promise<Work> {
  await ensurePackages(hostPackages);
  mkdirSync(buildDir, { recursive: true });
  const dir = mkdtempSync(join(buildDir, "images-"));
  const made = new Map<string, Promise<Layer>>();
  return {
    dir,
    bin: binDir(buildDir),
    sources: await imageSources(),
    debian: join(buildDir, "debian.tar"),
    once(name, make) {
      const before = made.get(name);
      if (before) return before;
      const root = join(dir, name);
      mkdirSync(root);
      const layer = Promise.resolve(make(root)).then(() => layerOf(root));
      made.set(name, layer);
      return layer;
    },
  };
}

/** The archive's entries of one image: its configuration, its layers, its line in the manifest. */
function stage(stageDir: string, image: Image, layers: Layer[]) {
  const config = JSON.stringify({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: [PATH], ...image.config },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
    history: layers.map(() => ({})),
  });
  const name = `${createHash("sha256").update(config).digest("hex")}.json`;
  writeFileSync(join(stageDir, name), config);
  for (const { file, digest } of layers) {
    if (existsSync(join(stageDir, digest))) continue;
    mkdirSync(join(stageDir, digest));
    linkSync(file, join(stageDir, digest, "layer.tar"));
  }
  return { Config: name, RepoTags: image.names, Layers: layers.map(({ digest }) => `${digest}/layer.tar`) };
}

/** Makes the named images and writes them as one docker archive. Needs root, and the binaries of suite.ts. */
export async function writeImages(names: readonly string[], buildDir: string, archive: string): Promise<void> {
  const work = await startWork(buildDir);
  try {
    const stageDir = join(work.dir, "archive");
    mkdirSync(stageDir);
    const manifest = [];
    for (const name of names) {
      const image = images[name];
      if (!image) throw new Error(`there is no image "${name}", only ${imageNames.join(", ")}`);
      manifest.push(stage(stageDir, image, await image.layers(work)));
    }
    writeFileSync(join(stageDir, "manifest.json"), JSON.stringify(manifest));
    const fresh = `${archive}.${process.pid}`;
    await must("tar", ["-C", stageDir, "-cf", fresh, "."]);
    renameSync(fresh, archive);
  } finally {
    rmSync(work.dir, { recursive: true, force: true });
  }
}
