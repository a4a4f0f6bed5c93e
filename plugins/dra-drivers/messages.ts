/** The messages of dynamic resource allocation's node API (k8s.io/kubelet v0.36.3: dra/v1 and v1beta1, which are alike, and dra-health/v1alpha1), in the form of sdk/plugin/protobuf.ts. */
import { createCodec } from "#sdk/plugin/protobuf.ts";

export const { encode, decode } = createCodec({
  messages: {
    NodePrepareResourcesRequest: "1 claims *Claim",
    NodePrepareResourcesResponse: "1 claims {NodePrepareResourceResponse",
    NodePrepareResourceResponse: "1 devices *Device;2 error string",
    Device: "1 requestNames *string;2 poolName string;3 deviceName string;4 cdiDeviceIds *string;5 shareId string",
    NodeUnprepareResourcesRequest: "1 claims *Claim",
    NodeUnprepareResourcesResponse: "1 claims {NodeUnprepareResourceResponse",
    NodeUnprepareResourceResponse: "1 error string",
    Claim: "1 namespace string;2 uid string;3 name string",
    NodeWatchResourcesRequest: "",
    NodeWatchResourcesResponse: "1 devices *DeviceHealth",
    DeviceHealth:
      "1 device DeviceIdentifier;2 health HealthStatus;3 lastUpdatedTime int64;4 healthCheckTimeoutSeconds int64;5 message string",
    DeviceIdentifier: "1 poolName string;2 deviceName string",
  },
  enums: { HealthStatus: { 0: "UNKNOWN", 1: "HEALTHY", 2: "UNHEALTHY" } },
});
