/** For tests: declares objects in the API in memory, whatever was there under their name. */
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { type Client, TENANT_ANNOTATION, tenantOf } from "#sdk/client/port.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";

export interface ObjectApi {
  client: Client;
  put(resource: GroupVersionResource, object: KubeObject): Promise<void>;
  remove(resource: GroupVersionResource, object: KubeObject): Promise<void>;
}

export function createObjectApi(): ObjectApi {
  const { client } = createFakeApi();
  const bare = (object: KubeObject): KubeObject => {
    const { [TENANT_ANNOTATION]: _, ...annotations } = object.metadata.annotations ?? {};
    return { ...object, metadata: { ...object.metadata, annotations } };
  };
  return {
    client,
    async put(resource, object) {
      const tenant = client.tenant(tenantOf(object));
      const { name = "", namespace } = object.metadata;
      try {
        const { metadata } = await tenant.get(resource, { namespace, name });
        const next = {
          ...bare(object),
          metadata: { ...bare(object).metadata, uid: metadata.uid, resourceVersion: metadata.resourceVersion },
        };
        await tenant.update(resource, next);
        if ("status" in object)
          await tenant.update(
            resource,
            { ...next, metadata: { ...next.metadata, resourceVersion: undefined } },
            { subresource: "status" },
          );
      } catch (error) {
        if (!isReason(error, "NotFound")) throw error;
        await tenant.create(resource, bare(object));
      }
    },
    remove: (resource, object) =>
      client
        .tenant(tenantOf(object))
        .delete(resource, { namespace: object.metadata.namespace, name: object.metadata.name ?? "" }),
  };
}
