/** The console in a real Chromium against a real API server: what kubectl does shows without a reload. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { paths } from "#platform/main/config.ts";
import { readIdentity } from "#platform/main/processes.ts";
import * as support from "../support/console.ts";
import { eventually, type Instance, startInstance } from "../support/instance.ts";

const IMAGE = "capstan.dev/none:1";

describe("the console", { skip: support.skipWithoutBrowser }, () => {
  let instance: Instance;
  let browser: Browser;
  before(async () => {
    instance = await startInstance({ nodes: 0, args: ["--engine", "jco"] });
    browser = await support.startBrowser();
  });
  after(async () => {
    await browser?.close();
    await instance?.remove();
  });

  const openPage = (colorScheme?: "light" | "dark") => support.openConsole(browser, instance, colorScheme);
  const signInAsAdmin = (page: Page) => support.signInAsAdmin(page, instance);
  const { goTo, signInByToken } = support;
  const row = (page: Page, name: string) =>
    page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });

  it("shows a pod that kubectl creates, and its deletion, without a reload", async (t) => {
    const { page, complaints } = await openPage();
    await signInAsAdmin(page);
    await goTo(page, "Pods");
    await page.getByText("There are no pods in all namespaces.").waitFor();
    await page.evaluate(() => Object.assign(window, { notReloaded: true }));
    const created = instance.kubectl("run", "seen", `--image=${IMAGE}`).then(() => performance.now());
    await row(page, "seen").waitFor();
    const shownAt = performance.now();
    const latencyMs = Math.max(0, shownAt - (await created));
    t.diagnostic(`shown ${latencyMs.toFixed(0)} ms after kubectl returned`);
    await row(page, "seen").getByText("Pending").waitFor();
    await instance.kubectl("delete", "pod", "seen", "--grace-period=0", "--force");
    await row(page, "seen").waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => "notReloaded" in window), true);
    assert.deepEqual(complaints, []);
  });

  it("has a page for a pod with its status, containers, events and manifest", async () => {
    await instance.kubectl("run", "paged", `--image=${IMAGE}`, "--labels=app=paged");
    const { page, complaints } = await openPage("dark");
    await signInAsAdmin(page);
    await goTo(page, "Pods");
    await page.getByRole("link", { name: "paged", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "paged" }).waitFor();
    for (const section of ["Containers", "Logs", "Events", "Manifest"]) {
      await page.getByRole("heading", { level: 2, name: section }).waitFor();
    }
    await page.getByText("app=paged", { exact: true }).waitFor();
    await page.getByText("The container has not started").waitFor();
    await page.getByRole("heading", { level: 2, name: "Manifest" }).click();
    await page.getByText("apiVersion: v1").waitFor();
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Pods" }).waitFor();
    assert.deepEqual(complaints, []);
  });

  it("follows a change of namespace and filters what it shows", async () => {
    await instance.kubectl("create", "namespace", "shop");
    await instance.kubectl("-n", "shop", "create", "configmap", "only-here", "--from-literal=a=b");
    const { page } = await openPage();
    await signInAsAdmin(page);
    await goTo(page, "Config maps");
    await page.getByLabel("Namespace", { exact: true }).selectOption("shop");
    await row(page, "only-here").waitFor();
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("matches the filter").waitFor();
    assert.match(page.url(), /\/shop\/configmaps$/);
  });

  it("shows a user what their role allows, and says kindly what it forbids", async () => {
    await instance.kubectl("create", "serviceaccount", "viewer");
    await instance.kubectl("create", "role", "pods-only", "--verb=get,list,watch", "--resource=pods");
    await instance.kubectl("create", "rolebinding", "viewer", "--role=pods-only", "--serviceaccount=default:viewer");
    const token = await instance.kubectl("create", "token", "viewer");
    const { page } = await openPage();
    await signInByToken(page, token.trim());
    await page.getByText("You may not see deployments in all namespaces").waitFor();
    await page.getByText(/cannot list resource "deployments"/).waitFor();
    // Who may not list namespaces types the name of one.
    const namespace = page.getByRole("textbox", { name: "Namespace" });
    await namespace.fill("default");
    await namespace.press("Enter");
    await goTo(page, "Pods");
    await page
      .getByRole("table", { name: "Pods" })
      .or(page.getByText("There are no pods in namespace default."))
      .waitFor();
  });

  it("refuses a credential of another cluster with words that help", async () => {
    const { page } = await openPage();
    await signInByToken(page, "not-a-token");
    await page.getByRole("alert").getByText("does not accept this credential").waitFor();
  });

  it("goes on by itself, nothing missed or doubled, after the API server was killed", async () => {
    const { page } = await openPage();
    await signInAsAdmin(page);
    await goTo(page, "Pods");
    await page.getByRole("table", { name: "Pods" }).or(page.getByText("There are no pods")).waitFor();
    const { run } = paths(instance.dataDir);
    const before = readIdentity(run, "apiserver");
    assert.ok(before);
    process.kill(before.pid, "SIGKILL");
    await eventually("a pod made after the restart", async () => {
      const made = await instance.tryKubectl("run", "survivor", `--image=${IMAGE}`);
      return made.code === 0 || /AlreadyExists/.test(made.stderr);
    });
    await row(page, "survivor").waitFor();
    const names = await page.getByRole("table", { name: "Pods" }).getByRole("rowheader").allTextContents();
    assert.equal(new Set(names).size, names.length);
    await instance.kubectl("delete", "pod", "survivor", "--grace-period=0", "--force");
    await row(page, "survivor").waitFor({ state: "detached" });
  });

  it("asks to sign in again after signing out", async () => {
    const { page } = await openPage();
    await signInAsAdmin(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await page.goto(`${instance.consoleUrl}/-/-/pods`);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
  });
});
