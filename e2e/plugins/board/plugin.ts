/** A panel whose pages ask for what a person may see, what the plugin did not ask for, and what a page may not be. */
import type { ConfigMap } from "#sdk/api/generated/types.ts";
import * as api from "#sdk/plugin/api.ts";
import { definePanel } from "#sdk/plugin/define.ts";

const configmaps = { group: "", version: "v1", resource: "configmaps" };
const secrets = { group: "", version: "v1", resource: "secrets" };

/** One of each part that a page may have. */
const parts = (namespace: string): object => ({
  title: "All parts",
  children: [
    { text: "A text, with <i>no</i> markup." },
    { notice: "Nothing is wrong", tone: "good" },
    { notice: "Something is wrong", tone: "bad" },
    { code: "kubectl get configmaps", language: "sh" },
    { meter: { label: "Space", value: 3, max: 8, unit: "GiB" } },
    {
      series: {
        label: "Requests",
        unit: "1/s",
        lines: [
          { label: "reads", points: [1, 4, 2, 8, 5, 7].map((value, i) => [i * 60_000, value]) },
          { label: "writes", points: [2, 1, 1, 3, 2, 2].map((value, i) => [i * 60_000, value]) },
        ],
      },
    },
    {
      columns: [
        [{ heading: "Left" }, { object: { ...configmaps, namespace, name: "kube-root-ca.crt" } }],
        [{ heading: "Right" }, { facts: [{ label: "Where", value: namespace || "everywhere" }] }],
      ],
    },
    {
      section: "What can be done",
      children: [
        {
          table: {
            columns: ["What", "How often"],
            rows: [
              {
                cells: ["Refuse", "always"],
                actions: [{ id: "refuse", label: "Refuse", tone: "bad", confirm: "Really refuse?" }],
              },
            ],
          },
        },
        {
          actions: [
            {
              id: "say",
              label: "Say",
              tone: "good",
              fields: [
                { name: "word", label: "Word", kind: "choice", choices: ["yes", "no"], value: "no" },
                { name: "times", label: "Times", kind: "number", value: 2 },
                { name: "loud", label: "Loud", kind: "check" },
              ],
            },
          ],
        },
      ],
    },
  ],
});

export const panel = definePanel({
  render({ path, namespace, user }) {
    if (path === "secrets") return { title: String(api.list(secrets, { namespace }).items.length), children: [] };
    if (path === "parts") return parts(namespace);
    if (path === "broken") return { title: "Broken", children: [{ html: "<script>alert(1)</script>" }] };
    const { items } = api.list<ConfigMap>(configmaps, { namespace });
    const rows = items.map(({ metadata: { name = "", namespace = "" } }) => ({
      cells: [name],
      link: { resource: { ...configmaps, namespace, name } },
    }));
    return {
      title: `Of ${(JSON.parse(user) as { name: string }).name}`,
      unknown: "does not cross",
      children: [
        { heading: "<b>ConfigMaps</b>" },
        { facts: [{ label: "More", value: "all parts", link: { path: "parts" } }] },
        { table: { columns: ["Name"], rows } },
        { actions: [{ id: "make", label: "Make", fields: [{ name: "name", label: "Name", kind: "text" }] }] },
      ],
    };
  },
  act({ namespace }, action, fields) {
    if (action === "say")
      return `${Array(fields["times"]).fill(fields["word"]).join(" ")}${fields["loud"] === true ? "!" : ""}`;
    if (action !== "make") throw new Error(`there is no action ${action}`);
    const name = String(fields["name"]);
    api.create<ConfigMap>(configmaps, { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace } });
    return `${name} is made`;
  },
});
