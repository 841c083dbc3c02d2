package member_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

func look(t *testing.T, cfg member.Config) peer.Sight {
	t.Helper()
	s, err := member.Look(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Who has the configuration and the key is told what is left of a cluster: with a majority, without one, by
// the nodes that are there, and of none. Nothing is written.
func TestLook(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	elsewhere := all[1]
	elsewhere.Dir = t.TempDir()
	if s := look(t, elsewhere); s.By != "b" || s.Leader == "" || s.There != 3 || s.Voters != 3 || len(s.Nodes) != 3 {
		t.Errorf("%+v", s)
	}
	for _, m := range nodes[1:] {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the last node sees no leader", func() bool { return look(t, elsewhere).Leader == "" })
	s := look(t, elsewhere)
	if s.By != "a" || s.There != 1 || s.Voters != 3 || s.Majority() != 2 || s.Nodes[0].Says != "sees no leader" || !strings.Contains(s.Nodes[1].Says, "refused") {
		t.Errorf("without a majority: %+v", s)
	}
	other := elsewhere
	other.Key = redact.New([]byte(strings.Repeat("other-ke", 4)))
	if s := look(t, other); s.By != "" || s.There != 0 || !strings.Contains(s.Nodes[0].Says, "certificate") {
		t.Errorf("with another key: %+v", s)
	}
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	if s := look(t, elsewhere); s.By != "" || len(s.Nodes) != 3 || s.Nodes[0].Member {
		t.Errorf("nobody answers: %+v", s)
	}
	if files, err := os.ReadDir(elsewhere.Dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// Who asks each 300 ms to be taken in, and is refused, is told of once.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	var said buffer.Buffer
	for i := range all {
		all[i].Log = slog.New(slog.NewTextHandler(&said, nil))
	}
	together(t, all)
	twin := all[2]
	moved := list(t, 1)[0]
	twin.Dir, twin.Listen = moved.Dir, moved.Listen
	twin.Peers = []member.Peer{twin.Peers[0], twin.Peers[1], {Name: "c", URL: moved.Peers[0].URL}}
	twin.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := member.Open(ctx, twin); err == nil {
		t.Fatal("two nodes have one name")
	}
	if n := strings.Count(said.String(), "a node is not taken into the cluster"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

// Nodes of one list may have come to be of two clusters, by a snapshot that was restored beside old data: the
// smaller part does not start, and the larger one says so.
func TestOfAnotherCluster(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	lone, pair := all[2], []member.Config{all[0], all[1]}
	lone.Peers = all[0].Peers[2:]
	for i := range pair {
		pair[i].Peers = all[0].Peers[:2]
	}
	if err := open(t, lone).Close(); err != nil {
		t.Fatal(err)
	}
	two := together(t, pair)
	_, err := try(t, all[2])
	wantKind(t, err, errs.Invalid, "2 of the other nodes are of another cluster")
	open(t, lone)
	if err := two[0].Close(); err != nil {
		t.Fatal(err)
	}
	var said buffer.Buffer
	all[0].Log = slog.New(slog.NewTextHandler(&said, nil))
	open(t, all[0])
	if !strings.Contains(said.String(), "there may be two vaults") {
		t.Error("nothing is said of the other cluster")
	}
}
