package token

import (
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestLifetime(t *testing.T) {
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const minute = time.Minute
	for name, c := range map[string]struct {
		l    Lifetime // Now is born + age; Default 1 h and Max 10 h if they are 0
		age  time.Duration
		want time.Duration // 0 = refused
		warn []string
	}{
		"the mount's default":   {Lifetime{}, 0, hour, nil},
		"the role's":            {Lifetime{TTL: 2 * hour}, 0, 2 * hour, nil},
		"asked for":             {Lifetime{TTL: 2 * hour, Increment: 3 * hour}, 0, 3 * hour, nil},
		"cut to seconds":        {Lifetime{TTL: 1500 * time.Millisecond}, 0, time.Second, nil},
		"below a second":        {Lifetime{TTL: time.Millisecond}, 0, 0, nil},
		"over the mount's max":  {Lifetime{TTL: 11 * hour}, 0, 10 * hour, []string{`TTL of "11h0m0s" exceeded the effective max_ttl of "10h0m0s"; TTL value is capped accordingly`}},
		"over the role's max":   {Lifetime{TTL: 11 * hour, MaxTTL: 5 * hour}, 0, 5 * hour, []string{`TTL of "11h0m0s" exceeded the effective max_ttl of "5h0m0s"; TTL value is capped accordingly`}},
		"role's max over mount": {Lifetime{TTL: 11 * hour, MaxTTL: 50 * hour}, 0, 10 * hour, []string{`TTL of "11h0m0s" exceeded the effective max_ttl of "10h0m0s"; TTL value is capped accordingly`}},
		"over the explicit max": {Lifetime{TTL: 3 * hour, MaxTTL: 2 * hour, ExplicitMaxTTL: hour}, 0, hour, []string{`TTL of "3h0m0s" exceeded the effective max_ttl of "1h0m0s"; TTL value is capped accordingly`}},
		"renewed within max":    {Lifetime{TTL: hour, MaxTTL: 3 * hour}, 2 * hour, hour, nil},
		"renewed to the max":    {Lifetime{TTL: hour, MaxTTL: 3 * hour}, 150 * minute, 30 * minute, []string{`TTL of "1h0m0s" exceeded the effective max_ttl of "3h0m0s"; TTL value is capped accordingly`}},
		"past the max":          {Lifetime{TTL: hour, MaxTTL: 3 * hour}, 3 * hour, 0, nil},
		"past the mount's max":  {Lifetime{TTL: hour}, 10 * hour, 0, nil},
		"less than a second":    {Lifetime{TTL: hour}, 10*hour - 1, 0, nil},
		"period":                {Lifetime{Period: 2 * hour, TTL: hour, Increment: 9 * hour}, 0, 2 * hour, nil},
		"period, past max":      {Lifetime{Period: 2 * hour, MaxTTL: hour}, 999 * hour, 2 * hour, nil},
		"period over the max":   {Lifetime{Period: 20 * hour}, 0, 10 * hour, []string{`period of "20h0m0s" exceeded the effective max_ttl of "10h0m0s"; period value is capped accordingly`}},
		"period, explicit max":  {Lifetime{Period: 2 * hour, ExplicitMaxTTL: 3 * hour}, 2 * hour, hour, []string{`TTL of "2h0m0s" exceeded the effective max_ttl of "3h0m0s"; TTL value is capped accordingly`}},
		"period, past explicit": {Lifetime{Period: 2 * hour, ExplicitMaxTTL: 3 * hour}, 3 * hour, 0, nil},
		"a hundred years":       {Lifetime{TTL: 101 * 365 * day, Max: 250 * 365 * day}, 0, 0, nil},
		"clock went backwards":  {Lifetime{TTL: hour}, -hour, hour, nil},
	} {
		c.l.Created, c.l.Now = born, born.Add(c.age)
		c.l.Default, c.l.Max = firstSet(c.l.Default, hour), firstSet(c.l.Max, 10*hour)
		got, warn, err := c.l.Resolve()
		if c.want == 0 {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v, %v; want it refused", name, got, err)
			}
			continue
		}
		if err != nil || got != c.want || !slices.Equal(warn, c.warn) {
			t.Errorf("%s: %v, %q, %v; want %v, %q", name, got, warn, err, c.want, c.warn)
		}
	}
}
