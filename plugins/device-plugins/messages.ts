/** The messages of the device plugin API (k8s.io/kubelet v0.36.3, deviceplugin/v1beta1), in the form of sdk/plugin/protobuf.ts. */
import { createCodec } from "#sdk/plugin/protobuf.ts";

export const { encode, decode } = createCodec({
  messages: {
    Empty: "",
    DevicePluginOptions: "1 preStartRequired bool;2 getPreferredAllocationAvailable bool",
    RegisterRequest: "1 version string;2 endpoint string;3 resourceName string;4 options DevicePluginOptions",
    ListAndWatchResponse: "1 devices *Device",
    Device: "1 ID string;2 health string;3 topology TopologyInfo",
    TopologyInfo: "1 nodes *NUMANode",
    NUMANode: "1 ID int64",
    PreStartContainerRequest: "1 devicesIds *string",
    PreStartContainerResponse: "",
    PreferredAllocationRequest: "1 containerRequests *ContainerPreferredAllocationRequest",
    ContainerPreferredAllocationRequest:
      "1 availableDeviceIDs *string;2 mustIncludeDeviceIDs *string;3 allocationSize int32",
    PreferredAllocationResponse: "1 containerResponses *ContainerPreferredAllocationResponse",
    ContainerPreferredAllocationResponse: "1 deviceIDs *string",
    AllocateRequest: "1 containerRequests *ContainerAllocateRequest",
    ContainerAllocateRequest: "1 devicesIds *string",
    AllocateResponse: "1 containerResponses *ContainerAllocateResponse",
    ContainerAllocateResponse:
      "1 envs {string;2 mounts *Mount;3 devices *DeviceSpec;4 annotations {string;5 cdiDevices *CDIDevice",
    Mount: "1 containerPath string;2 hostPath string;3 readOnly bool",
    DeviceSpec: "1 containerPath string;2 hostPath string;3 permissions string",
    CDIDevice: "1 name string",
  },
  enums: {},
});
