/**
 * Component admission from the first request on: between listening and the plugins being loaded, a write that an enabled plugin asks to see
 * waits for it, and is refused when it does not come in time. The server's own first objects and the Plugin objects themselves pass, so that
 * the loading cannot wait for itself.
 */
import type { TenantId } from "#platform/store/port.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import type { AdmissionHook, ComponentAdmission } from "./chain.ts";

/** An enabled plugin that would be asked about a request. */
export interface ExpectedPlugin {
  name: string;
  failurePolicy: "Fail" | "Ignore";
}

export interface GateOptions {
  components: ComponentAdmission;
  /** Resolves once the components are loaded; never rejects. */
  loaded: Promise<void>;
  /** Read from the store: the plugins are not loaded yet. */
  expected(attributes: AdmissionAttributes): Promise<readonly ExpectedPlugin[]>;
  waitMs: number;
}

const RETRY_SECONDS = 2;

const isExempt = ({ resource, user }: AdmissionAttributes): boolean =>
  (resource.group === "capstan.dev" && resource.resource === "plugins") || user.name === "system:apiserver";

export function untilLoaded({ components, loaded, expected, waitMs }: GateOptions): ComponentAdmission {
  let isLoaded = false;
  void loaded.then(() => {
    isLoaded = true;
  });

  async function inTime(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs);
    });
    await Promise.race([loaded, late]);
    clearTimeout(timer);
  }

  async function hooksOnceLoaded(tenant: TenantId, attributes: AdmissionAttributes): Promise<readonly AdmissionHook[]> {
    const wanted = await expected(attributes);
    if (wanted.length > 0) await inTime();
    const needed = isLoaded ? undefined : wanted.find(({ failurePolicy }) => failurePolicy === "Fail");
    if (needed) {
      const message = `admission plugin ${JSON.stringify(needed.name)} is not loaded yet`;
      throw new StatusError(503, "ServiceUnavailable", message, { retryAfterSeconds: RETRY_SECONDS });
    }
    return components.hooks(tenant, attributes);
  }

  return {
    hooks: (tenant, attributes) =>
      isLoaded || isExempt(attributes) ? components.hooks(tenant, attributes) : hooksOnceLoaded(tenant, attributes),
  };
}
