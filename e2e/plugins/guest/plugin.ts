/** An admission component that says who it is, and tries to read and to break what its configuration names. */
import * as api from "#sdk/plugin/api.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";

interface Config {
  by?: string;
  read?: { resource: string; name: string };
  trap?: boolean;
}

function readable({ resource, name }: { resource: string; name: string }): string {
  try {
    return JSON.stringify(api.get({ group: "", version: "v1", resource }, { namespace: "default", name }));
  } catch (error) {
    return error instanceof PluginFailure ? error.reason : String(error);
  }
}

const defined = defineAdmission({
  mutate({ object }) {
    const { by, read } = readConfig<Config>();
    const { metadata = {} } = JSON.parse(object) as { metadata?: { annotations?: object } };
    console.log(`asked by ${by}`);
    const annotations = { ...metadata.annotations, by, ...(read ? { read: readable(read) } : {}) };
    return { patch: JSON.stringify([{ op: "add", path: "/metadata/annotations", value: annotations }]), warnings: [] };
  },
});

export const admission = {
  ...defined,
  mutate(review: Review) {
    if (readConfig<Config>().trap) throw new Error("out of order");
    return defined.mutate(review);
  },
};
