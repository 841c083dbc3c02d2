package settings

import (
	"reflect"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

func TestSetPeers(t *testing.T) {
	got, err := SetPeers("vault-a-2", 3, "peers.ns.svc", "2380")
	want := []member.Peer{
		{Name: "vault-a-0", URL: "https://vault-a-0.peers.ns.svc:2380"}, {Name: "vault-a-1", URL: "https://vault-a-1.peers.ns.svc:2380"}, {Name: "vault-a-2", URL: "https://vault-a-2.peers.ns.svc:2380"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, host := range []string{"", "vault", "vault-", "-0", "vault-x", "vault-1a"} {
		if _, err := SetPeers(host, 3, "s", "1"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, size := range []int{0, 10} {
		if _, err := SetPeers("vault-0", size, "s", "1"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

func TestParsePeers(t *testing.T) {
	got, err := ParsePeers([]string{" a=https://h:1/", "b=https://[::1]:2"})
	if err != nil || !reflect.DeepEqual(got, []member.Peer{{Name: "a", URL: "https://h:1"}, {Name: "b", URL: "https://[::1]:2"}}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParsePeers([]string{"https://h:1"}); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}
