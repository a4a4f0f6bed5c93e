/**
 * Builds the suite from its Go modules, unmodified: suite/go.mod pins Kubernetes and, because its own go.mod points into its tree,
 * each staging module to the same release. What is in the build directory already is kept.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "#platform/main/run.ts";
import { must } from "./program.ts";

export const KUBERNETES_VERSION = "v1.36.3";
const COREDNS = "github.com/coredns/coredns@v1.14.1";
const HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0";

const source = join(import.meta.dirname, "suite");
const VERSION_PACKAGE = "k8s.io/component-base/version";

/** How each binary comes about: a package of one of the modules in suite/. */
interface Binary {
  name: string;
  module: "kubernetes" | "etcd" | "pause";
  package: string;
  test?: boolean;
}

const kubernetes = (name: string, path: string): Binary => ({
  name,
  module: "kubernetes",
  package: `k8s.io/kubernetes/${path}`,
});

/** Newer than what a machine may have. */
const kubectl = kubernetes("kubectl", "cmd/kubectl");

/** What runs the tests: kubectl's are of its own version. */
export const runnerBinaries: readonly Binary[] = [
  kubectl,
  { name: "ginkgo", module: "kubernetes", package: "github.com/onsi/ginkgo/v2/ginkgo" },
  { ...kubernetes("e2e.test", "test/e2e"), test: true },
];

/** What the images hold. */
export const imageBinaries: readonly Binary[] = [
  kubernetes("agnhost", "test/images/agnhost"),
  kubernetes("nnp", "test/images/nonewprivs"),
  { name: "sample-apiserver", module: "kubernetes", package: "k8s.io/sample-apiserver" },
  { name: "etcd", module: "etcd", package: "." },
  { name: "pause", module: "pause", package: "." },
];

/** The originals that Capstan is measured and compared with. */
export const peerBinaries: readonly Binary[] = [
  kubernetes("kube-apiserver", "cmd/kube-apiserver"),
  kubernetes("kube-controller-manager", "cmd/kube-controller-manager"),
  kubernetes("kube-scheduler", "cmd/kube-scheduler"),
  { name: "etcd", module: "etcd", package: "." },
];

/** What runs beside a node: upstream's example of a device plugin. */
export const devicePluginBinary = kubernetes("sample-device-plugin", "test/images/sample-device-plugin");

/** Upstream's driver for tests of dynamic resource allocation. */
export const draDriverBinary = kubernetes("dra-test-driver", "test/e2e/dra/test-driver");

/** Clients of others. */
export const clientBinaries: readonly Binary[] = [kubectl];

/** Why the suite cannot be built here; undefined when it can. */
export const buildImpossible = (): string | undefined =>
  findProgram("go") ? undefined : "go is not on the PATH: the suite is built from its Go modules";

export const binDir = (buildDir: string): string => join(buildDir, "bin");

/**
 * Why a test that needs one of these programs does not run: building it takes minutes the first time, which everybody's tests do not wait for. The
 * environment variable CAPSTAN_BUILD_ORIGINALS says that they shall. Undefined: it runs.
 */
export function notBuilt(buildDir: string, name: string): string | undefined {
  if (existsSync(join(binDir(buildDir), name))) return undefined;
  if (!process.env["CAPSTAN_BUILD_ORIGINALS"])
    return `${name} has not been built (CAPSTAN_BUILD_ORIGINALS=1 builds it first)`;
  return buildImpossible();
}

/** True when the runner's binaries are there, so that no build is needed. */
export const suiteIsBuilt = (buildDir: string): boolean =>
  runnerBinaries.every(({ name }) => existsSync(join(binDir(buildDir), name)));

