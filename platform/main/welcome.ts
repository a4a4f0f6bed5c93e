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
  engine      ${config.engine}${config.nodes.length ? `    nodes  ${config.nodes.map((n) => n.name).join(" ")}` : "    no node on this machine"}
${kubectl}
Try:
  export KUBECONFIG=${kubeconfig}
  kubectl apply -f ${short(`${projectDir}/examples/hello/`)}/
  kubectl get pods -o wide -w
  kubectl get plugins
`);
}
