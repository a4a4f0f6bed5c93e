import assert from "node:assert/strict";
import { test } from "node:test";
import { hostPortRemoval } from "./host-ports.ts";

const entry = (id: string, chain: string) =>
  `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"capstan\\" id: \\"${id}\\"" -m multiport --dports 80 -j ${chain}`;
const nat = (...entries: string[]) =>
  [
    "*nat",
    ":PREROUTING ACCEPT [0:0]",
    ":CNI-DN-one - [0:0]",
    ":CNI-DN-two - [0:0]",
    ":CNI-HOSTPORT-DNAT - [0:0]",
    ":CNI-HOSTPORT-MASQ - [0:0]",
    ":CNI-HOSTPORT-SETMARK - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    "-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE",
    "-A CNI-DN-one -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK",
    "-A CNI-DN-one -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.0.2:8080",
    ...entries,
    "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    "COMMIT",
  ].join("\n");

test("what another has stays, and the chains that lead there", () => {
  const saved = nat(entry("aa", "CNI-DN-one"), entry("bb", "CNI-DN-two"));
  const expected = [entry("aa", "CNI-DN-one").replace("-A", "-D"), "-F CNI-DN-one", "-X CNI-DN-one"];
  assert.deepEqual(hostPortRemoval(saved, new Set(["aa", "cc"])), expected);
  assert.deepEqual(hostPortRemoval(saved, new Set(["cc"])), []);
});

test("with the last one all of it goes, and nothing else", () => {
  assert.deepEqual(hostPortRemoval(nat(entry("aa", "CNI-DN-one")), new Set(["aa"])).slice(3), [
    "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    '-D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    ...["-F CNI-HOSTPORT-DNAT", "-F CNI-HOSTPORT-MASQ", "-F CNI-HOSTPORT-SETMARK"],
    ...["-X CNI-HOSTPORT-DNAT", "-X CNI-HOSTPORT-MASQ", "-X CNI-HOSTPORT-SETMARK"],
  ]);
  assert.deepEqual(hostPortRemoval("", new Set(["aa"])), []);
});
