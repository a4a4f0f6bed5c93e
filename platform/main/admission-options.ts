/**
 * `--enable-admission-plugins` and `--disable-admission-plugins`: upstream's names, in its order, and what stands behind each here: a rule of
 * the server, or a component (whose Plugin object is switched when the plugins are installed).
 */

interface Known {
  name: string;
  /** Enabled unless it is disabled. */
  on: boolean;
  /** The first-party plugin. */
  component?: string;
  /** Not built: it can be left off only. */
  absent?: boolean;
}

const rule = (name: string, on = true): Known => ({ name, on });
const component = (name: string, plugin: string, on = true): Known => ({ name, on, component: plugin });
const absent = (name: string): Known => ({ name, on: false, absent: true });

export const ADMISSION_PLUGINS: readonly Known[] = [
  rule("AlwaysAdmit", false),
  absent("NamespaceAutoProvision"),
  rule("NamespaceLifecycle"),
  rule("NamespaceExists", false),
  component("LimitPodHardAntiAffinityTopology", "limit-anti-affinity", false),
  component("LimitRanger", "limit-ranger"),
  rule("ServiceAccount"),
  // Off in upstream, where those who install a cluster turn it on with the node authorizer, which is on here.
  component("NodeRestriction", "node-restriction"),
  rule("TaintNodesByCondition"),
  component("AlwaysPullImages", "always-pull-images", false),
  absent("ImagePolicyWebhook"),
  component("PodSecurity", "pod-security"),
  component("PodNodeSelector", "pod-node-selector", false),
  rule("Priority"),
  rule("DefaultTolerationSeconds"),
  absent("PodTolerationRestriction"),
  component("EventRateLimit", "event-rate-limit", false),
  component("ExtendedResourceToleration", "extended-resource-toleration", false),
  component("DefaultStorageClass", "default-storage-class"),
  rule("StorageObjectInUseProtection"),
  absent("PodGroupProtection"),
  rule("OwnerReferencesPermissionEnforcement", false),
  component("PersistentVolumeClaimResize", "claim-resize"),
  component("RuntimeClass", "runtime-class"),
  rule("CertificateApproval"),
  rule("CertificateSigning"),
  absent("ClusterTrustBundleAttest"),
  rule("CertificateSubjectRestriction"),
  component("DefaultIngressClass", "default-ingress-class"),
  component("DenyServiceExternalIPs", "deny-external-ips", false),
  rule("PodTopologyLabels"),
  absent("PodGroupWorkloadExists"),
  absent("NodeDeclaredFeatureValidator"),
  absent("JobValidation"),
  absent("PodResizeValidator"),
  rule("MutatingAdmissionPolicy"),
  rule("MutatingAdmissionWebhook"),
  rule("ValidatingAdmissionPolicy"),
  rule("ValidatingAdmissionWebhook"),
  rule("ResourceQuota"),
  rule("AlwaysDeny", false),
];

export interface AdmissionSwitches {
  /** Whether a rule of the server is in the chain; throws for a name that is none. */
  isOn(name: string): boolean;
  /** First-party plugins that the options switch: name → on. What is not there is its owner's to say. */
  components: ReadonlyMap<string, boolean>;
}

const namesOf = (value: string | undefined): string[] => (value ?? "").split(",").filter((name) => name !== "");

/** Throws an Error with upstream's words for what cannot be meant. */
export function admissionSwitches(enable: string | undefined, disable: string | undefined): AdmissionSwitches {
  const [on, off] = [namesOf(enable), namesOf(disable)];
  const byName = new Map(ADMISSION_PLUGINS.map((known) => [known.name, known]));
  for (const name of on) {
    if (!byName.has(name)) throw new Error(`enable-admission-plugins plugin ${JSON.stringify(name)} is unknown`);
    if (byName.get(name)?.absent)
      throw new Error(`enable-admission-plugins plugin ${JSON.stringify(name)} is not built`);
  }
  for (const name of off)
    if (!byName.has(name)) throw new Error(`disable-admission-plugins plugin ${JSON.stringify(name)} is unknown`);
  const both = on.filter((name) => off.includes(name)).sort();
  if (both.length > 0)
    throw new Error(`[${both.join(" ")}] in enable-admission-plugins and disable-admission-plugins overlapped`);
  const switched = (names: readonly string[], to: boolean) =>
    names.flatMap((name): [string, boolean][] => {
      const plugin = byName.get(name)?.component;
      return plugin === undefined ? [] : [[plugin, to]];
    });
  return {
    isOn(name) {
      const known = byName.get(name);
      if (!known) throw new Error(`no admission plugin ${name}`);
      return !off.includes(name) && (known.on || on.includes(name));
    },
    components: new Map([...switched(on, true), ...switched(off, false)]),
  };
}
