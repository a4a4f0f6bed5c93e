/** For guests: text files below the directories granted by name. Needs the capability "files". */
import files from "capstan:plugin/files@1.0.0";
import { calling } from "./failure.ts";

export const read = (tree: string, path: string): string => calling(() => files.read(tree, path));
/** Whole and atomic. */
export const write = (tree: string, path: string, contents: string): void =>
  calling(() => files.write(tree, path, contents));
export const remove = (tree: string, path: string): void => calling(() => files.remove(tree, path));
export const list = (tree: string, path: string): string[] => calling(() => files.list(tree, path));
