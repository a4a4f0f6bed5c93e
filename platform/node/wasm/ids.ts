/** With which ids of sandboxes and containers of components begin. */
export const WASM_ID_PREFIX = "wasm-";
