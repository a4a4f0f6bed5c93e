/** An admission component that labels what it is shown. */
import { defineAdmission } from "#sdk/plugin/define.ts";
import { mergePatch } from "#sdk/plugin/patch.ts";

const STAMP = mergePatch({ metadata: { labels: { stamped: "yes" } } });

export const admission = defineAdmission({ mutate: () => STAMP });
