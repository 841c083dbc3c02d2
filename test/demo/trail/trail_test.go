package trail

import (
	"strings"
	"testing"
)

const log = `{"type":"checkpoint","size":0,"note":"signed"}
{"time":"2026-01-01T00:00:00Z","type":"request","request":{"id":"1","operation":"update","path":"auth/kubernetes/login","data":{"jwt":"hmac-sha256:aa","role":"hmac-sha256:bb"}}}
{"type":"response","request":{"id":"1","operation":"update","path":"auth/kubernetes/login"},"error":"service account name not authorized"}
{"type":"request","auth":{"metadata":{"service_account_name":"my-app","service_account_namespace":"shop"}},"request":{"id":"2","operation":"read","path":"secret/data/my-app/config"}}
{"type":"response","auth":{"display_name":"shop-my-app","metadata":{"service_account_name":"my-app","service_account_namespace":"shop"}},"request":{"id":"2","operation":"read","path":"secret/data/my-app/config"},"response":{"data":{"data":{"password":"hmac-sha256:cc"}}}}
{"type":"response","auth":{"display_name":"shop-my-app","metadata":{"service_account_name":"my-app","service_account_namespace":"shop"}},"request":{"id":"3","operation":"read","path":"secret/data/my-app/config"}}
{"type":"request","auth":{"display_name":"root"},"request":{"id":"4","operation":"update","path":"sys/mounts/kv"}}
`

func TestRead(t *testing.T) {
	trail, err := Read(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if trail.Lines != 6 || trail.Checkpoints != 1 || trail.Hashed != 3 || trail.Unanswered != 1 {
		t.Errorf("%d lines, %d checkpoints, %d hashed, %d unanswered; want 6, 1, 3, 1", trail.Lines, trail.Checkpoints, trail.Hashed, trail.Unanswered)
	}
	reads := func(a Access) bool { return a.Who == "shop/my-app" && a.Path == "secret/data/my-app/config" }
	if n := trail.Count(reads); n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
	refused := trail.Find(func(a Access) bool { return a.Error != "" })
	want := Access{Operation: "update", Path: "auth/kubernetes/login", Error: "service account name not authorized"}
	if len(refused) != 1 || refused[0] != want {
		t.Errorf("refused: %+v", refused)
	}
	if all := trail.Find(func(Access) bool { return true }); len(all) != 2 || all[0] != want {
		t.Errorf("in order: %+v", all)
	}
}

func TestBrokenLogs(t *testing.T) {
	for name, content := range map[string]string{
		"half a line": `{"type":"request","request":{"id":"1"}}` + "\n" + `{"type":"respo`,
		"not JSON":    "time=now\n",
		"other type":  `{"type":"note"}`,
		"other shape": `{"type":"request","request":"x"}`,
	} {
		if _, err := Read(strings.NewReader(content)); err == nil || !strings.Contains(err.Error(), "audit line") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if trail, err := Read(strings.NewReader("")); err != nil || trail.Lines != 0 {
		t.Errorf("empty log: %+v, %v", trail, err)
	}
}
