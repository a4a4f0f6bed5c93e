"""The official Python client: typed and dynamic, a watch, patches, a custom resource. Reads KUBECONFIG."""

from kubernetes import client, config, dynamic, watch

config.load_kube_config()
core = client.CoreV1Api()
apps = client.AppsV1Api()

before = core.list_namespaced_config_map("default").metadata.resource_version
core.create_namespaced_config_map(
    "default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="from-python"), data={"a": "b"})
)
core.patch_namespaced_config_map("from-python", "default", {"data": {"a": "c"}})
core.delete_namespaced_config_map("from-python", "default")
seen = []
for event in watch.Watch().stream(
    core.list_namespaced_config_map, "default", resource_version=before, timeout_seconds=30
):
    if event["object"].metadata.name == "from-python":
        seen.append(event["type"])
    if seen and seen[-1] == "DELETED":
        break
assert seen == ["ADDED", "MODIFIED", "DELETED"], seen

template = {
    "metadata": {"labels": {"app": "python"}},
    "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}]},
}
apps.create_namespaced_deployment(
    "default",
    {
        "metadata": {"name": "python"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "python"}}, "template": template},
    },
)
apps.patch_namespaced_deployment_scale("python", "default", {"spec": {"replicas": 0}})
assert apps.read_namespaced_deployment("python", "default").spec.strategy.type == "RollingUpdate"
apps.delete_namespaced_deployment("python", "default")

try:
    core.read_namespaced_config_map("absent", "default")
    raise AssertionError("an absent object was found")
except client.ApiException as refused:
    assert refused.status == 404, refused

schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
client.ApiextensionsV1Api().create_custom_resource_definition(
    {
        "metadata": {"name": "pythons.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "pythons", "singular": "python", "kind": "Python", "listKind": "PythonList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
)
for event in watch.Watch().stream(
    client.ApiextensionsV1Api().list_custom_resource_definition, timeout_seconds=30
):
    conditions = event["object"].status.conditions or []
    if any(c.type == "Established" and c.status == "True" for c in conditions):
        break
pythons = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="example.org/v1", kind="Python")
pythons.create(
    namespace="default",
    body={"apiVersion": "example.org/v1", "kind": "Python", "metadata": {"name": "one"}, "spec": {"size": 3}},
)
assert pythons.get(namespace="default", name="one").spec.size == 3
client.ApiextensionsV1Api().delete_custom_resource_definition("pythons.example.org")
print("done")
