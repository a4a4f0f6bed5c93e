/** Which container has which devices, for the node's monitoring (API podresources/v1, at the node's pod-resources/kubelet.sock). */
import { join } from "node:path";
import type { Container } from "#sdk/api/generated/types.ts";
import { createCodec, type Message } from "#sdk/plugin/protobuf.ts";
import { isSidecar } from "../cgroups.ts";
import type { NodePod } from "../context.ts";
import { type GrpcServer, serveGrpc } from "../grpc-server.ts";
import type { DeviceManager } from "./manager.ts";

const codec = createCodec({
  messages: {
    Empty: "",
    ListPodResourcesResponse: "1 podResources *PodResources",
    AllocatableResourcesResponse: "1 devices *ContainerDevices",
    PodResources: "1 name string;2 namespace string;3 containers *ContainerResources",
    ContainerResources: "1 name string;2 devices *ContainerDevices;5 dynamicResources *DynamicResource",
    ContainerDevices: "1 resourceName string;2 deviceIds *string;3 topology TopologyInfo",
    DynamicResource: "2 claimName string;3 claimNamespace string;4 claimResources *ClaimResource",
    ClaimResource: "1 cdiDevices *CDIDevice;2 driverName string;3 poolName string;4 deviceName string",
    CDIDevice: "1 name string",
    TopologyInfo: "1 nodes *NUMANode",
    NUMANode: "1 ID int64",
    GetPodResourcesRequest: "1 podName string;2 podNamespace string",
    GetPodResourcesResponse: "1 podResources PodResources",
  },
  enums: {},
});

export interface ListedDevice {
  resource: string;
  id: string;
  numaNodes: readonly number[];
}

/** A claim of which a container has something, with all of its devices. */
export interface ListedClaim {
  name: string;
  namespace: string;
  devices: readonly { driver: string; pool: string; device: string; cdiDevices: readonly string[] }[];
}

const claimMessage = ({ name, namespace, devices }: ListedClaim): Message => ({
  claimName: name,
  claimNamespace: namespace,
  claimResources: devices.map(({ driver, pool, device, cdiDevices }) => ({
    cdiDevices: cdiDevices.map((one) => ({ name: one })),
    driverName: driver,
    poolName: pool,
    deviceName: device,
  })),
});

const deviceMessage = ({ resource, id, numaNodes }: ListedDevice): Message => ({
  resourceName: resource,
  deviceIds: [id],
  ...(numaNodes.length > 0 ? { topology: { nodes: numaNodes.map((ID) => ({ ID })) } } : {}),
});

/** `pods`: those that have resources now. */
export function servePodResources(
  nodeDirectory: string,
  devices: Pick<DeviceManager, "of" | "allocatable">,
  pods: () => readonly NodePod[],
  claims: (pod: NodePod, container: Container) => readonly ListedClaim[],
): Promise<GrpcServer> {
  const resourcesOf = (pod: NodePod): Message => {
    const { metadata, spec } = pod;
    const containers = [...(spec.initContainers ?? []).filter(isSidecar), ...spec.containers];
    return {
      name: metadata.name,
      namespace: metadata.namespace,
      containers: containers.map((container) => ({
        name: container.name,
        devices: devices.of(metadata.uid, container.name).map(deviceMessage),
        dynamicResources: claims(pod, container).map(claimMessage),
      })),
    };
  };
  return serveGrpc(join(nodeDirectory, "pod-resources", "kubelet.sock"), codec, {
    "v1.PodResourcesLister": {
      List: {
        request: "Empty",
        response: "ListPodResourcesResponse",
        answer: () => ({ podResources: pods().map(resourcesOf) }),
      },
      GetAllocatableResources: {
        request: "Empty",
        response: "AllocatableResourcesResponse",
        answer: () => ({ devices: devices.allocatable().map(deviceMessage) }),
      },
      Get: {
        request: "GetPodResourcesRequest",
        response: "GetPodResourcesResponse",
        answer({ podName = "", podNamespace = "" }) {
          const pod = pods().find(({ metadata }) => metadata.name === podName && metadata.namespace === podNamespace);
          if (pod === undefined)
            throw new Error(`pod ${String(podName)} in namespace ${String(podNamespace)} not found`);
          return { podResources: resourcesOf(pod) };
        },
      },
    },
  });
}
