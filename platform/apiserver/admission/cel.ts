/** Admission's expressions in CEL. */
import type { Expressions } from "./expressions.ts";

export const celExpressions: Expressions = {
  compile: () => ({
    evaluate() {
      throw new Error("expressions cannot be evaluated by this server");
    },
  }),
};
