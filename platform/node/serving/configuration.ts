/** What /configz shows: the kubelet's names for what this agent works with. */
import type { NodeSettings } from "../context.ts";
import { LOG_BYTES_MAX, LOG_FILES_MAX } from "../housekeeping.ts";

export const configurationOf = (settings: NodeSettings): object => ({
  port: settings.kubeletPort,
  address: settings.address,
  authentication: {
    x509: { clientCAFile: "ca.crt" },
    webhook: { enabled: true, cacheTTL: "2m0s" },
    anonymous: { enabled: false },
  },
  authorization: { mode: "Webhook", webhook: { cacheAuthorizedTTL: "5m0s", cacheUnauthorizedTTL: "30s" } },
  clusterDomain: settings.dns.domain,
  clusterDNS: [settings.dns.address],
  cgroupRoot: `/${settings.cgroupRoot}`,
  cgroupDriver: "cgroupfs",
  maxPods: settings.podsMax,
  nodeStatusUpdateFrequency: "10s",
  nodeStatusReportFrequency: "5m0s",
  nodeLeaseDurationSeconds: 40,
  containerLogMaxSize: `${LOG_BYTES_MAX >> 20}Mi`,
  containerLogMaxFiles: LOG_FILES_MAX,
});
