/** Name formats by kind: what a strategy's validateName is chosen from. With `prefix` a generateName is checked. */
import { isDNS1035Label, isDNS1123Label, isDNS1123Subdomain, isPathSegmentName } from "#sdk/api/names.ts";

export type NameValidator = (name: string, prefix: boolean) => string[];

/** A generateName may end with a dash: what follows is the server's. */
const withPrefix =
  (check: (value: string) => string[]): NameValidator =>
  (name, prefix) =>
    check(prefix ? name.replace(/-$/, "a") : name);

export const nameIsDNSLabel = withPrefix(isDNS1123Label);
export const nameIsDNSSubdomain = withPrefix((value) => isDNS1123Subdomain(value));
export const nameIsDNS1035Label = withPrefix(isDNS1035Label);
/** Names that are one path segment and nothing more (RBAC kinds). */
export const nameIsPathSegment: NameValidator = (name) => isPathSegmentName(name);
