// Command client-go exercises the API through client-go as programs use it: typed calls in protobuf, an informer, the dynamic client
// and leader election. It prints one line a step and exits with 1 at the first that fails.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const namespace = "default"

func must(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
	fmt.Println(step)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	plain, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must("kubeconfig", err)
	config := *plain
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(&config)
	must("client", err)

	events := make(chan string, 100)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	name := func(object any) string { key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object); return key }
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { events <- "add " + name(object) },
		UpdateFunc: func(_, object any) { events <- "update " + name(object) },
		DeleteFunc: func(object any) { events <- "delete " + name(object) },
	})
	must("informer", err)
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		must("informer synced", ctx.Err())
	}
	await := func(wanted string) {
		for {
			select {
			case event := <-events:
				if event == wanted {
					must("event: "+wanted, nil)
					return
				}
			case <-ctx.Done():
				must("event: "+wanted, ctx.Err())
			}
		}
	}

	maps := client.CoreV1().ConfigMaps(namespace)
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "from-go"},
		Data:       map[string]string{"a": "b"},
		BinaryData: map[string][]byte{"bytes": {0, 255}},
	}, metav1.CreateOptions{})
	must("created in protobuf", err)
	await("add default/from-go")
	made.Data["a"] = "c"
	_, err = maps.Update(ctx, made, metav1.UpdateOptions{})
	must("updated in protobuf", err)
	await("update default/from-go")
	_, err = maps.Get(ctx, "absent", metav1.GetOptions{})
	if err == nil || err.Error() != `configmaps "absent" not found` {
		must("the error of what is absent", fmt.Errorf("got %v", err))
	}

	untyped, err := dynamic.NewForConfig(plain)
	must("dynamic client", err)
	resource := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	object, err := untyped.Resource(resource).Namespace(namespace).Get(ctx, "from-go", metav1.GetOptions{})
	must("read by the dynamic client", err)
	if value, _, _ := unstructured.NestedString(object.Object, "data", "a"); value != "c" {
		must("the dynamic client's object", fmt.Errorf("data.a is %q", value))
	}
	must("deleted by the dynamic client", untyped.Resource(resource).Namespace(namespace).Delete(ctx, "from-go", metav1.DeleteOptions{}))
	await("delete default/from-go")

	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, "from-go",
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: "me"})
	must("lock", err)
	led := make(chan struct{})
	leading, resign := context.WithCancel(ctx)
	go leaderelection.RunOrDie(leading, leaderelection.LeaderElectionConfig{
		Lock: lock, ReleaseOnCancel: true,
		LeaseDuration: 10 * time.Second, RenewDeadline: 5 * time.Second, RetryPeriod: time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(led) },
			OnStoppedLeading: func() {},
		},
	})
	select {
	case <-led:
		must("leading", nil)
	case <-ctx.Done():
		must("leading", ctx.Err())
	}
	resign()
}
