/** An admission component that refuses images from elsewhere. */
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";

interface Shown {
  spec: { containers: { image: string }[] };
}

export const admission = defineAdmission({
  validate({ object }) {
    const { containers } = (JSON.parse(object) as Shown).spec;
    for (const { image } of containers)
      if (!image.startsWith("registry.example/")) throw deny(`an image from elsewhere: ${image}`);
    return [];
  },
});