const versionFlags = (): string => {
  const [major, minor] = KUBERNETES_VERSION.slice(1).split(".");
  const variables = { gitVersion: KUBERNETES_VERSION, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  return ["-s", "-w", ...Object.entries(variables).map(([k, v]) => `-X ${VERSION_PACKAGE}.${k}=${v}`)].join(" ");
};

/** Builds those that are missing, one after the other (the Go compiler uses all cores by itself). `say` tells what is being built. */
export async function buildBinaries(
  buildDir: string,
  binaries: readonly Binary[],
  say: (text: string) => void,
): Promise<void> {
  const bin = binDir(buildDir);
  mkdirSync(bin, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: "0" };
  for (const binary of binaries) {
    const path = join(bin, binary.name);
    if (existsSync(path)) continue;
    say(`building ${binary.name}`);
    // Without vet, which would take as long as the compiler, over code that is not ours.
    const verb = binary.test ? ["test", "-c", "-vet=off"] : ["build"];
    // A build that is interrupted must not look like a binary.
    const fresh = `${path}.${process.pid}`;
    const args = [...verb, "-mod=readonly", `-ldflags=${versionFlags()}`, "-o", fresh, binary.package];
    await must("go", args, { cwd: join(source, binary.module), env });
    renameSync(fresh, path);
  }
}

/** CoreDNS is a module of its own with its own pins, so it is installed as its authors publish it. */
export const buildCoreDns = (buildDir: string, say: (text: string) => void): Promise<void> =>
  installBinary(buildDir, "coredns", COREDNS, say);

/** Helm is another. */
export const buildHelm = (buildDir: string, say: (text: string) => void): Promise<void> =>
  installBinary(buildDir, "helm", HELM, say);

async function installBinary(
  buildDir: string,
  name: string,
  module: string,
  say: (text: string) => void,
): Promise<void> {
  const path = join(binDir(buildDir), name);
  if (existsSync(path)) return;
  say(`building ${name}`);
  mkdirSync(binDir(buildDir), { recursive: true });
  const fresh = join(buildDir, `${name}.${process.pid}`);
  await must("go", ["install", module], { env: { ...process.env, CGO_ENABLED: "0", GOBIN: fresh } });
  copyFileSync(join(fresh, name), path);
  rmSync(fresh, { recursive: true });
}

/** A program that is a module of its own. */
export interface ModuleBinary {
  name: string;
  /** "example.com/module@v1.2.3" */
  module: string;
  /** "./cmd/name" */
  package: string;
  /** A module that it takes from its own tree, where the proxy has none of it: taken from the proxy instead. */
  nested?: { path: string; module: string };
}

/** Where the module's source is; rejects where the proxy has it not. */
export async function moduleSource(module: string): Promise<string> {
  const said = await must("go", ["mod", "download", "-json", module], { cwd: join(source, "pause") });
  return (JSON.parse(said) as { Dir: string }).Dir;
}

/** Built in its module's own folder: what replaces its dependencies counts, which `go install` refuses. */
export async function buildModuleBinary(buildDir: string, binary: ModuleBinary): Promise<void> {
  const path = join(binDir(buildDir), binary.name);
  if (existsSync(path)) return;
  const cwd = await moduleSource(binary.module);
  mkdirSync(binDir(buildDir), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  const work = `${fresh}.mod`;
  mkdirSync(work);
  try {
    for (const file of ["go.mod", "go.sum"]) writeFileSync(join(work, file), readFileSync(join(cwd, file)));
    const modfile = join(work, "go.mod");
    if (binary.nested !== undefined) {
      const { path: nested, module } = binary.nested;
      await must("go", ["mod", "edit", `-replace=${nested}=${await moduleSource(module)}`, modfile]);
    }
    const args = ["build", "-mod=readonly", `-modfile=${modfile}`, "-ldflags=-s -w", "-o", fresh, binary.package];
    await must("go", args, { cwd, env: { ...process.env, CGO_ENABLED: "0" } });
    renameSync(fresh, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The folder of Kubernetes' test images, with the data files that some of them carry. */
export async function imageSources(): Promise<string> {
  const said = await must("go", ["mod", "download", "-json", `k8s.io/kubernetes@${KUBERNETES_VERSION}`], {
    cwd: join(source, "kubernetes"),
  });
  const { Dir } = JSON.parse(said) as { Dir: string };
  return join(Dir, "test", "images");
}
