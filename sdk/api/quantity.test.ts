import { deepEqual, equal, throws } from "node:assert/strict";
import test from "node:test";
import { parseQuantity, quantityMilli, quantityValue } from "./quantity.ts";

test("quantities of every suffix have their value", () => {
  const texts = ["1", "100m", "1.5", "2Ki", "128Mi", "1Gi", "1k", "5M", "1e3", "1E", ".5", "-1", "1u"];
  deepEqual(texts.map(parseQuantity), [1, 0.1, 1.5, 2048, 134217728, 1073741824, 1000, 5e6, 1000, 1e18, 0.5, -1, 1e-6]);
});

test("what is no quantity is refused", () => {
  for (const text of ["", "1 Gi", "abc", "1ki", "--1", "1.2.3"]) equal(parseQuantity(text), undefined, text);
  throws(() => quantityValue("x"), /is not a quantity/);
});

test("millicores and bytes are rounded up", () => {
  equal(quantityMilli("100m"), 100);
  equal(quantityMilli("0.0001"), 1);
  equal(quantityMilli("1.001"), 1001);
  equal(quantityValue("1.5"), 2);
  equal(quantityValue("0.1Ki"), 103);
});
