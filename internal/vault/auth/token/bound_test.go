package token

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
)

// A token that is bound to networks makes no child that is less bound. Facts §2.4
// name no way for a request to say bound_cidrs: only a role does.
func TestChildrenAreBoundAsTheirParent(t *testing.T) {
	w := newWorld(t, nil)
	for name, role := range map[string]string{
		"start":   `{"token_bound_cidrs":"192.0.2.0/24,2001:db8::/64","orphan":true,"renewable":true,"allowed_policies":"app"}`,
		"free":    `{"allowed_policies":"app"}`,
		"narrow":  `{"token_bound_cidrs":"192.0.2.7,203.0.113.0/24,2001:db8::/96","allowed_policies":"app"}`,
		"wide":    `{"token_bound_cidrs":"192.0.0.0/8,192.0.2.0/24","allowed_policies":"app"}`,
		"outside": `{"token_bound_cidrs":"203.0.113.0/24","allowed_policies":"app"}`,
		"orphan":  `{"token_bound_cidrs":"203.0.113.0/24","orphan":true,"allowed_policies":"app"}`,
	} {
		w.must(w.root, "roles/"+name, role)
	}
	bound := w.made(w.must(w.root, "create/start", `{"policies":"app"}`))
	same := []any{"192.0.2.0/24", "2001:db8::/64"}
	cidrs := func(c core.Created) []any {
		t.Helper()
		got, err := w.lookup(c.Token.RevealString())
		if err != nil {
			t.Fatal(err)
		}
		list, _ := got["bound_cidrs"].([]any)
		return list
	}
	for _, c := range []struct {
		path, body string
		want       []any
	}{
		{"create", `{}`, same},
		{"create", `{"type":"batch"}`, same},
		{"create", `{"bound_cidrs":["0.0.0.0/0"],"token_bound_cidrs":["0.0.0.0/0"]}`, same}, // no fields of a request
		{"create/free", `{}`, same},
		{"create/narrow", `{}`, []any{"192.0.2.7/32", "2001:db8::/96"}},
		{"create/wide", `{}`, []any{"192.0.2.0/24"}},
		{"create/orphan", `{}`, []any{"203.0.113.0/24"}}, // the role's word
	} {
		made := w.made(w.must(bound, c.path, c.body))
		if got := cidrs(made); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: bound to %v, want %v", c.path, c.body, got, c.want)
		}
		if c.path != "create" || c.body != `{}` {
			continue
		}
		if got := cidrs(w.made(w.must(made, "create", `{}`))); !slices.Equal(got, same) {
			t.Errorf("a grandchild is bound to %v", got)
		}
	}
	w.refused(bound, "create/outside", `{}`, errs.Invalid, `the token_bound_cidrs of role "outside" lie outside`)
	w.refused(bound, "create", `{"no_parent":true}`, errs.Invalid, "root or sudo privileges")
	if got := cidrs(w.made(w.must(w.root, "create/narrow", `{"policies":"app"}`))); len(got) != 3 {
		t.Errorf("by one that is not bound: %v", got)
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct{ a, b, want []string }{
		{[]string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}, []string{"10.1.0.0/16"}},
		{[]string{"10.1.0.0/16"}, []string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}},
		{[]string{"10.0.0.0/8", "10.1.0.0/16"}, []string{"10.1.0.0/16"}, []string{"10.1.0.0/16"}},
		{[]string{"10.0.0.0/8"}, []string{"192.0.2.0/24"}, nil},
		{[]string{"0.0.0.0/0"}, []string{"::/0"}, nil},
		{[]string{"::/0", "0.0.0.0/0"}, []string{"2001:db8::1/128", "192.0.2.1/32"}, []string{"192.0.2.1/32", "2001:db8::1/128"}},
		{[]string{"192.0.2.0/25", "192.0.2.128/25"}, []string{"192.0.2.0/24"}, []string{"192.0.2.0/25", "192.0.2.128/25"}},
	} {
		if got := overlap(prefixes(c.a), prefixes(c.b)); fmt.Sprint(got) != fmt.Sprint(prefixes(c.want)) {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func prefixes(texts []string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}
