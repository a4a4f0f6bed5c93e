/** What `up` says when everything is ready: where things are, how to sign in, what to try. */
import { relative } from "node:path";
import { type Config, paths } from "./config.ts";
import { findProgram } from "./run.ts";
import { projectDir } from "./settings.ts";

export function printWelcome(config: Config, tookMs: number): void {
  const { kubeconfig } = paths(config.dataDir);
  const short = (path: string) => {
    const near = relative(process.cwd(), path);
    return near.startsWith("..") ? path : near;
  };
  const kubectl = findProgram("kubectl")
    ? ""
    : "\n  kubectl is not on the PATH: install any kubectl from 1.30 on, or use the console.\n";
  process.stdout.write(`
Capstan is ready (${(tookMs / 1000).toFixed(1)} s).

  API         https://127.0.0.1:${config.api.port}
  kubeconfig  ${kubeconfig}
  console     http://${config.console.host}:${config.console.port}
              sign in with a kubeconfig user: choose the file above
  engine      ${config.engine}${nodesText(config)}
${kubectl}
Try:
  export KUBECONFIG=${kubeconfig}
${example(config, short)}
  kubectl get pods -o wide -w
  kubectl get plugins
`);
}

function nodesText({ nodes }: Config): string {
  if (nodes.length === 0) return "    no node on this machine";
  const what = nodes[0]?.componentsOnly ? " (WebAssembly components only)" : "";
  return `    nodes  ${nodes.map(({ name }) => name).join(" ")}${what}`;
}

/** Of components there is no image before somebody builds one. */
function example({ nodes }: Config, short: (path: string) => string): string {
  if (!nodes[0]?.componentsOnly) return `  kubectl apply -f ${short(`${projectDir}/examples/hello/`)}/`;
  const folder = short(`${projectDir}/examples/wasm`);
  return `  npx capstan image build ${folder}/hello --name hello-wasm:1\n  kubectl apply -f ${folder}/hello.yaml`;
}
