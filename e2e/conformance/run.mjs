// `npm run conformance`: makes the toolchain current, then runs main.ts with the pinned Node.
import { spawn } from "node:child_process";
import { ensureToolchain, projectDir } from "../../platform/main/bootstrap.mjs";

const node = await ensureToolchain();
const child = spawn(node, [`${projectDir}/e2e/conformance/main.ts`, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
