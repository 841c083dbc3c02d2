package backend

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

func from(addresses ...string) (out []target.Session) {
	for _, a := range addresses {
		out = append(out, target.Session{Address: a})
	}
	return out
}

func pods(ips ...string) (out []consumer.Pod) {
	for i, ip := range ips {
		out = append(out, consumer.Pod{UID: types.UID(fmt.Sprint(i)), IP: ip})
	}
	return out
}

func TestMatch(t *testing.T) {
	host := pods("10.0.0.9")
	host[0].HostNetwork = true
	far := pods("10.0.0.1")
	far[0].Cluster = "east"
	for _, tc := range []struct {
		name string
		pods []consumer.Pod
		seen target.Sessions
		want evidence.Answer // of the first pod
		text string
	}{
		{"of another cluster", far, target.Sessions{New: from("10.0.0.1")}, evidence.Unknown, "another cluster"},
		{"new only", pods("10.0.0.1", "10.0.0.2"), target.Sessions{New: from("10.0.0.1", "10.0.0.1")}, evidence.Yes, "2 sessions on the new"},
		{"old only", pods("10.0.0.1"), target.Sessions{Old: from("10.0.0.1")}, evidence.No, "1 session on the old"},
		{"both", pods("10.0.0.1"), target.Sessions{New: from("10.0.0.1", "10.0.0.1"), Old: from("10.0.0.1")}, evidence.No, "on the old"},
		{"another's old one", pods("10.0.0.1"), target.Sessions{New: from("10.0.0.1"), Old: from("10.0.0.2")}, evidence.Yes, ""},
		{"none", pods("10.0.0.1"), target.Sessions{New: from("10.0.0.2")}, evidence.Unknown, "no session"},
		{"behind a proxy", pods("10.0.0.1"), target.Sessions{New: from("10.9.9.9"), Partial: "addresses: behind a proxy"}, evidence.Unknown, "behind a proxy"},
		{"sessions without address", pods("10.0.0.1"), target.Sessions{New: from(""), Old: from("", "[local]")}, evidence.Unknown, "no session"},
		{"pod without address", pods(""), target.Sessions{New: from("")}, evidence.Unknown, "no address yet"},
		{"IPv4 within IPv6", pods("10.0.0.1"), target.Sessions{New: from("::ffff:10.0.0.1")}, evidence.Yes, ""},
		{"IPv6 in two spellings", pods("fd00::1"), target.Sessions{Old: from("fd00:0:0::0001")}, evidence.No, ""},
		{"IPv6 with a zone", pods("fe80::1"), target.Sessions{New: from("fe80::1%eth0")}, evidence.Yes, ""},
		{"host network, new", host, target.Sessions{New: from("10.0.0.9")}, evidence.Unknown, "node's address"},
		{"host network, old", host, target.Sessions{Old: from("10.0.0.9")}, evidence.Unknown, "node's address"},
		{"two pods, one address", pods("10.0.0.1", "10.0.0.1"), target.Sessions{New: from("10.0.0.1")}, evidence.Unknown, "2 pods"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Match(tc.pods, tc.seen)
			if len(got) != len(tc.pods) {
				t.Errorf("%d words for %d pods", len(got), len(tc.pods))
			}
			if w := got["0"]; w.Answer != tc.want || !strings.Contains(w.Text, tc.text) {
				t.Errorf("%s %q, want %s %q", w.Answer, w.Text, tc.want, tc.text)
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("10.0.0.1", "10.0.0.1", "")
	f.Add("::1", "::ffff:1.2.3.4", "fe80::1%x")
	f.Fuzz(func(t *testing.T, ip, fresh, old string) {
		w := Match(pods(ip), target.Sessions{New: from(fresh), Old: from(old)})["0"]
		if w.Answer == evidence.Yes && (ip == "" || fresh == "") {
			t.Error("proven by nothing")
		}
		if ip != "" && ip == old && w.Answer == evidence.Yes {
			t.Error("proven against an old session")
		}
	})
}
