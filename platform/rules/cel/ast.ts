/** The tree of an expression, macros already told apart from calls. */
export type Node =
  | { op: "literal"; value: unknown; at: number }
  | { op: "name"; name: string; at: number }
  | { op: "select"; of: Node; field: string; optional: boolean; at: number }
  /** has(e.f) */
  | { op: "has"; of: Node; field: string; at: number }
  | { op: "index"; of: Node; key: Node; optional: boolean; at: number }
  | { op: "call"; name: string; target?: Node; args: Node[]; at: number; candidates?: unknown[] }
  | { op: "and" | "or"; left: Node; right: Node; at: number }
  | { op: "choose"; condition: Node; yes: Node; no: Node; at: number }
  | { op: "list"; items: { value: Node; optional: boolean }[]; at: number }
  | { op: "map"; entries: { key: Node; value: Node; optional: boolean }[]; at: number }
  | {
      op: "struct";
      type: string;
      fields: { name: string; value: Node; optional: boolean /** Of its colon. */; at: number }[];
      at: number;
    }
  | { op: "loop"; macro: LoopMacro; range: Node; variables: string[]; filter?: Node; body: Node; at: number }
  | { op: "bind"; name: string; value: Node; body: Node; at: number }
  /** optMap (wraps the result) and optFlatMap. */
  | { op: "whenPresent"; of: Node; name: string; body: Node; wraps: boolean; at: number };

export type LoopMacro =
  | "all"
  | "exists"
  | "exists_one"
  | "map"
  | "filter"
  | "transformList"
  | "transformMap"
  | "transformMapEntry"
  | "sortBy";
