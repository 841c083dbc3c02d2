package auth

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Params is engine.TokenParams as a role stores it. Durations are in seconds;
// zero values mean what they mean there.
type Params struct {
	TTL             int64    `json:"ttl,omitempty"`
	MaxTTL          int64    `json:"max_ttl,omitempty"`
	ExplicitMaxTTL  int64    `json:"explicit_max_ttl,omitempty"`
	Period          int64    `json:"period,omitempty"`
	NumUses         int      `json:"num_uses,omitempty"`
	Type            string   `json:"type,omitempty"` // "" = default
	Policies        []string `json:"policies,omitempty"`
	NoDefaultPolicy bool     `json:"no_default_policy,omitempty"`
	BoundCIDRs      []string `json:"bound_cidrs,omitempty"` // in canonical form
}

// Fields documents the token_* fields. The names without "token_" that older
// clients send are accepted too, where the new name is absent.
func Fields() []engine.Field {
	return []engine.Field{
		{Name: "token_ttl", Type: engine.Duration, Help: "first time to live of tokens; 0 = the mount's default"},
		{Name: "token_max_ttl", Type: engine.Duration, Help: "longest life of tokens, however often they are renewed; 0 = the mount's"},
		{Name: "token_explicit_max_ttl", Type: engine.Duration, Help: "longest life that binds periodic tokens too; 0 = none"},
		{Name: "token_period", Type: engine.Duration, Help: "makes tokens periodic: each renewal gives this time to live, without end"},
		{Name: "token_num_uses", Type: engine.Int, Help: "how many requests a token serves; 0 = any number"},
		{Name: "token_type", Type: engine.String, Help: "service, batch or default (the mount's)", Default: "default"},
		{Name: "token_policies", Type: engine.Strings, Help: "policies of tokens"},
		{Name: "token_no_default_policy", Type: engine.Bool, Help: "do not add the policy \"default\""},
		{Name: "token_bound_cidrs", Type: engine.Strings, Help: "addresses or networks that logins and tokens may come from"},
	}
}

// Decode reads the token_* fields of a request into p and checks the whole;
// fields that are absent stay as they are. Kind Invalid: something does not fit.
func (p *Params) Decode(d *engine.Decoder) error {
	seconds := func(field *int64, name, old string) {
		*field = int64(d.Duration(pick(d, name, old), time.Duration(*field)*time.Second) / time.Second)
	}
	seconds(&p.TTL, "token_ttl", "ttl")
	seconds(&p.MaxTTL, "token_max_ttl", "max_ttl")
	seconds(&p.ExplicitMaxTTL, "token_explicit_max_ttl", "explicit_max_ttl")
	seconds(&p.Period, "token_period", "period")
	uses := d.Int(pick(d, "token_num_uses", "num_uses"), int64(p.NumUses))
	p.NoDefaultPolicy = d.Bool("token_no_default_policy", p.NoDefaultPolicy)
	kind := d.String("token_type", p.Type)
	if policies := d.Strings(pick(d, "token_policies", "policies")); policies != nil {
		p.Policies = slices.DeleteFunc(policies, func(s string) bool { return s == "" })
	}
	cidrs := d.Strings(pick(d, "token_bound_cidrs", "bound_cidrs"))
	if err := d.Err(); err != nil {
		return err
	}
	if uses < 0 || uses > 1<<31 {
		return errs.New(errs.Invalid, "token_num_uses must be between 0 and 2147483648")
	}
	p.NumUses = int(uses)
	var err error
	if p.Type, err = TypeName(kind); err != nil {
		return err
	}
	if cidrs != nil {
		if p.BoundCIDRs, err = canonical(cidrs); err != nil {
			return err
		}
	}
	return p.check()
}

// pick returns name, or the older name if only that is present.
func pick(d *engine.Decoder, name, old string) string {
	if !d.Has(name) && d.Has(old) {
		return old
	}
	return name
}

