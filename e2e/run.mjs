// `npm test`: makes the toolchain current, then runs every test with the pinned Node (see e2e/run.ts).
import { spawn } from "node:child_process";
import { ensureToolchain, projectDir } from "../platform/main/bootstrap.mjs";

const node = await ensureToolchain();
const child = spawn(node, [`${projectDir}/e2e/run.ts`, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
