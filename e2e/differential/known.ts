/** Differences that stay, each with its reason. */
export const known: readonly { kind: string; pattern: RegExp; reason: string }[] = [
  {
    kind: "*",
    pattern: /^\.columnDefinitions\[\d+\]\.description/,
    reason: "the original's descriptions are its prose, which is not copied",
  },
];
