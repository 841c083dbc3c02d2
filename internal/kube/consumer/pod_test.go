package consumer

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestFailing(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ status, want string }{
		"running":           {"{containerStatuses: [{name: c, ready: true, restartCount: 3, state: {running: {}}, lastState: {terminated: {exitCode: 1}}}]}", ""},
		"being made":        {"{containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}", ""},
		"crash loop":        {"{containerStatuses: [{name: c, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff, message: back-off}}, lastState: {terminated: {exitCode: 2, reason: Error, message: canary-secret}}}]}", "container c: CrashLoopBackOff, 3 restarts, exit code 2"},
		"first crash":       {"{containerStatuses: [{name: c, state: {terminated: {exitCode: 1, reason: Error, message: canary-secret}}}]}", "container c: exit code 1"},
		"ended well":        {"{containerStatuses: [{name: c, state: {terminated: {exitCode: 0}}}]}", ""},
		"out of memory":     {"{containerStatuses: [{name: c, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]}", "container c: CrashLoopBackOff, 1 restart, OOMKilled"},
		"no image":          {"{containerStatuses: [{name: c, state: {waiting: {reason: ImagePullBackOff, message: 'https://user:canary@registry'}}}]}", "container c: ImagePullBackOff"},
		"no Secret":         {"{containerStatuses: [{name: c, state: {waiting: {reason: CreateContainerConfigError, message: secret \"db\" not found}}}]}", `container c: CreateContainerConfigError: secret "db" not found`},
		"init":              {"{initContainerStatuses: [{name: i, state: {waiting: {reason: CrashLoopBackOff}}}], containerStatuses: [{name: c, state: {waiting: {reason: PodInitializing}}}]}", "init container i: CrashLoopBackOff"},
		"not scheduled":     {"{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, lastTransitionTime: '2026-11-01T11:00:00Z'}]}", "not scheduled: Unschedulable since 2026-11-01T11:00:00Z"},
		"not scheduled yet": {"{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, lastTransitionTime: '2026-11-01T11:59:59Z'}]}", ""},
		"not ready":         {"{containerStatuses: [{name: a, ready: true, state: {running: {}}}, {name: b, state: {running: {}}}], conditions: [{type: Ready, status: 'False', lastTransitionTime: '2026-11-01T11:58:00Z'}]}", "not ready: container b since 2026-11-01T11:58:00Z"},
		"not ready yet":     {"{containerStatuses: [{name: b, state: {running: {}}}], conditions: [{type: Ready, status: 'False', lastTransitionTime: '2026-11-01T11:58:01Z'}]}", ""},
	} {
		p := &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte("status: "+c.status), p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, health := PodOf(p)
		got := health.At(now, 2*time.Minute)
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("%s: what the container said is told: %q", name, got)
		}
	}
}

// Only on its node's network does it matter which ports are a pod's own.
func TestPortsOfNodes(t *testing.T) {
	p := &corev1.Pod{}
	err := yaml.UnmarshalStrict([]byte(`
spec:
  hostNetwork: true
  initContainers:
  - {name: once, ports: [{containerPort: 1}]}
  - {name: sidecar, restartPolicy: Always, ports: [{containerPort: 2}]}
  containers:
  - {name: web, ports: [{containerPort: 3}, {containerPort: 4, protocol: UDP}, {containerPort: 5, protocol: TCP}]}
  - {name: more, ports: [{containerPort: 6}]}`), p)
	if err != nil {
		t.Fatal(err)
	}
	if pod, _ := PodOf(p); !slices.Equal(pod.Ports, []int32{2, 3, 5, 6}) {
		t.Errorf("ports %v", pod.Ports)
	}
	p.Spec.HostNetwork = false
	if pod, _ := PodOf(p); pod.Ports != nil {
		t.Errorf("ports %v of a pod with an address of its own", pod.Ports)
	}
}

func TestPodOf(t *testing.T) {
	p := &corev1.Pod{}
	err := yaml.UnmarshalStrict([]byte(`
metadata: {namespace: ns, name: p, uid: u, deletionTimestamp: '2026-11-01T11:00:00Z', creationTimestamp: '2026-11-01T10:00:00Z', annotations: {strongkeep.io/proof-port: "80", strongkeep.io/content: x, a: b}}
spec: {nodeName: n1}
status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, state: {waiting: {reason: CrashLoopBackOff}}}]}`), p)
	if err != nil {
		t.Fatal(err)
	}
	pod, health := PodOf(p)
	if pod.Namespace != "ns" || pod.Name != "p" || pod.UID != "u" || pod.Node != "n1" || pod.IP != "10.0.0.1" || !pod.Ready || !pod.Deleting ||
		pod.Stamp != "x" || len(pod.Annotations) != 2 || pod.Created.Hour() != 10 || pod.Kind.Kind != "Pod" {
		t.Errorf("got %+v", pod)
	}
	if why := health.At(pod.Created, 0); why != "" {
		t.Errorf("a pod that is being deleted counts as failing: %s", why)
	}
}

func TestEnded(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]bool{corev1.PodPending: false, corev1.PodRunning: false, corev1.PodSucceeded: true, corev1.PodFailed: true, corev1.PodUnknown: false, "": false} {
		if got := Ended(&corev1.Pod{Status: corev1.PodStatus{Phase: phase}}); got != want {
			t.Errorf("%q: %v", phase, got)
		}
	}
}
