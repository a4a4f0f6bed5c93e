import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decode, encode } from "./codec.ts";

describe("CRI's protobuf codec", () => {
  it("reads back what it wrote: nested messages, maps, lists, enums, 64-bit numbers and bytes", () => {
    const config = {
      metadata: { name: "päckchen-😀", uid: "u", namespace: "default", attempt: 3 },
      labels: { a: "1", empty: "" },
      portMappings: [{ protocol: "UDP", hostPort: 53 }],
      linux: {
        cgroupParent: "/x",
        securityContext: {
          runAsUser: { value: "9007199254740993" },
          supplementalGroups: ["1", "-2"],
          supplementalGroupsPolicy: "Strict",
          namespaceOptions: { network: "NODE", pid: "CONTAINER", ipc: "POD" },
          seccomp: { profileType: "Unconfined" },
        },
      },
    };
    assert.deepEqual(decode("PodSandboxConfig", encode("PodSandboxConfig", config)), config);
    const result = { stdout: "aGk=", stderr: "/w==", exitCode: -1 };
    assert.deepEqual(decode("ExecSyncResponse", encode("ExecSyncResponse", result)), result);
  });

  it("reads long texts, and those that are not ASCII, beside bytes of any value", () => {
    const items = ["é", "x".repeat(200), "y".repeat(10_000), "plain", "\u{1f6a2} end", ""].map((id, at) => ({
      id,
      state: at % 2 === 0 ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
      createdAt: String(1_795_280_837_116_531_939n + BigInt(at)),
      labels: { name: id, ключ: "plain" },
    }));
    const said = decode("ListPodSandboxResponse", encode("ListPodSandboxResponse", { items }));
    assert.deepEqual(said, { items: items.map(({ id, ...rest }) => (id === "" ? rest : { id, ...rest })) });
  });

  it("writes the bytes that protobuf defines", () => {
    assert.equal(Buffer.from(encode("VersionRequest", { version: "0.1.0" })).toString("hex"), "0a05302e312e30");
    assert.equal(
      Buffer.from(encode("StopContainerRequest", { containerId: "a", timeout: 300 })).toString("hex"),
      "0a016110ac02",
    );
  });

  it("gives an enum's zero by name and skips fields it does not know", () => {
    assert.deepEqual(decode("PodSandboxStatus", new Uint8Array()), { state: "SANDBOX_READY" });
    assert.deepEqual(
      decode("VersionRequest", Uint8Array.from([0x0a, 1, 0x78, 0xf8, 0x3f, 5, 0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8])),
      {
        version: "x",
      },
    );
  });

  it("names the field that is wrong and refuses bytes that end too soon", () => {
    assert.throws(
      () => encode("StopContainerRequest", { timeout: "soon" }),
      /StopContainerRequest.timeout: expected int64/,
    );
    assert.throws(() => encode("PortMapping", { protocol: "ICMP" }), /expected one of TCP, UDP, SCTP/);
    assert.throws(() => decode("VersionRequest", Uint8Array.from([0x0a, 5, 0x78])), /cut short/);
  });
});
