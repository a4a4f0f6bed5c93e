/** An admission component that labels what it is shown. */
import { defineAdmission } from "#sdk/plugin/define.ts";

export const admission = defineAdmission({
  mutate({ object }) {
    const { metadata = {} } = JSON.parse(object) as { metadata?: { labels?: Record<string, string> } };
    const value = { ...metadata.labels, stamped: "yes" };
    return { patch: JSON.stringify([{ op: "add", path: "/metadata/labels", value }]), warnings: [] };
  },
});
