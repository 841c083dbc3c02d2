package audit

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit/hashing"
)

// Lines with a Shared are what they are without, on the device it serves and on
// others that hash with other keys.
func TestSharedChangesNoLine(t *testing.T) {
	short, _ := sampleEntries()
	long, _ := sampleEntries()
	long.Request.Path = strings.Repeat("long/", 500)
	anonymous := &Entry{Type: TypeRequest, Time: short.Time, Request: short.Request}
	_, response := sampleEntries()
	encoders := []*encoder{
		testEncoder(Format{HMACAccessor: true}),
		{Hasher: hashing.New(redact.New(make([]byte, KeySize))), format: Format{HMACAccessor: true}},
		testEncoder(Format{LogRaw: true, Prefix: "audit: "}),
	}
	for name, first := range map[string]*Entry{"short": short, "long": long, "no token": anonymous} {
		second := &Entry{
			Type: TypeResponse, Time: response.Time, Auth: first.Auth, Request: first.Request,
			Response: response.Response, Error: "an error",
		}
		var want, got []string
		lines := func(to *[]string, shared *Shared) {
			for _, e := range []*Entry{first, second} {
				e.Shared = shared
				for _, c := range encoders {
					s := c.Get()
					*to = append(*to, string(c.line(s, e)))
					c.Put(s)
				}
			}
		}
		lines(&want, nil)
		var shared Shared
		for range 2 {
			got = nil
			lines(&got, &shared)
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s, line %d:\n%s\nwant\n%s", name, i, got[i], want[i])
				}
			}
			encoders = append(encoders[1:], encoders[0]) // another serves the next
			shared.Reset()
			want = nil
			lines(&want, nil)
		}
	}
}

// What both lines say is encoded once: the second line is there to copy it.
func TestSharedIsUsed(t *testing.T) {
	c := testEncoder(Format{HMACAccessor: true})
	first, second := sampleEntries()
	first.Shared = new(Shared)
	second.Shared, second.Auth, second.Request = first.Shared, nil, nil
	s := c.Get()
	defer c.Put(s)
	c.line(s, first)
	if got := string(c.line(s, second)); !strings.Contains(got, `"auth":{`) || !strings.Contains(got, first.Request.ID) {
		t.Errorf("the first line's part is missing in %s", got)
	}
}

// Who looks its own token up gets it back in the answer: its hash there, copied
// from what both lines say, is the one that is made anew without.
func TestAnswersRepeatHashes(t *testing.T) {
	first, _ := sampleEntries()
	id, accessor := string(first.Auth.ClientToken), first.Auth.Accessor
	if id == "" || accessor == "" {
		t.Fatal("the sample has no token and accessor")
	}
	data := `{"id":"` + id + `","accessor":"` + accessor + `","other":"` + id + `x"}`
	for name, f := range map[string]Format{"hashed": {HMACAccessor: true}, "accessor clear": {}, "raw": {LogRaw: true}} {
		c := testEncoder(f)
		line := func(s *Shared) string {
			st := c.Get()
			defer c.Put(st)
			c.line(st, &Entry{Type: TypeRequest, Time: first.Time, Auth: first.Auth, Request: first.Request, Shared: s})
			return string(c.line(st, &Entry{
				Type: TypeResponse, Time: first.Time, Auth: first.Auth, Request: first.Request,
				Response: &Response{Data: []byte(data)}, Shared: s,
			}))
		}
		got := line(new(Shared))
		if want := line(nil); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		if f.LogRaw {
			continue
		}
		for _, value := range []string{`"id":"` + c.Hash(id), `"accessor":"` + c.Hash(accessor), `"other":"` + c.Hash(id+"x")} {
			if !strings.Contains(got[strings.Index(got, `"response":`):], value) {
				t.Errorf("%s: %s lacks %s", name, got, value)
			}
		}
	}
}
