import { readConfig } from "#sdk/plugin/config.ts";
import { defineAuthenticator } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";

export const authenticator = defineAuthenticator({
  // A demonstration: whoever has the prefix is believed. A real plugin checks a signature or a digest.
  authenticate(token) {
    const { prefix = "demo-", groups = [] } = readConfig<{ prefix?: string; groups?: string[] }>();
    if (!token.startsWith(prefix)) return undefined;
    const name = token.slice(prefix.length);
    if (name === "") throw failure("Unauthorized", "the token names nobody", 401);
    return { name, groups };
  },
});
