/** Equality of JSON values; an absent field equals an undefined one. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!deepEqual(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  let extra = 0;
  for (const key in right) if (right[key] !== undefined) extra++;
  for (const key in left) {
    if (left[key] === undefined) continue;
    if (right[key] === undefined || !deepEqual(left[key], right[key])) return false;
    extra--;
  }
  return extra === 0;
}
