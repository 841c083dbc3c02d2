package activity_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/activity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// canary stands in bodies, which are never looked at.
const canary = "canary-2b71"

// event is one as an API server writes it.
func event(stage, user, verb, resource, namespace, name string, code int) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","stage":%q,"requestURI":"/api/v1/x","verb":%q,"user":{"username":%q,"groups":["system:authenticated"]},`+
		`"objectRef":{"resource":%q,"namespace":%q,"name":%q,"apiVersion":"v1"},"responseStatus":{"code":%d},"responseObject":{"data":{"a":%q}},"stageTimestamp":"2026-11-01T10:00:00.000000Z"}`,
		stage, verb, user, resource, namespace, name, code, canary)
}

func gather(t *testing.T, texts ...string) *snapshot.Activity {
	t.Helper()
	var l activity.Log
	for i, text := range texts {
		if err := l.Add(fmt.Sprintf("audit-%d.log", i), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	a := l.Activity()
	text, err := json.Marshal(a)
	if err != nil || strings.Contains(string(text), canary) {
		t.Errorf("%v: a value is kept: %s", err, text)
	}
	return a
}

// say is an act in one line.
func say(a snapshot.Act) string {
	where := strings.Trim(a.Namespace+"/"+a.Name, "/")
	what := strings.Trim(a.Group+" "+a.Resource+" "+a.Subresource+a.Path, " ")
	return fmt.Sprintf("%s %s %s %s %d-%d", a.User, a.Verb, what, where, a.Count, a.Denied)
}

func lines(a *snapshot.Activity) string {
	var out []string
	for _, act := range a.Acts {
		out = append(out, say(act))
	}
	return strings.Join(out, "\n")
}

func TestLines(t *testing.T) {
	get := event("ResponseComplete", "jane", "get", "secrets", "shop", "db", 200)
	for name, c := range map[string]struct{ text, want string }{
		"once for all its stages": {event("RequestReceived", "jane", "get", "secrets", "shop", "db", 200) + "\n" + get, "jane get secrets shop/db 1-0"},
		"counted":                 {get + "\n" + get + "\n" + event("ResponseComplete", "jane", "get", "secrets", "shop", "db", 404), "jane get secrets shop/db 3-0"},
		"denied":                  {event("ResponseComplete", "jane", "list", "secrets", "shop", "", 403), "jane list secrets shop 0-1"},
		"a watch once":            {event("ResponseStarted", "kubelet", "watch", "secrets", "shop", "db", 200) + "\n" + event("ResponseComplete", "kubelet", "watch", "secrets", "shop", "db", 200), "kubelet watch secrets shop/db 1-0"},
		"a name of a creation":    {event("ResponseComplete", "jane", "create", "secrets", "shop", "db", 201), "jane create secrets shop 1-0"},
		"a list of one name":      {strings.Replace(event("ResponseComplete", "jane", "list", "secrets", "shop", "", 200), `/api/v1/x`, `/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Ddb&limit=500`, 1), "jane list secrets shop/db 1-0"},
		"no resource":             {`{"stage":"ResponseComplete","requestURI":"/metrics?x=` + canary + `","verb":"get","user":{"username":"prom"},"stageTimestamp":"2026-11-01T10:00:00Z"}`, "prom get /metrics  1-0"},
		"somebody else":           {strings.Replace(get, `"objectRef"`, `"impersonatedUser":{"username":"system:serviceaccount:shop:robot","groups":["system:serviceaccounts"]},"objectRef"`, 1), "jane impersonate serviceaccounts shop/robot 1-0\nsystem:serviceaccount:shop:robot get secrets shop/db 1-0"},
		"a time before the line":  {"2026-11-01T10:00:00 kube-apiserver-audit-1 " + get, "jane get secrets shop/db 1-0"},
		"a webhook's list":        {`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + get + `,` + get + `]}`, "jane get secrets shop/db 2-0"},
		"CloudWatch":              {`{"events":[{"timestamp":1761991200000,"message":` + quoted(get) + `}],"searchedLogStreams":[]}`, "jane get secrets shop/db 1-0"},
		"CloudWatch, in lines":    {indent(t, `{"events":[{"message":`+quoted(get)+`}],"nextToken":"x"}`), "jane get secrets shop/db 1-0"},
		"Firehose":                {`{"logEvents":[{"id":"1","message":` + quoted(get) + `}]}`, "jane get secrets shop/db 1-0"},
		"AKS":                     {`{"records":[{"category":"kube-audit","properties":{"log":` + quoted(get) + `}}]}`, "jane get secrets shop/db 1-0"},
		"AKS, a line each":        {`{"category":"kube-audit","properties":{"log":` + quoted(get) + `,"stream":"stdout"}}`, "jane get secrets shop/db 1-0"},
		"GKE":                     {indent(t, `[{"protoPayload":{"methodName":"io.k8s.core.v1.secrets.get","resourceName":"core/v1/namespaces/shop/secrets/db","authenticationInfo":{"principalEmail":"jane@example.com"},"authorizationInfo":[{"granted":true}]},"timestamp":"2026-11-01T10:00:00Z"},{"protoPayload":{"methodName":"io.k8s.core.v1.pods.exec.create","resourceName":"core/v1/namespaces/shop/pods/web/exec","authenticationInfo":{"principalEmail":"jane@example.com"},"status":{"code":7}},"timestamp":"2026-11-01T10:00:00Z"}]`), "jane@example.com create pods exec shop/web 0-1\njane@example.com get secrets shop/db 1-0"},
		"an array":                {"[\n" + get + ",\n" + get + "]", "jane get secrets shop/db 2-0"},
	} {
		if got := lines(gather(t, c.text)); got != c.want {
			t.Errorf("%s:\n%s\nnot\n%s", name, got, c.want)
		}
	}
}

func quoted(text string) string {
	raw, _ := json.Marshal(text)
	return string(raw)
}

func indent(t *testing.T, text string) string {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Broken lines are counted, and the rest is read; also of what is compressed and cut off.
func TestBrokenLines(t *testing.T) {
	get := event("ResponseComplete", "jane", "get", "secrets", "shop", "db", 200)
	a := gather(t, get+"\nnonsense\n{\"a\":1}\n"+get[:100]+"\n\n"+get+"\n{\"verb\":\"get\",\"user\":{}}\n")
	if lines(a) != "jane get secrets shop/db 2-0" || a.Lost != 4 {
		t.Errorf("%s, %d lost", lines(a), a.Lost)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 3000 {
		_, _ = io.WriteString(z, get+"\n")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if a := gather(t, packed.String()); a.Acts[0].Count != 3000 || a.Lost != 0 {
		t.Errorf("of what is compressed: %+v", a)
	}
	if a := gather(t, packed.String()[:packed.Len()-20]); len(a.Acts) != 1 || a.Acts[0].Count == 0 || a.Acts[0].Count > 3000 || a.Lost == 0 {
		t.Errorf("of what was cut off: %+v", a)
	}
	if a := gather(t, "["+get+","+get[:50]); a.Acts[0].Count != 1 || a.Lost != 1 {
		t.Errorf("of an array cut off: %+v", a)
	}
	var l activity.Log
	if err := l.Add("x.log", strings.NewReader("root:x:0\n"+canary+"\n")); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), canary) {
		t.Errorf("what is no log: %v", err)
	}
}

// Names beyond a thousand are not told apart, counts stay whole; several logs are one.
func TestBounds(t *testing.T) {
	var one, two strings.Builder
	for i := range 1500 {
		fmt.Fprintln(&one, event("ResponseComplete", "gc", "delete", "pods", "shop", fmt.Sprintf("pod-%d", i), 200))
	}
	fmt.Fprintln(&two, strings.Replace(event("ResponseComplete", "gc", "delete", "pods", "shop", "last", 200), "2026-11-01", "2026-11-09", 1))
	a := gather(t, one.String(), two.String())
	sum, stars := 0, 0
	for _, act := range a.Acts {
		sum += act.Count
		if act.Name == "*" {
			stars = act.Count
		}
	}
	if len(a.Acts) != 1001 || sum != 1501 || stars != 501 {
		t.Errorf("%d kinds, %d in all, %d without a name", len(a.Acts), sum, stars)
	}
	if a.Place != "audit-0.log, audit-1.log" || a.To.Sub(a.From) != 8*24*time.Hour {
		t.Errorf("%s, from %s to %s", a.Place, a.From, a.To)
	}
}

func FuzzLog(f *testing.F) {
	get := event("ResponseComplete", "jane", "get", "secrets", "shop", "db", 200)
	for _, s := range []string{get, "[" + get + "]", "{\n\"items\":[" + get + "]}", `{"message":` + quoted(get) + `}`, `{"protoPayload":{"methodName":"io.k8s.core.v1.secrets.get","resourceName":"core/v1/namespaces/shop/secrets/db"},"timestamp":"2026-11-01T10:00:00Z"}`, "\x1f\x8b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l activity.Log
		if l.Add("f", bytes.NewReader(text)) != nil {
			return
		}
		for _, a := range l.Activity().Acts {
			if a.Count+a.Denied == 0 || a.Last.IsZero() {
				t.Errorf("%+v", a)
			}
		}
	})
}
