#!/usr/bin/env node
// The first command on a machine: runs on any Node from 20 on, installs what the rest needs, and goes on in the pinned Node.
import { spawn } from "node:child_process";
import { ensureToolchain, projectDir } from "./bootstrap.mjs";

const node = await ensureToolchain();
const child = spawn(node, [`${projectDir}/platform/main/cli.ts`, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
