/** Warning headers of one response, each text once. What is said to a client is bounded, whoever says it (apiserver's warning recorder). */
const TOTAL_CHARACTERS_MAX = 4096;
/** Of each, once all of them together are too long. */
const TRUNCATED_CHARACTERS = 256;

/** Answers the function that adds to `shown`, which is always what the headers have to say. */
export function recordWarnings(shown: string[]): (text: string) => void {
  const seen = new Set<string>();
  let characters = 0;
  let truncating = false;
  const show = (text: string) => {
    const bounded = truncating ? text.slice(0, TRUNCATED_CHARACTERS) : text;
    characters += bounded.length;
    shown.push(bounded);
  };
  return (text) => {
    if (text === "" || seen.has(text) || (truncating && characters >= TOTAL_CHARACTERS_MAX)) return;
    seen.add(text);
    if (!truncating && characters + text.length > TOTAL_CHARACTERS_MAX) {
      truncating = true;
      characters = 0;
      for (const earlier of shown.splice(0)) show(earlier);
    }
    show(text);
  };
}
