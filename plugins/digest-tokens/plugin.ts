import { utf8Encode } from "#sdk/plugin/bytes.ts";
import { now } from "#sdk/plugin/clock.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAuthenticator } from "#sdk/plugin/define.ts";
import { type TokensConfig, userOf } from "./tokens.ts";

export const authenticator = defineAuthenticator({
  authenticate: (token) => userOf(readConfig<TokensConfig>(), utf8Encode(token), now()),
});
