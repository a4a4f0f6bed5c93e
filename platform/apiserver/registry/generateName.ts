/** Names that the server makes (upstream's names.SimpleNameGenerator). */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const NAME_BASE_LENGTH_MAX = 58;

/** Five characters that cannot spell words. */
export const randomSuffix = (length: number): string =>
  Array.from({ length }, () => ALPHABET[Math.floor(Math.random() * ALPHABET.length)]).join("");

export const generateName = (base: string): string => `${base.slice(0, NAME_BASE_LENGTH_MAX)}${randomSuffix(5)}`;
