/**
 * Rewrites a core module's own memories to have a maximum (WebAssembly binary format, memory section 5: limits are a flag byte, the
 * minimum and, with flag 1, the maximum, in pages of 64 KiB).
 *
 * The maximum stands a quarter above the cap: a guest that is refused more memory may swallow that, so what tells of a
 * breach is having grown beyond the cap, which is asked after each call.
 */
const PAGE_BYTES = 65_536;
const MEMORY_SECTION = 5;

function readLeb(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if ((byte & 0x80) === 0) return [value, at];
  }
}

function leb(value: number): number[] {
  const out: number[] = [];
  do {
    const low = value % 128;
    value = Math.floor(value / 128);
    out.push(value > 0 ? low | 0x80 : low);
  } while (value > 0);
  return out;
}

/** The module with its memories limited; the same bytes where it has none of its own. */
export function limitMemory(module: Uint8Array<ArrayBuffer>, memoryBytesMax: number): Uint8Array<ArrayBuffer> {
  const pagesMax = Math.ceil((memoryBytesMax * 1.25) / PAGE_BYTES);
  for (let at = 8; at < module.length; ) {
    const id = module[at] ?? 0;
    const [size, content] = readLeb(module, at + 1);
    if (id === MEMORY_SECTION) {
      const section = limitedSection(module, content, pagesMax);
      const head = [MEMORY_SECTION, ...leb(section.length), ...section];
      const limited = new Uint8Array(at + head.length + module.length - content - size);
      limited.set(module.subarray(0, at));
      limited.set(head, at);
      limited.set(module.subarray(content + size), at + head.length);
      return limited;
    }
    at = content + size;
  }
  return module;
}

function limitedSection(module: Uint8Array, start: number, pagesMax: number): number[] {
  let [count, at] = readLeb(module, start);
  const section = leb(count);
  for (; count > 0; count--) {
    const flags = module[at++] ?? 0;
    const [minimum, afterMinimum] = readLeb(module, at);
    at = afterMinimum;
    let maximum = pagesMax;
    if (flags & 1) [maximum, at] = readLeb(module, at);
    if (minimum > pagesMax) throw new Error(`the component needs ${minimum * PAGE_BYTES} bytes of memory at its start`);
    section.push(flags | 1, ...leb(minimum), ...leb(Math.min(maximum, pagesMax)));
  }
  return section;
}
