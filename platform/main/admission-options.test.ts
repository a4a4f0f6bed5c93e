import assert from "node:assert/strict";
import { test } from "node:test";
import { FIRST_PARTY_PLUGINS, OFF_BY_DEFAULT } from "#plugins/index.ts";
import { ADMISSION_PLUGINS, admissionSwitches } from "./admission-options.ts";

test("what is named is switched: rules in the chain, components by their plugin's name", () => {
  const plain = admissionSwitches(undefined, undefined);
  assert.deepEqual([plain.isOn("Priority"), plain.isOn("AlwaysDeny"), plain.components.size], [true, false, 0]);
  const { isOn, components } = admissionSwitches("AlwaysDeny,AlwaysPullImages", "Priority,PodSecurity");
  assert.deepEqual([isOn("Priority"), isOn("AlwaysDeny")], [false, true]);
  assert.deepEqual(Object.fromEntries(components), { "always-pull-images": true, "pod-security": false });
});

test("what cannot be meant is refused in upstream's words", () => {
  assert.throws(() => admissionSwitches("Nope", ""), { message: 'enable-admission-plugins plugin "Nope" is unknown' });
  assert.throws(() => admissionSwitches("", "Nope"), { message: 'disable-admission-plugins plugin "Nope" is unknown' });
  assert.throws(() => admissionSwitches("Priority,PodSecurity", "PodSecurity,Priority"), {
    message: "[PodSecurity Priority] in enable-admission-plugins and disable-admission-plugins overlapped",
  });
});

test("each component that an option switches is there, and on or off as the table says", () => {
  for (const { component, on } of ADMISSION_PLUGINS) {
    if (component === undefined) continue;
    assert.ok((FIRST_PARTY_PLUGINS as readonly string[]).includes(component), component);
    assert.equal(OFF_BY_DEFAULT.has(component), !on, component);
  }
});
