/** Says hello over HTTP, in a pod that is a WebAssembly component: `npx capstan image build examples/wasm/hello --name hello-wasm:1`. */
import { env, readFile } from "@capstan/sdk/pod/environment.ts";
import { serve } from "@capstan/sdk/pod/http.ts";

let served = 0;

export const incomingHandler = serve((request) => {
  if (request.path === "/healthz") return { body: "ok\n" };
  served++;
  console.log(`${request.method} ${request.path}`);
  const greeting = env("GREETING") ?? readFile("/etc/hello/greeting").trim();
  return { body: `${greeting} from ${env("POD_NAME") ?? "a pod"}, for the ${served}. time\n` };
});