func (p *Params) check() error {
	switch {
	case p.TTL < 0 || p.MaxTTL < 0 || p.ExplicitMaxTTL < 0 || p.Period < 0:
		return errs.New(errs.Invalid, "token_ttl, token_max_ttl, token_explicit_max_ttl and token_period cannot be negative")
	case p.MaxTTL > 0 && p.TTL > p.MaxTTL:
		return errs.New(errs.Invalid, "token_ttl cannot be greater than token_max_ttl")
	case p.Type == "batch" && p.NumUses != 0:
		return errs.New(errs.Invalid, "token_type cannot be batch for tokens with a limited number of uses")
	case p.Type == "batch" && (p.Period != 0 || p.ExplicitMaxTTL != 0):
		return errs.New(errs.Invalid, "token_type cannot be batch for periodic tokens or with token_explicit_max_ttl")
	}
	return nil
}

// TypeName brings a token_type into the form that Params stores: "" stands for
// default, which is also what default-service means. Kind Invalid: unknown.
func TypeName(s string) (string, error) {
	switch strings.ReplaceAll(strings.ToLower(s), "_", "-") {
	case "", "default", "default-service":
		return "", nil
	case "service":
		return "service", nil
	case "batch", "default-batch":
		return "batch", nil
	}
	return "", errs.New(errs.Invalid, "token_type must be service, batch or default")
}

// canonical checks addresses and networks; an address stands for itself alone.
func canonical(texts []string) ([]string, error) {
	out := make([]string, 0, len(texts))
	for _, s := range texts {
		if s == "" {
			continue
		}
		prefix, err := parseCIDR(s)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "token_bound_cidrs holds something that is neither an address nor a network such as 10.0.0.0/8")
		}
		out = append(out, prefix.String())
	}
	return out, nil
}

// ParseCIDRs reads addresses and networks; an address stands for itself alone.
// Kind Invalid.
func ParseCIDRs(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range texts {
		p, err := parseCIDR(s)
		if err != nil {
			return nil, errs.New(errs.Invalid, "not an address nor a network such as 10.0.0.0/8")
		}
		out = append(out, p)
	}
	return out, nil
}

func parseCIDR(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errs.New(errs.Invalid, "not an address")
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Engine returns p as handlers give it to the gate. Kind Internal: what is
// stored is damaged.
func (p *Params) Engine() (engine.TokenParams, error) {
	out := engine.TokenParams{
		TTL: time.Duration(p.TTL) * time.Second, MaxTTL: time.Duration(p.MaxTTL) * time.Second,
		ExplicitMaxTTL: time.Duration(p.ExplicitMaxTTL) * time.Second, Period: time.Duration(p.Period) * time.Second,
		NumUses: p.NumUses, Policies: p.Policies, NoDefaultPolicy: p.NoDefaultPolicy,
	}
	switch p.Type {
	case "service":
		out.Type = engine.TokenService
	case "batch":
		out.Type = engine.TokenBatch
	}
	for _, s := range p.BoundCIDRs {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return engine.TokenParams{}, errs.New(errs.Internal, "a role's token_bound_cidrs are damaged")
		}
		out.BoundCIDRs = append(out.BoundCIDRs, prefix)
	}
	return out, nil
}

// Show adds the token_* fields to a role as it is read.
func (p *Params) Show(b engine.Builder) engine.Builder {
	kind := p.Type
	if kind == "" {
		kind = "default"
	}
	return b.Strs("token_bound_cidrs", p.BoundCIDRs).
		Int("token_explicit_max_ttl", p.ExplicitMaxTTL).
		Int("token_max_ttl", p.MaxTTL).
		Bool("token_no_default_policy", p.NoDefaultPolicy).
		Int("token_num_uses", int64(p.NumUses)).
		Int("token_period", p.Period).
		Strs("token_policies", p.Policies).
		Int("token_ttl", p.TTL).
		Str("token_type", kind)
}

// AllowsAddr reports whether a login may come from addr; the zero Addr is
// refused by any bound CIDR.
func AllowsAddr(bound []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	return len(bound) == 0 || slices.ContainsFunc(bound, func(p netip.Prefix) bool { return p.Contains(addr) })
}
