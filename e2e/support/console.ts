/** The console in a real Chromium. */
import { type Browser, chromium, type Page } from "playwright-core";
import { findProgram } from "#platform/main/run.ts";
import { type Instance, skipWithoutKubectl } from "./instance.ts";

const executablePath = findProgram("chromium");
/** Why the console cannot be tested here; false when it can. The shape is node:test's `skip` option. */
export const skipWithoutBrowser: string | false =
  skipWithoutKubectl || (executablePath ? false : "chromium is not on the PATH: install it to run these tests");

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const startBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: executablePath ?? "", args: ARGUMENTS });

/** A page of a context of its own; everything it complains of, and every address that is not the console's. */
export async function openConsole(
  browser: Browser,
  { consoleUrl }: Instance,
  colorScheme: "light" | "dark" = "light",
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ colorScheme });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== consoleUrl) complaints.push(request.url());
  });
  await page.goto(consoleUrl);
  return { page, complaints };
}

export async function signInAsAdmin(page: Page, { kubeconfig }: Instance): Promise<void> {
  await page.getByLabel("Kubeconfig file").setInputFiles(kubeconfig);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "Deployments" }).waitFor();
}

export async function signInByToken(page: Page, token: string): Promise<void> {
  await page.getByLabel("a bearer token").check();
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export const goTo = (page: Page, place: string): Promise<void> =>
  page.getByRole("navigation", { name: "Resources" }).getByRole("link", { name: place, exact: true }).click();
