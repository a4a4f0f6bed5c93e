/** The messages of dynamic resource allocation's node API (k8s.io/kubelet v0.36.3, dra/v1 and v1beta1, which are alike), in the form of sdk/plugin/protobuf.ts. */
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
  },
  enums: {},
});
