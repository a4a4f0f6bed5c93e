/** How the original prints the spec of a claim when it says that it may not change. */
import type { GoField } from "../../registry/go-names.ts";

const selectors: GoField = {
  go: "Selectors",
  json: "selectors",
  of: [{ go: "CEL", json: "cel", of: [{ go: "Expression", json: "expression", zero: "" }] }],
};
const tolerations: GoField = {
  go: "Tolerations",
  json: "tolerations",
  of: [
    { go: "Key", json: "key", zero: "" },
    { go: "Operator", json: "operator", zero: "" },
    { go: "Value", json: "value", zero: "" },
    { go: "Effect", json: "effect", zero: "" },
    { go: "TolerationSeconds", json: "tolerationSeconds" },
  ],
};
const className: GoField = { go: "DeviceClassName", json: "deviceClassName", zero: "" };
const mode: GoField = { go: "AllocationMode", json: "allocationMode", zero: "" };
const count: GoField = { go: "Count", json: "count", zero: 0 };
const capacity: GoField = { go: "Capacity", json: "capacity", of: [{ go: "Requests", json: "requests" }] };
const name: GoField = { go: "Name", json: "name", zero: "" };
const requests: GoField = { go: "Requests", json: "requests" };

export const CLAIM_SPEC: readonly GoField[] = [
  {
    go: "Devices",
    json: "devices",
    of: [
      {
        go: "Requests",
        json: "requests",
        of: [
          name,
          {
            go: "Exactly",
            json: "exactly",
            of: [className, selectors, mode, count, { go: "AdminAccess", json: "adminAccess" }, tolerations, capacity],
          },
          {
            go: "FirstAvailable",
            json: "firstAvailable",
            of: [name, className, selectors, mode, count, tolerations, capacity],
          },
        ],
      },
      {
        go: "Constraints",
        json: "constraints",
        of: [
          requests,
          { go: "MatchAttribute", json: "matchAttribute" },
          { go: "DistinctAttribute", json: "distinctAttribute" },
        ],
      },
      {
        go: "Config",
        json: "config",
        of: [
          requests,
          {
            go: "Opaque",
            json: "opaque",
            of: [
              { go: "Driver", json: "driver", zero: "" },
              { go: "Parameters", json: "parameters" },
            ],
          },
        ],
      },
    ],
  },
];
