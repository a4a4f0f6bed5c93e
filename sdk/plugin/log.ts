/** For guests: lines in the log of the role that runs the plugin. */
import log from "capstan:plugin/log@1.0.0";

export const debug = (message: string): void => log.write("debug", message);
export const info = (message: string): void => log.write("info", message);
export const warn = (message: string): void => log.write("warn", message);
export const error = (message: string): void => log.write("error", message);
