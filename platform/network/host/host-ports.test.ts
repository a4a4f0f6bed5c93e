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

const deletion = (rule: string) => rule.replace("-A", "-D");

test("what another has stays, and the chains that lead there", () => {
  const saved = nat(entry("aa", "CNI-DN-one"), entry("bb", "CNI-DN-two"));
  assert.deepEqual(hostPortRemoval(saved, new Set(["aa", "cc"])), {
    rules: [deletion(entry("aa", "CNI-DN-one")), "-F CNI-DN-one"],
    chains: ["-X CNI-DN-one"],
  });
  assert.deepEqual(hostPortRemoval(saved, new Set(["cc"])), { rules: [], chains: [] });
});

test("with the last one all of it goes, and nothing else", () => {
  const chains = ["CNI-DN-one", "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"];
  assert.deepEqual(hostPortRemoval(nat(entry("aa", "CNI-DN-one")), new Set(["aa"])), {
    rules: [
      deletion(entry("aa", "CNI-DN-one")),
      "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      '-D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
      ...chains.map((chain) => `-F ${chain}`),
    ],
    chains: chains.map((chain) => `-X ${chain}`),
  });
  assert.deepEqual(hostPortRemoval("", new Set(["aa"])), { rules: [], chains: [] });
});
