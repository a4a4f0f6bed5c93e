import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { describe, it } from "node:test";
import { extract } from "tar-stream";
import { buildImages, loadImage, ociArchive } from "./images.ts";

async function filesOf(archive: Buffer): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) files.set(entry.header.name, await buffer(entry));
  return files;
}

describe("images made here", () => {
  it("are OCI layouts whose blobs have their digests as names, the same bytes each time", async () => {
    const make = () => ociArchive("capstan.dev/x:1", [Buffer.from("layer")], { Cmd: ["sh"] });
    const archive = await make();
    assert.ok(archive.equals(await make()));
    const files = await filesOf(archive);
    const index = JSON.parse(files.get("index.json")?.toString() ?? "{}") as {
      manifests: { digest: string; annotations: Record<string, string> }[];
    };
    assert.equal(index.manifests[0]?.annotations["io.containerd.image.name"], "capstan.dev/x:1");
    const blobs = [...files].filter(([name, body]) => name.startsWith("blobs/sha256/") && body.length > 0);
    assert.equal(blobs.length, 3);
    for (const [name, body] of blobs)
      assert.equal(name, `blobs/sha256/${createHash("sha256").update(body).digest("hex")}`);
    assert.ok(files.has(`blobs/sha256/${index.manifests[0]?.digest.slice("sha256:".length)}`));
  });

  it("hold busybox under its names, and the example's page", {
    skip: existsSync("/bin/busybox") ? false : "needs busybox-static",
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "images-"));
    try {
      const archives = await buildImages(directory);
      assert.equal(archives.length, 3);
      const hello = await filesOf(readFileSync(archives.find((one) => one.includes("hello")) ?? ""));
      const layers = await Promise.all(
        [...hello].filter(([, body]) => body.includes("www/cgi-bin")).map(([, body]) => filesOf(body)),
      );
      assert.match(layers[0]?.get("www/cgi-bin/index.cgi")?.toString() ?? "", /hostname/);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("are asked for by a file that exists", async () => {
    await assert.rejects(loadImage({ containerdSocket: "/nowhere" }, "/nothing.tar"), /there is no file \/nothing.tar/);
  });
});
