/** For guests: links, addresses, routes and packet rules of the node. Needs the capability "net". */
import net from "capstan:plugin/net@1.0.0";
import type { JsonObject } from "../api/object.ts";
import { calling } from "./failure.ts";

/** What `ip -json` shows. */
export const show = (what: "link" | "address" | "route" | "neighbor"): JsonObject[] =>
  JSON.parse(calling(() => net.show(what))) as JsonObject[];

/** One batch of `ip` commands; refused whole before the first where one is outside of the grant. */
export const apply = (commands: string[]): void => calling(() => net.apply(commands));

/** Replaces the plugin's own nftables table, in one transaction. */
export const replaceRules = (ruleset: string): void => calling(() => net.replaceRules(ruleset));
