// `npm run conformance`, `npm run bench`: makes the toolchain current, then runs the folder's main.ts with the pinned Node.
import { spawn } from "node:child_process";
import { ensureToolchain, projectDir } from "../platform/main/bootstrap.mjs";

const [folder, ...args] = process.argv.slice(2);
const node = await ensureToolchain();
const child = spawn(node, [`${projectDir}/e2e/${folder}/main.ts`, ...args], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
