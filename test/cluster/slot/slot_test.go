package slot

import (
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
)

func TestNumbersShareNothing(t *testing.T) {
	ports := map[int]Number{}
	names := map[string]Number{}
	var subnets []netip.Prefix
	for n := range Number(count) {
		for _, p := range []int{n.APIPort(), n.EtcdPort(), n.EtcdPeerPort()} {
			if other, taken := ports[p]; taken {
				t.Errorf("port %d of %d and %d", p, other, n)
			}
			if p >= 32768 {
				t.Errorf("port %d of %d is in the ephemeral range", p, n)
			}
			ports[p] = n
		}
		for _, name := range []string{n.Device(), n.Cgroup()} {
			if other, taken := names[name]; taken {
				t.Errorf("%s of %d and %d", name, other, n)
			}
			names[name] = n
		}
		if len(n.Device()) > 15 {
			t.Errorf("the kernel refuses a device named %q", n.Device())
		}
		if !n.Link().Contains(n.HostIP()) || !n.Link().Contains(n.NodeIP()) {
			t.Errorf("link of %d", n)
		}
		for _, own := range []netip.Prefix{n.Link(), n.Pods(), n.Services()} {
			for _, other := range subnets {
				if own.Overlaps(other) {
					t.Fatalf("%v of %d overlaps %v", own, n, other)
				}
			}
			subnets = append(subnets, own)
		}
	}
}

func TestTakeGivesDifferentNumbers(t *testing.T) {
	a, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	b, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if a.Number == b.Number {
		t.Fatalf("both have %d", a.Number)
	}
}

func TestBusyPortsAndSubnetsAreAvoided(t *testing.T) {
	s, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if !s.free(nil) {
		t.Fatal("a slot just taken is not free")
	}
	for _, used := range []string{s.HostIP().String() + "/32", "10.0.0.0/8", s.Pods().String()} {
		if s.free([]netip.Prefix{netip.MustParsePrefix(used)}) {
			t.Errorf("free although %s is in use", used)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(s.EtcdPeerPort()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if s.free(nil) {
		t.Error("free although a port is in use")
	}
}

func TestStateIsKept(t *testing.T) {
	s, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if got := s.State(); got != (State{}) {
		t.Errorf("a fresh slot has %+v", got)
	}
	want := State{Dir: t.TempDir(), Temp: true}
	if err := s.Record(want); err != nil {
		t.Fatal(err)
	}
	if got := s.State(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseRoutes(t *testing.T) {
	const table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"broken line\n" +
		"skcluster7\t0007D60A\t0207D50A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	want := []netip.Prefix{
		netip.MustParsePrefix("172.17.0.0/16"),
		netip.MustParsePrefix("10.214.7.0/24"),
	}
	if got := parseRoutes(table); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
