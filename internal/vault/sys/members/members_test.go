package members_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatal("not within a minute: ", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// cluster is of n servers that form one, not initialised.
func cluster(t *testing.T, names ...string) []*testenv.Vault {
	t.Helper()
	key := filepath.Join(t.TempDir(), "cluster.key")
	check(t, os.WriteFile(key, []byte(strings.Repeat("0f", 32)+"\n"), 0o600))
	members := make([]string, len(names))
	listen := make([]string, len(names))
	for i, name := range names {
		p, err := port.Free(port.Host())
		check(t, err)
		listen[i] = net.JoinHostPort(port.Host(), strconv.Itoa(p))
		members[i] = name + "=https://" + listen[i]
	}
	all := make([]*testenv.Vault, len(names))
	var starting sync.WaitGroup // each waits for the others
	for i, name := range names {
		starting.Go(func() {
			all[i] = testenv.New(t, func(c *app.ServerConfig) {
				c.Storage, c.NodeName = "cluster", name
				c.ClusterNode, c.ClusterMembers, c.ClusterListen, c.ClusterKeyFile = name, members, listen[i], key
			})
		})
	}
	starting.Wait()
	for _, v := range all {
		if v == nil {
			t.Fatal("a server did not start")
		}
	}
	return all
}

func unseal(t *testing.T, all []*testenv.Vault) {
	t.Helper()
	made, err := all[0].Sys().Init(&vault.InitRequest{SecretShares: testenv.Shares, SecretThreshold: testenv.Threshold})
	check(t, err)
	for _, v := range all {
		v.Root, v.Shares = made.RootToken, made.Keys
		v.SetToken(v.Root)
		v.Unseal()
	}
}

// Three servers, one vault: listed, asked for their state by the official client, and one is
// removed, which ends it and nothing else.
func TestThreeServers(t *testing.T) {
	all := cluster(t, "a", "b", "c")
	unseal(t, all)
	check(t, all[0].Sys().Mount("kv/", &vault.MountInput{Type: "kv"}))
	eventually(t, "what one mounts another serves", func() bool {
		_, err := all[1].Logical().Write("kv/x", map[string]any{"k": "v"})
		return err == nil
	})
	eventually(t, "what one writes another reads", func() bool {
		s, err := all[2].Logical().Read("kv/x")
		return err == nil && s != nil && s.Data["k"] == "v"
	})
	eventually(t, "three healthy voters are listed, one of which leads", func() bool {
		s, err := all[1].Logical().Read("sys/storage/raft/configuration")
		if err != nil {
			return false
		}
		leaders, healthy := 0, 0
		servers := s.Data["config"].(map[string]any)["servers"].([]any)
		for _, one := range servers {
			m := one.(map[string]any)
			if m["leader"] == true {
				leaders++
			}
			if m["voter"] == true && m["healthy"] == true && slices.Contains([]string{"a", "b", "c"}, m["node_id"].(string)) {
				healthy++
			}
		}
		return len(servers) == 3 && leaders == 1 && healthy == 3
	})
	eventually(t, "autopilot's state is healthy", func() bool {
		state, err := all[0].Sys().RaftAutopilotState()
		return err == nil && state.Healthy && state.FailureTolerance == 1 && len(state.Voters) == 3 && state.Servers[state.Leader].Status == "leader"
	})
	weak := all[0].NewClient(all[0].Policy("weak", `path "sys/storage/*" { capabilities = ["read", "update"] }`))
	if _, err := weak.Logical().Read("sys/storage/raft/configuration"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("without sudo: %v", err)
	}
	if _, err := all[0].Logical().Write("sys/storage/raft/remove-peer", map[string]any{"server_id": "none"}); err == nil || !strings.Contains(err.Error(), "no member") {
		t.Errorf("%v", err)
	}
	metrics, err := all[0].Logical().ReadRaw("sys/metrics")
	check(t, err)
	defer func() { _ = metrics.Body.Close() }()
	text, err := io.ReadAll(metrics.Body)
	check(t, err)
	for _, want := range []string{"strongkeep_cluster_voters 3", "strongkeep_cluster_full 0", "strongkeep_cluster_quota_bytes 8.589934592e+09"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics do not say %q", want)
		}
	}
	alerts, err := os.ReadFile("../../../../deploy/server/alerts-cluster.yaml")
	check(t, err)
	asked := regexp.MustCompile(`strongkeep_cluster_[a-z_]+`).FindAllString(string(alerts), -1)
	if len(asked) < 6 {
		t.Errorf("the alerts ask for %q only", asked)
	}
	for _, name := range asked {
		if !strings.Contains(string(text), "\n"+name+" ") {
			t.Errorf("an alert asks for %s, which there is not", name)
		}
	}
}

// Whoever probes a server, or asks for its members, is told that its quota is near.
func TestQuota(t *testing.T) {
	v := cluster(t, "a")[0]
	unseal(t, []*testenv.Vault{v})
	warnings := func() any {
		answer, err := v.Logical().ReadRaw("sys/health")
		check(t, err)
		defer func() { _ = answer.Body.Close() }()
		var body map[string]any
		check(t, answer.DecodeJSON(&body))
		return body["warnings"]
	}
	if w := warnings(); w != nil {
		t.Errorf("a member that has room: %v", w)
	}
	v.Config.ClusterQuota = 3 << 20
	v.Restart()
	v.Unseal()
	check(t, v.Sys().Mount("kv/", &vault.MountInput{Type: "kv"}))
	n := 0
	eventually(t, "a warning", func() bool {
		n++
		_, err := v.Logical().Write("kv/"+strconv.Itoa(n), map[string]any{"k": strings.Repeat("v", 256<<10)})
		check(t, err)
		<-time.After(200 * time.Millisecond) // the file grows each 100 ms: by less than a fifth of the quota at once
		return warnings() != nil
	})
	if text := fmt.Sprint(warnings()); !strings.Contains(text, "of the 3 MiB of cluster_quota") {
		t.Error(text)
	}
	s, err := v.Logical().Read("sys/storage/raft/configuration")
	check(t, err)
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "cluster_quota") {
		t.Errorf("%q", s.Warnings)
	}
}

// A single member is a cluster that may grow.
func TestOneServer(t *testing.T) {
	v := cluster(t, "a")[0]
	unseal(t, []*testenv.Vault{v})
	state, err := v.Sys().RaftAutopilotState()
	check(t, err)
	if !state.Healthy || state.FailureTolerance != 0 || state.Leader != "a" {
		t.Errorf("%+v", state)
	}
	v.Restart()
	v.Unseal()
	if _, err := v.Sys().RaftAutopilotState(); err != nil {
		t.Error(err)
	}
}
