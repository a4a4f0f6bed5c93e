/**
 * UDP has no end of a connection, so the kernel goes on sending a client's packets to the endpoint it recorded, also when that
 * endpoint is gone. Such records are removed; TCP needs nothing of the kind (its peers notice).
 */
import type { RunProgram } from "../host/program.ts";
import { splitPort } from "../nft/family.ts";
import { ANY_ADDRESS } from "./render.ts";
import type { UdpChange } from "./state.ts";

/** Returns what failed, one sentence each; "no entries" is not a failure. */
export async function forgetUdpFlows(
  changes: readonly UdpChange[],
  family: "ipv4" | "ipv6",
  run: RunProgram,
): Promise<string[]> {
  const problems: string[] = [];
  const remove = async (match: string[]) => {
    const { code, stderr } = await run("conntrack", ["-D", "-f", family, "-p", "udp", ...match]);
    if (code !== 0 && !stderr.includes("0 flow entries"))
      problems.push(`conntrack -D ${match.join(" ")}: ${stderr.trim()}`);
  };
  for (const { service, gone, first } of changes) {
    const [address, port] = splitPort(service);
    const toService = [...(address === ANY_ADDRESS ? [] : ["--orig-dst", address]), "--orig-port-dst", port];
    if (first) await remove(toService);
    else for (const endpoint of gone) await remove([...toService, "--reply-src", splitPort(endpoint)[0]]);
  }
  return problems;
}
