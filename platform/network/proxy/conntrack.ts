/**
 * UDP has no end of a connection, so the kernel goes on sending a client's packets to the endpoint it recorded, also when that
 * endpoint is gone. Such records are removed; TCP needs nothing of the kind (its peers notice).
 */
import type { RunProgram } from "../host/program.ts";
import { ANY_ADDRESS } from "./render.ts";
import type { UdpChange } from "./state.ts";

/** Returns what failed, one sentence each; "no entries" is not a failure. */
export async function forgetUdpFlows(changes: readonly UdpChange[], run: RunProgram): Promise<string[]> {
  const problems: string[] = [];
  const remove = async (match: string[]) => {
    const { code, stderr } = await run("conntrack", ["-D", "-p", "udp", ...match]);
    if (code !== 0 && !stderr.includes("0 flow entries"))
      problems.push(`conntrack -D ${match.join(" ")}: ${stderr.trim()}`);
  };
  for (const { service, gone, first } of changes) {
    const [address = "", port = ""] = service.split(":");
    const toService = [...(address === ANY_ADDRESS ? [] : ["--orig-dst", address]), "--orig-port-dst", port];
    if (first) await remove(toService);
    else for (const endpoint of gone) await remove([...toService, "--reply-src", endpoint.split(":")[0] ?? ""]);
  }
  return problems;
}
