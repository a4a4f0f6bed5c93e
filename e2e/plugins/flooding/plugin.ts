/** An admission component that calls the host as often as it can, and ends before anything stops it. */
import * as api from "#sdk/plugin/api.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";

const FLOOD_MS = 300;
const SECRETS = { group: "", version: "v1", resource: "secrets" };

function call(): void {
  try {
    api.find(SECRETS, { namespace: "default", name: "any" });
  } catch {
    // Whether it may is not the question.
  }
}

export const admission = defineAdmission({
  mutate() {
    for (const end = Date.now() + FLOOD_MS; Date.now() < end; ) call();
    return { patch: "", warnings: [] };
  },
});
