import assert from "node:assert/strict";
import { test } from "node:test";
import { expositionText } from "./exposition.ts";

test("metrics are written as Prometheus reads them", () => {
  const text = expositionText([
    { name: "a", help: "A.", type: "gauge", samples: [{ value: 1 }, { labels: { state: "x" }, value: 2 }] },
    { name: "b", help: "B.", type: "histogram", values: { bounds: [1, 2], counts: [3, 4, 5], sum: 9.5 } },
  ]);
  assert.equal(
    text,
    '# HELP a A.\n# TYPE a gauge\na 1\na{state="x"} 2\n' +
      '# HELP b B.\n# TYPE b histogram\nb_bucket{le="1"} 3\nb_bucket{le="2"} 4\nb_bucket{le="+Inf"} 5\nb_sum 9.5\nb_count 5\n',
  );
});
