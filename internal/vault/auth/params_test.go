package auth

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func decode(t *testing.T, p *Params, body string) error {
	t.Helper()
	b, err := engine.ParseBody([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	d := b.Decode()
	return p.Decode(&d)
}

func TestDecode(t *testing.T) {
	old := Params{TTL: 60, MaxTTL: 600, Policies: []string{"a"}, Type: "service", BoundCIDRs: []string{"10.0.0.0/8"}, NoDefaultPolicy: true, NumUses: 3}
	for name, c := range map[string]struct {
		from Params
		body string
		want Params
	}{
		"nothing changes nothing": {old, `{}`, old},
		"everything": {Params{}, `{"token_ttl":"1h","token_max_ttl":"2d","token_explicit_max_ttl":172800,"token_period":"90","token_num_uses":"5","token_type":"service","token_policies":"a, b,,c","token_no_default_policy":"true","token_bound_cidrs":["10.1.2.3/8","192.0.2.1","::1"]}`,
			Params{TTL: 3600, MaxTTL: 172800, ExplicitMaxTTL: 172800, Period: 90, NumUses: 5, Type: "service", Policies: []string{"a", "b", "c"}, NoDefaultPolicy: true, BoundCIDRs: []string{"10.0.0.0/8", "192.0.2.1/32", "::1/128"}}},
		"older names":           {Params{}, `{"ttl":"1h","max_ttl":7200,"policies":["a"],"period":1,"num_uses":2,"bound_cidrs":"10.0.0.1"}`, Params{TTL: 3600, MaxTTL: 7200, Policies: []string{"a"}, Period: 1, NumUses: 2, BoundCIDRs: []string{"10.0.0.1/32"}}},
		"newer name wins":       {Params{}, `{"ttl":"1h","token_ttl":5}`, Params{TTL: 5}},
		"emptied":               {old, `{"token_policies":[],"token_bound_cidrs":"","token_ttl":0,"token_type":"default","token_num_uses":0,"token_no_default_policy":false}`, Params{MaxTTL: 600, Policies: []string{}, BoundCIDRs: []string{}}},
		"null is absent":        {old, `{"token_policies":null,"token_ttl":null}`, old},
		"default service":       {Params{Type: "batch"}, `{"token_type":"default-service"}`, Params{}},
		"default batch":         {Params{}, `{"token_type":"default_batch"}`, Params{Type: "batch"}},
		"IPv4 mapped into IPv6": {Params{}, `{"token_bound_cidrs":"::ffff:10.0.0.1"}`, Params{BoundCIDRs: []string{"10.0.0.1/32"}}},
	} {
		got := c.from
		if err := decode(t, &got, c.body); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"negative ttl":     `{"token_ttl":-1}`,
		"negative uses":    `{"token_num_uses":-1}`,
		"many uses":        `{"token_num_uses":99999999999}`,
		"ttl over max":     `{"token_ttl":2,"token_max_ttl":1}`,
		"unknown type":     `{"token_type":"canary-1"}`,
		"batch uses":       `{"token_type":"batch","token_num_uses":1}`,
		"batch period":     `{"token_type":"batch","token_period":1}`,
		"batch explicit":   `{"token_type":"batch","token_explicit_max_ttl":1}`,
		"no address":       `{"token_bound_cidrs":"canary-1"}`,
		"no network":       `{"token_bound_cidrs":"10.0.0.0/99"}`,
		"address and zone": `{"token_bound_cidrs":"fe80::1%eth0"}`,
		"no duration":      `{"token_ttl":"canary-1"}`,
		"no list":          `{"token_policies":{"a":1}}`,
	} {
		err := decode(t, new(Params), body)
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the value", name)
		}
	}
}

func TestStoredAndShown(t *testing.T) {
	p := Params{TTL: 1, MaxTTL: 2, ExplicitMaxTTL: 3, Period: 4, NumUses: 5, Type: "service", Policies: []string{"a"}, NoDefaultPolicy: true, BoundCIDRs: []string{"10.0.0.0/8"}}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const golden = `{"ttl":1,"max_ttl":2,"explicit_max_ttl":3,"period":4,"num_uses":5,"type":"service","policies":["a"],"no_default_policy":true,"bound_cidrs":["10.0.0.0/8"]}`
	if string(raw) != golden {
		t.Errorf("the stored form changed:\n got %s\nwant %s", raw, golden)
	}
	got, err := p.Engine()
	want := engine.TokenParams{TTL: time.Second, MaxTTL: 2 * time.Second, ExplicitMaxTTL: 3 * time.Second, Period: 4 * time.Second, NumUses: 5,
		Type: engine.TokenService, Policies: []string{"a"}, NoDefaultPolicy: true, BoundCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	const shown = `{"token_bound_cidrs":["10.0.0.0/8"],"token_explicit_max_ttl":3,"token_max_ttl":2,"token_no_default_policy":true,"token_num_uses":5,"token_period":4,"token_policies":["a"],"token_ttl":1,"token_type":"service"}`
	if got := string(p.Show(engine.NewObject()).Value()); got != shown {
		t.Errorf("shown as %s", got)
	}
	const zero = `{"token_bound_cidrs":[],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":[],"token_ttl":0,"token_type":"default"}`
	if got := string(new(Params).Show(engine.NewObject()).Value()); got != zero {
		t.Errorf("zero shown as %s", got)
	}
	if _, err := (&Params{BoundCIDRs: []string{"x"}}).Engine(); !errs.Is(err, errs.Internal) {
		t.Errorf("damaged: %v", err)
	}
}

// Every documented field is decoded.
func TestFieldsAreDecoded(t *testing.T) {
	for _, f := range Fields() {
		err := decode(t, new(Params), `{"`+f.Name+`":[["x"]]}`)
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s of a wrong type: %v", f.Name, err)
		}
	}
}

func TestAllowsAddr(t *testing.T) {
	bound := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for addr, want := range map[netip.Addr]bool{
		netip.MustParseAddr("10.1.1.1"): true, netip.MustParseAddr("::ffff:10.1.1.1"): true, netip.MustParseAddr("11.1.1.1"): false, {}: false,
	} {
		if AllowsAddr(bound, addr) != want || !AllowsAddr(nil, addr) {
			t.Errorf("%v", addr)
		}
	}
}
