/** Addresses in what a proxied server answers, as they must be for the client to come back through the proxy (apimachinery's util/proxy). */

/** `prefix` is the proxy's own path ("/api/v1/namespaces/n/pods/p/proxy"), `hosts` those that mean the proxied server. */
export interface Rewriting {
  prefix: string;
  hosts: readonly string[];
}

export function rewriteUrl(text: string, { prefix, hosts }: Rewriting): string {
  const [, host, path] = /^(?:https?:)?\/\/([^/?#]*)(.*)$/i.exec(text) ?? [];
  if (host !== undefined && !hosts.includes(host)) return text;
  const local = host === undefined ? text : path || "/";
  if (!local.startsWith("/") || local.startsWith("//")) return text;
  return local.startsWith(prefix) ? local : `${prefix}${local}`;
}

const ATTRIBUTES =
  "href|src|action|background|cite|classid|codebase|data|formaction|icon|longdesc|manifest|poster|profile|usemap";
const TAG = /<[a-zA-Z][^<>]*>/g;
const ATTRIBUTE = new RegExp(`(\\s)(${ATTRIBUTES})(\\s*=\\s*)("[^"]*"|'[^']*')`, "gi");

/** Addresses in the attributes of tags. */
export function rewriteHtml(html: string, rewriting: Rewriting): string {
  return html.replace(TAG, (tag) =>
    tag.replace(ATTRIBUTE, (_, space: string, name: string, equals: string, quoted: string) => {
      const quote = quoted.charAt(0);
      return `${space}${name}${equals}${quote}${rewriteUrl(quoted.slice(1, -1), rewriting)}${quote}`;
    }),
  );
}
