/** VolumeAttachments: a volume that shall be attached to a node. */
import type { VolumeAttachment } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { same, subdomain } from "../checks.ts";
import { validateVolumeSpec } from "../core/persistentvolumes/validation.ts";
import { validateDriverName } from "./csi.ts";

const SPEC: readonly GoField[] = [
  { go: "Attacher", json: "attacher", zero: "" },
  {
    go: "Source",
    json: "source",
    of: [
      { go: "PersistentVolumeName", json: "persistentVolumeName" },
      { go: "InlineVolumeSpec", json: "inlineVolumeSpec" },
    ],
  },
  { go: "NodeName", json: "nodeName", zero: "" },
];
const ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

function validate({ spec }: VolumeAttachment): Causes {
  const { persistentVolumeName: name, inlineVolumeSpec: inline } = spec?.source ?? {};
  const causes = validateDriverName(spec?.attacher, "spec.attacher");
  if (name === undefined && inline === undefined) causes.push(required("spec.source", ONE_SOURCE));
  else if (name !== undefined && inline !== undefined) causes.push(forbiddenField("spec.source", ONE_SOURCE));
  else if (name === "")
    causes.push(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"));
  else if (inline) causes.push(...validateVolumeSpec(inline, "spec.source.inlineVolumeSpec", { inline: true }));
  causes.push(...subdomain(spec?.nodeName, "spec.nodeName"));
  if (name !== undefined) causes.push(...subdomain(name, "spec.source.persistentVolumeName"));
  return causes;
}

export const volumeAttachmentStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    returnsDeletedObject: true,
    allowUnconditionalUpdate: false,
    validate: (object) => validate(as<VolumeAttachment>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<VolumeAttachment>(next)),
      ...(same(as<VolumeAttachment>(next).spec, as<VolumeAttachment>(old).spec)
        ? []
        : [invalidValue("spec", goValue(as<VolumeAttachment>(next).spec, SPEC), "field is immutable")]),
    ],
  });
