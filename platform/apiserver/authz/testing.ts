/** Makers of what is asked, for tests. */
import type { AuthorizationAttributes } from "./authorizer.ts";

type Resource = NonNullable<AuthorizationAttributes["resource"]>;

export const asked = (
  verb: string,
  resource: Partial<Resource> = {},
  more: Partial<AuthorizationAttributes> & { name?: string; groups?: string[] } = {},
): AuthorizationAttributes => {
  const { name = "alice", groups = ["system:authenticated"], ...rest } = more;
  return {
    user: { tenant: 1, name, groups },
    tenant: 1,
    verb,
    resource: {
      group: "",
      version: "v1",
      resource: "pods",
      subresource: "",
      namespace: "default",
      name: "",
      ...resource,
    },
    ...rest,
  };
};

export const askedPath = (verb: string, path: string, name = "alice"): AuthorizationAttributes => ({
  user: { tenant: 1, name, groups: ["system:authenticated"] },
  tenant: 1,
  verb,
  path,
});
