/** A plugin's panel in the console, in a real Chromium: drawn as text, and acting as who is signed in. CAPSTAN_SCREENSHOTS=DIR keeps pictures. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Browser, Page } from "playwright-core";
import { paths } from "#platform/main/config.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import {
  goTo,
  openConsole,
  signInAsAdmin,
  signInByToken,
  skipWithoutBrowser,
  startBrowser,
} from "../support/console.ts";
import { eventually, type Instance, startInstance } from "../support/instance.ts";

const pictures = process.env["CAPSTAN_SCREENSHOTS"];

describe("a panel in the console", { skip: skipWithoutBrowser }, () => {
  let instance: Instance;
  let browser: Browser;

  before(async () => {
    instance = await startInstance({ nodes: 0, args: addonReady() ? [] : ["--engine", "jco"] });
    const scratch = mkdtempSync(join(tmpdir(), "capstan-board-"));
    try {
      const built = await buildPlugin(join(import.meta.dirname, "../plugins/board"), scratch);
      copyFileSync(built.path, join(paths(instance.dataDir).components, basename(built.path)));
      const { name, ...spec } = built.manifest;
      const file = join(scratch, "plugin.json");
      const object = {
        apiVersion: "capstan.dev/v1",
        kind: "Plugin",
        metadata: { name },
        spec: { ...spec, digest: built.digest, approved: [capabilitiesDigest(spec.capabilities)] },
      };
      writeFileSync(file, JSON.stringify(object));
      await instance.kubectl("apply", "-f", file);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    const panel = "/apis/capstan.dev/v1/plugins/board/panel?namespace=default";
    await eventually("the panel", async () => (await instance.tryKubectl("get", "--raw", panel)).code === 0);
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await instance?.remove();
  });

  const openPanel = async (page: Page) => {
    await goTo(page, "Plugins");
    await page.getByRole("link", { name: "board", exact: true }).click();
    await page.getByRole("heading", { level: 2, name: /^Of / }).waitFor();
  };
  const panelOf = (page: Page) => page.locator("section.panel");
  const make = async (page: Page, name: string) => {
    await panelOf(page).getByLabel("Name", { exact: true }).fill(name);
    await panelOf(page).getByRole("button", { name: "Make", exact: true }).click();
  };
  const picture = async (page: Page, name: string) => {
    if (pictures !== undefined) await panelOf(page).screenshot({ path: join(pictures, `${name}.png`) });
  };

  it("shows what its plugin answers as text, and leads to objects", async () => {
    const { page, complaints } = await openConsole(browser, instance);
    await signInAsAdmin(page, instance);
    await page.getByLabel("Namespace", { exact: true }).selectOption("default");
    await openPanel(page);
    await panelOf(page).getByRole("heading", { level: 3, name: "<b>ConfigMaps</b>" }).waitFor();
    await picture(page, "panel-light");
    await panelOf(page).getByRole("link", { name: "kube-root-ca.crt", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "kube-root-ca.crt" }).waitFor();
    assert.deepEqual(complaints, []);
  });

  it("acts as who is signed in: what the person may is done and shown", async () => {
    const { page, complaints } = await openConsole(browser, instance);
    await signInAsAdmin(page, instance);
    await page.getByLabel("Namespace", { exact: true }).selectOption("default");
    await openPanel(page);
    await make(page, "made-in-the-console");
    await panelOf(page).getByText("made-in-the-console is made").waitFor();
    await panelOf(page).getByRole("link", { name: "made-in-the-console", exact: true }).waitFor();
    await instance.kubectl("get", "configmap", "made-in-the-console");
    assert.deepEqual(complaints, []);
  });

  it("refuses what the person may not, and goes on showing what they may: the role capstan:panels opens panels, and nothing behind them", async () => {
    await instance.kubectl("create", "serviceaccount", "reader");
    await instance.kubectl(
      ...["create", "clusterrolebinding", "reader", "--clusterrole=capstan:panels", "--serviceaccount=default:reader"],
    );
    await instance.kubectl("create", "rolebinding", "reads", "--clusterrole=view", "--serviceaccount=default:reader");
    const token = await instance.kubectl("create", "token", "reader");
    const { page } = await openConsole(browser, instance, "dark");
    await signInByToken(page, token.trim());
    const namespace = page.getByRole("textbox", { name: "Namespace" });
    await namespace.fill("default");
    await namespace.press("Enter");
    await openPanel(page);
    await make(page, "never");
    await panelOf(page)
      .getByRole("alert")
      .getByText(/cannot create resource "configmaps"/)
      .waitFor();
    await panelOf(page).getByRole("link", { name: "kube-root-ca.crt", exact: true }).waitFor();
    await picture(page, "panel-dark");
    assert.notEqual((await instance.tryKubectl("get", "configmap", "never")).code, 0);
  });

  it("has every part that a page may have, and fields and questions before its actions", async () => {
    const { page, complaints } = await openConsole(browser, instance, "dark");
    await signInAsAdmin(page, instance);
    await openPanel(page);
    const panel = panelOf(page);
    await panel.getByRole("button", { name: "all parts" }).click();
    await page.getByRole("heading", { level: 2, name: "All parts" }).waitFor();
    await panel.getByText("A text, with <i>no</i> markup.").waitFor();
    await panel.getByText("3 of 8 GiB").waitFor();
    await panel.getByRole("img", { name: "reads: its last 6 values" }).waitFor();
    for (const name of ["Left", "Right", "What can be done"]) await panel.getByRole("heading", { name }).waitFor();
    await picture(page, "parts-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await picture(page, "parts-light");
    await panel.getByLabel("Word").selectOption("yes");
    await panel.getByLabel("Times").fill("3");
    await panel.getByLabel("Loud").check();
    await panel.getByRole("button", { name: "Say" }).click();
    await panel.getByText("yes yes yes!").waitFor();
    assert.deepEqual(complaints, []);
    const questions: string[] = [];
    page.on("dialog", (dialog) => {
      questions.push(dialog.message());
      void (questions.length > 1 ? dialog.accept() : dialog.dismiss());
    });
    await panel.getByRole("button", { name: "Refuse" }).click();
    await panel.getByText("yes yes yes!").waitFor();
    await panel.getByRole("button", { name: "Refuse" }).click();
    await panel
      .getByRole("alert")
      .getByText(/there is no action refuse/)
      .waitFor();
    assert.deepEqual(questions, ["Really refuse?", "Really refuse?"]);
    await panel.getByRole("button", { name: "Back to its first page" }).click();
    await page.getByRole("heading", { level: 2, name: /^Of / }).waitFor();
  });
});
