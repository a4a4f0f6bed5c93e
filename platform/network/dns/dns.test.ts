import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import packet, { type Answer, type DecodedPacket, type RecordType } from "dns-packet";
import { silentLog } from "#platform/base/log.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import { endpointSlices, pods, services } from "../objects.ts";
import { createObjectApi } from "../testing/objects.ts";
import { type RunningDns, startDns } from "./dns.ts";
import { createForwarder, framed, resolversOf } from "./forward.ts";
import { listenDns } from "./server.ts";

const meta = (name: string, namespace = "default", more: object = {}) => ({ metadata: { name, namespace, ...more } });
const inTenant = (tenant: string) => ({ annotations: { [TENANT_ANNOTATION]: tenant } });
const sliceOf = (service: string, more: object, tenant = "root"): KubeObject => ({
  ...meta(`${service}-1`, "default", { ...inTenant(tenant), labels: { "kubernetes.io/service-name": service } }),
  ...{ addressType: "IPv4" },
  ...more,
});

describe("cluster DNS", () => {
  const api = createObjectApi();
  const stop = new AbortController();
  let dns: RunningDns;
  let upstream: Awaited<ReturnType<typeof listenDns>>;

  before(async () => {
    upstream = await listenDns("127.0.0.1", 0, async (query) => {
      const { id, questions } = packet.decode(query);
      const name = questions?.[0]?.name ?? "";
      const answers: Answer[] = name === "example.org" ? [{ type: "A", name, ttl: 60, data: "192.0.2.80" }] : [];
      return packet.encode({ type: "response", id, flags: answers.length > 0 ? 0 : 3, questions, answers });
    });
    await api.put(services, {
      ...meta("web"),
      ...{
        spec: {
          clusterIP: "10.96.0.20",
          ports: [
            { name: "http", port: 80 },
            { name: "dns", port: 53, protocol: "UDP" },
          ],
        },
      },
    });
    await api.put(services, {
      ...meta("db"),
      ...{ spec: { clusterIP: "None", ports: [{ name: "sql", port: 5432 }] } },
    });
    await api.put(services, { ...meta("far"), ...{ spec: { type: "ExternalName", externalName: "example.org" } } });
    await api.put(services, {
      ...meta("near"),
      ...{ spec: { type: "ExternalName", externalName: "web.default.svc.cluster.local" } },
    });
    await api.put(services, { ...meta("many"), ...{ spec: { clusterIP: "None", ports: [{ port: 80 }] } } });
    await api.put(services, {
      ...meta("web", "default", inTenant("blue")),
      ...{ spec: { clusterIP: "10.96.7.7", ports: [] } },
    });
    await api.put(
      endpointSlices,
      sliceOf("db", {
        ports: [{ name: "sql", protocol: "TCP", port: 5432 }],
        endpoints: [
          { addresses: ["127.7.0.5"], hostname: "db-0", conditions: { ready: true } },
          { addresses: ["127.7.0.6"], conditions: { ready: true } },
          { addresses: ["127.7.0.7"], hostname: "db-2", conditions: { ready: false } },
        ],
      }),
    );
    await api.put(
      endpointSlices,
      sliceOf("many", {
        ports: [{ name: "", port: 80 }],
        endpoints: Array.from({ length: 90 }, (_, i) => ({ addresses: [`10.1.1.${i}`] })),
      }),
    );
    for (const [name, ip, tenant] of [
      ["mine", "127.7.0.2", "root"],
      ["blues", "127.7.0.3", "blue"],
    ] as const)
      await api.put(pods, {
        ...meta(name, "default", inTenant(tenant)),
        ...{ spec: { nodeName: "node-1" }, status: { podIP: ip, podIPs: [{ ip }] } },
      });
    dns = await startDns({
      client: api.client,
      log: silentLog,
      signal: stop.signal,
      nodeName: "node-1",
      domain: "cluster.local",
      serviceAddress: "10.96.0.10",
      listen: { address: "127.0.0.1", port: 0 },
      podCIDR: "127.7.0.0/16",
      forwarder: createForwarder(() => [{ address: upstream.address, port: upstream.port }]),
    });
    await dns.ready;
  });
  after(async () => {
    stop.abort();
    await dns.stopped;
    await upstream.close();
  });

  /** Pods are loopback addresses of a range of their own: the source of the question says who asks. */
  async function ask(name: string, type: RecordType = "A", from = "127.7.0.2"): Promise<DecodedPacket> {
    const socket = createSocket("udp4");
    socket.bind(0, from);
    await once(socket, "listening");
    const query = packet.encode({ type: "query", id: 7, flags: packet.RECURSION_DESIRED, questions: [{ type, name }] });
    socket.send(query, dns.port, dns.address);
    const [reply] = (await once(socket, "message")) as [Buffer];
    socket.close();
    return packet.decode(reply);
  }
  const data = (reply: DecodedPacket) => (reply.answers ?? []).map((a) => ("data" in a ? a.data : undefined));
  const code = (reply: DecodedPacket) => (reply.flags ?? 0) & 0xf;

  test("a service's name is its cluster IP, in any case, with a short time to live", async () => {
    const reply = await ask("Web.default.svc.cluster.LOCAL");
    assert.deepEqual(data(reply), ["10.96.0.20"]);
    assert.ok(reply.flag_aa && reply.flag_ra);
    const [first] = reply.answers ?? [];
    assert.ok(first && "ttl" in first && (first.ttl ?? 0) >= 5 && (first.ttl ?? 0) <= 30);
  });

  test("a name that exists without that type is NODATA, one that does not exist is NXDOMAIN, both with the zone's SOA", async () => {
    const nodata = await ask("web.default.svc.cluster.local", "AAAA");
    assert.deepEqual([code(nodata), data(nodata), nodata.authorities?.[0]?.type], [0, [], "SOA"]);
    for (const name of [
      "no.default.svc.cluster.local",
      "web.no.svc.cluster.local",
      "no.svc.cluster.local",
      "x.web.default.svc.cluster.local",
      "cluster.cluster.local",
    ])
      assert.equal(code(await ask(name)), 3, name);
    for (const name of ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"])
      assert.equal(code(await ask(name)), 0, name);
  });

  test("a headless service is its ready endpoints, each by its host name or its address", async () => {
    assert.deepEqual(data(await ask("db.default.svc.cluster.local")).sort(), ["127.7.0.5", "127.7.0.6"]);
    assert.deepEqual(data(await ask("db-0.db.default.svc.cluster.local")), ["127.7.0.5"]);
    assert.deepEqual(data(await ask("127-7-0-6.db.default.svc.cluster.local")), ["127.7.0.6"]);
    assert.equal(code(await ask("db-2.db.default.svc.cluster.local")), 3);
  });

  test("named ports are SRV records, with the addresses of their targets", async () => {
    const one = await ask("_http._tcp.web.default.svc.cluster.local", "SRV");
    assert.deepEqual(data(one), [{ priority: 0, weight: 100, port: 80, target: "web.default.svc.cluster.local" }]);
    assert.deepEqual(
      one.additionals?.map((a) => ("data" in a ? a.data : "")),
      ["10.96.0.20"],
    );
    const many = await ask("_sql._tcp.db.default.svc.cluster.local", "SRV");
    assert.deepEqual(
      data(many)
        .map((d) => (d as { target: string; port: number }).target)
        .sort(),
      ["127-7-0-6.db.default.svc.cluster.local", "db-0.db.default.svc.cluster.local"],
    );
    assert.equal(code(await ask("_http._udp.web.default.svc.cluster.local", "SRV")), 3);
  });

  test("addresses lead back to names", async () => {
    assert.deepEqual(data(await ask("20.0.96.10.in-addr.arpa", "PTR")), ["web.default.svc.cluster.local"]);
    assert.deepEqual(data(await ask("5.0.7.127.in-addr.arpa", "PTR")), ["db-0.db.default.svc.cluster.local"]);
  });

  test("a pod's name is the address in it; the zone tells its version", async () => {
    assert.deepEqual(data(await ask("10-1-2-3.default.pod.cluster.local")), ["10.1.2.3"]);
    assert.equal(code(await ask("ten-1-2-3.default.pod.cluster.local")), 3);
    assert.deepEqual(
      data(await ask("dns-version.cluster.local", "TXT"))
        .flat()
        .map(String),
      ["1.1.0"],
    );
  });

  test("an external name is followed to its addresses, outside and inside of the cluster", async () => {
    assert.deepEqual(data(await ask("far.default.svc.cluster.local")), ["example.org", "192.0.2.80"]);
    assert.deepEqual(data(await ask("near.default.svc.cluster.local")), [
      "web.default.svc.cluster.local",
      "10.96.0.20",
    ]);
    assert.deepEqual(data(await ask("far.default.svc.cluster.local", "CNAME")), ["example.org"]);
  });

  test("other names are the host's resolvers' to answer", async () => {
    assert.deepEqual(data(await ask("example.org")), ["192.0.2.80"]);
    assert.equal(code(await ask("nothing.invalid")), 3);
  });

  test("a pod is answered from its own tenant, the node itself from root, an unknown pod not at all", async () => {
    assert.deepEqual(data(await ask("web.default.svc.cluster.local", "A", "127.7.0.3")), ["10.96.7.7"]);
    assert.deepEqual(data(await ask("web.default.svc.cluster.local", "A", "127.0.0.1")), ["10.96.0.20"]);
    assert.equal(code(await ask("db.default.svc.cluster.local", "A", "127.7.0.3")), 3);
    assert.equal(code(await ask("web.default.svc.cluster.local", "A", "127.7.0.99")), 2);
  });

  test("what does not fit a datagram is marked truncated and whole over TCP", async () => {
    const cut = await ask("many.default.svc.cluster.local");
    assert.ok(cut.flag_tc && (cut.answers ?? []).length === 0);
    const socket = connect({ port: dns.port, host: dns.address, localAddress: "127.7.0.2" });
    socket.write(
      framed(
        packet.encode({ type: "query", id: 9, questions: [{ type: "A", name: "many.default.svc.cluster.local" }] }),
      ),
    );
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) break;
    }
    assert.equal(packet.decode(received.subarray(2)).answers?.length, 90);
  });

  test("nonsense gets an error or nothing, and the server lives on", async () => {
    const socket = createSocket("udp4");
    socket.bind(0, "127.7.0.2");
    await once(socket, "listening");
    socket.send(Buffer.from("short"), dns.port, dns.address);
    const broken = Buffer.concat([Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Buffer.from([0xff, 0xff, 0xff])]);
    socket.send(broken, dns.port, dns.address);
    const [reply] = (await once(socket, "message")) as [Buffer];
    socket.close();
    assert.equal(reply.readUInt16BE(2) & 0xf, 1);
    assert.deepEqual(data(await ask("web.default.svc.cluster.local")), ["10.96.0.20"]);
  });
});

test("the host's resolvers are read from resolv.conf, without stubs and ourselves", () => {
  const text = "# c\nsearch x\nnameserver 127.0.0.53\nnameserver 10.96.0.10\n";
  const real = "nameserver 9.9.9.9\nnameserver 9.9.9.9\nnameserver fd00::1\n";
  assert.deepEqual(
    resolversOf([text, real], new Set(["10.96.0.10"])).map((r) => r.address),
    ["9.9.9.9", "fd00::1"],
  );
  assert.deepEqual(
    resolversOf(["nameserver 127.0.0.53"], new Set()).map((r) => r.address),
    ["127.0.0.53"],
  );
});

test("a resolver that never answers costs a bounded time", async () => {
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address();
  await assert.rejects(
    createForwarder(() => [{ address: "127.0.0.1", port }]).ask(Buffer.alloc(12), false),
    /did not answer/,
  );
  await assert.rejects(createForwarder(() => []).ask(Buffer.alloc(12), false), /no resolver/);
  silent.close();
});
