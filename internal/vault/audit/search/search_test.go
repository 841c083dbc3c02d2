package search_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/search"
)

// lines are what a vault wrote, two for most requests.
const lines = `{"time":"2026-03-01T10:00:00.5Z","type":"request","auth":{"accessor":"hmac-sha256:aa","display_name":"app","entity_id":"e1"},"request":{"id":"1","operation":"read","mount_type":"kv","path":"secret/data/a","remote_address":"10.0.0.1"}}
{"time":"2026-03-01T10:00:00.6Z","type":"response","auth":{"accessor":"hmac-sha256:aa","display_name":"app","entity_id":"e1"},"request":{"id":"1","operation":"read","mount_type":"kv","path":"secret/data/a","remote_address":"10.0.0.1"},"response":{"data":{"x":"hmac-sha256:beef"}}}
{"time":"2026-03-01T10:00:01Z","type":"checkpoint","checkpoint":{"note":"strongkeep-audit/file\n1\n","key":"k"}}
@cee: {"time":"2026-03-01T11:00:00Z","type":"response","auth":{"accessor":"hmac-sha256:bb","display_name":"ops \"q\"","entity_id":"e2"},"request":{"id":"2","operation":"update","path":"secret/data/team/b","namespace":{"id":"x1","path":"team-a/"},"remote_address":"10.0.0.2"},"error":"1 error occurred:\n\t* permission denied\n\n"}
{"time":"2026-03-01T12:00:00Z","type":"response","request":{"id":"3","operation":"update","path":"auth/kubernetes/login","remote_address":"10.0.0.3","client_token_accessor":"hmac-sha256:cc"}}
{"time":"2026-03-01T12:30:00Z","type":"resp
not json}

{"time":"2026-03-01T13:00:00Z","type":"response","auth":{"display_name":"app","entity_id":"e1"},"request":{"id":"4","operation":"read","path":"secret/data/a"}}
{"time":"2026-03-02T10:00:00Z","type":"response","auth":{"display_name":"root"},"request":{"id":"5","operation":"read","path":"secret/data/a/deep"},"error":"no secret/data/a"}
`

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if strings.HasSuffix(name, ".gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		content = z.String()
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestQueries(t *testing.T) {
	plain, packed := write(t, "a.log", lines), write(t, "a.log.gz", lines)
	for name, c := range map[string]struct {
		q    search.Query
		want string // request IDs
	}{
		"all":                {search.Query{}, "1 1 2 3 4 5"},
		"answers":            {search.Query{Type: "response"}, "1 2 3 4 5"},
		"questions":          {search.Query{Type: "request"}, "1"},
		"path":               {search.Query{Path: "secret/data/a", Type: "response"}, "1 4"},
		"path, start":        {search.Query{Path: "secret/*", Type: "response"}, "1 2 4 5"},
		"path, end":          {search.Query{Path: "*login"}, "3"},
		"path, middle":       {search.Query{Path: "secret/*/deep"}, "5"},
		"path, segment":      {search.Query{Path: "secret/data/+/b"}, "2"},
		"path, one segment":  {search.Query{Path: "secret/data/+", Type: "response"}, "1 4"},
		"path, anything":     {search.Query{Path: "*", Type: "response"}, "1 2 3 4 5"},
		"operation":          {search.Query{Operation: "update"}, "2 3"},
		"accessor":           {search.Query{Accessor: "hmac-sha256:bb"}, "2"},
		"accessor, no auth":  {search.Query{Accessor: "hmac-sha256:cc"}, "3"},
		"entity":             {search.Query{Entity: "e1", Type: "response"}, "1 4"},
		"name":               {search.Query{DisplayName: "app", Type: "response"}, "1 4"},
		"name, glob":         {search.Query{DisplayName: "ops *"}, "2"},
		"name with a quote":  {search.Query{DisplayName: `ops "q"`}, "2"},
		"namespace":          {search.Query{Namespace: "team-a"}, "2"},
		"mount":              {search.Query{Mount: "kv", Type: "response"}, "1"},
		"remote":             {search.Query{Remote: "10.0.0.3"}, "3"},
		"request":            {search.Query{RequestID: "4"}, "4"},
		"errors":             {search.Query{OnlyErrors: true}, "2 5"},
		"no errors":          {search.Query{NoErrors: true, Type: "response"}, "1 3 4"},
		"error text":         {search.Query{Error: "denied"}, "2"},
		"since":              {search.Query{Since: at("2026-03-01T12:00:00Z")}, "3 4 5"},
		"since, in a second": {search.Query{Since: at("2026-03-01T10:00:00.55Z"), Until: at("2026-03-01T10:00:00.65Z")}, "1"},
		"until":              {search.Query{Until: at("2026-03-01T12:00:00Z"), Type: "response"}, "1 2"},
		"other zone":         {search.Query{Since: at("2026-03-01T14:00:00+01:00")}, "4 5"},
		"contains":           {search.Query{Contains: "hmac-sha256:beef"}, "1"},
		"several":            {search.Query{Path: "secret/*", DisplayName: "app", Since: at("2026-03-01T12:00:00Z")}, "4"},
		"nothing":            {search.Query{Path: "nothing"}, ""},
	} {
		for _, file := range []string{plain, packed} {
			var got []string
			r, err := search.Files(t.Context(), c.q, func(e *search.Entry) error {
				got = append(got, e.RequestID)
				return nil
			}, file)
			if err != nil || strings.Join(got, " ") != c.want || r.Found != int64(len(got)) || r.Lines != 10 {
				t.Errorf("%s: %q %+v %v, want %q", name, got, r, err, c.want)
			}
		}
	}
}

// Lines that are no entries are counted with their place, and end nothing.
func TestBadLines(t *testing.T) {
	path := write(t, "a.log", lines)
	r, err := search.Files(t.Context(), search.Query{}, func(*search.Entry) error { return nil }, path, path)
	if err != nil || fmt.Sprint(r.Bad) != fmt.Sprintf("[{%s 6} {%s 7} {%[1]s 6} {%[1]s 7}]", path, path) || r.BadLines != 4 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestEntry(t *testing.T) {
	path := write(t, "a.log", lines)
	_, err := search.Files(t.Context(), search.Query{RequestID: "2"}, func(e *search.Entry) error {
		if !bytes.HasPrefix(e.Raw, []byte("@cee: {")) {
			t.Errorf("raw %q", e.Raw)
		}
		e.Raw = nil
		want := search.Entry{
			File: path, Line: 4, Time: at("2026-03-01T11:00:00Z"), Type: "response", Operation: "update", Path: "secret/data/team/b", Namespace: "team-a",
			DisplayName: `ops "q"`, Entity: "e2", Accessor: "hmac-sha256:bb", Remote: "10.0.0.2", RequestID: "2", Error: "1 error occurred:\n\t* permission denied\n\n",
		}
		if fmt.Sprintf("%+v", *e) != fmt.Sprintf("%+v", want) {
			t.Errorf("%+v, want %+v", *e, want)
		}
		return nil
	}, path)
	if err != nil {
		t.Error(err)
	}
}

// Chunks, lines that cross their ends, and a line longer than a chunk.
func TestManyChunks(t *testing.T) {
	var b strings.Builder
	const n = 30_000
	for i := range n {
		pad := strings.Repeat("p", i%700)
		if i == n/2 {
			pad = strings.Repeat("p", 9<<20)
		}
		fmt.Fprintf(&b, `{"time":"2026-03-01T10:00:00Z","type":"response","request":{"id":"%d","path":"secret/%d"},"response":{"data":"%s"}}`+"\n", i, i%10, pad)
	}
	path := write(t, "big.log", strings.TrimSuffix(b.String(), "\n"))
	next := int64(4)
	r, err := search.Files(t.Context(), search.Query{Path: "secret/3"}, func(e *search.Entry) error {
		if e.Line != next || e.RequestID != fmt.Sprint(next-1) {
			t.Fatalf("line %d has request %s, want line %d", e.Line, e.RequestID, next)
		}
		next += 10
		return nil
	}, path)
	if err != nil || r.Lines != n || r.Found != n/10 || r.Bytes != int64(b.Len()-1) || r.BadLines != 0 {
		t.Errorf("%+v %v", r, err)
	}
	calls := 0
	_, err = search.Files(t.Context(), search.Query{}, func(*search.Entry) error { calls++; return search.ErrStop }, path, path)
	if err != nil || calls != 1 {
		t.Errorf("stopping at once: %d calls, %v", calls, err)
	}
	mine := errors.New("mine")
	if _, err = search.Files(t.Context(), search.Query{}, func(*search.Entry) error { return mine }, path); !errors.Is(err, mine) {
		t.Errorf("an error of the caller: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = search.Files(ended, search.Query{}, func(*search.Entry) error { return nil }, path); err != nil && !errs.Is(err, errs.Unavailable) {
		t.Errorf("a context that ended: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	none := func(*search.Entry) error { return nil }
	for name, c := range map[string]struct {
		q    search.Query
		file string
		kind errs.Kind
	}{
		"type":      {search.Query{Type: "answer"}, "x", errs.Invalid},
		"both":      {search.Query{OnlyErrors: true, NoErrors: true}, "x", errs.Invalid},
		"no file":   {search.Query{}, "/no/such/file", errs.NotExist},
		"directory": {search.Query{}, t.TempDir(), errs.Unavailable},
		"no gzip":   {search.Query{}, bad(t), errs.Invalid},
	} {
		if _, err := search.Files(t.Context(), c.q, none, c.file); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

func bad(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "bad.gz")
	if err := os.WriteFile(path, []byte("this is not compressed"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLastRead(t *testing.T) {
	path := write(t, "a.log", lines)
	got, _, err := search.LastRead(t.Context(), search.Query{Path: "secret/*"}, path)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v %v: a read that failed is none", got, err)
	}
	want := search.Reader{Path: "secret/data/a", DisplayName: "app", Entity: "e1", First: at("2026-03-01T10:00:00.6Z"), Last: at("2026-03-01T13:00:00Z"), Count: 2}
	if fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got[0], want)
	}
}

// The search for bytes passes over no line that the full look would take.
func FuzzPrefilter(f *testing.F) {
	f.Add("secret/data/*", "app", "read", "secret/data/x", "app", "read", "no")
	f.Add("+/b", `o"p`, "", "a/b", `o"p`, "list", "")
	f.Add("*é*", "*", "read", "a/é/é", "\x00", "read", "\n")
	f.Fuzz(func(t *testing.T, pathGlob, nameGlob, op, path, name, operation, errText string) {
		if len(pathGlob)+len(nameGlob)+len(path)+len(name) > 1000 {
			return // matching takes the product of the lengths
		}
		search.CheckPrefilter(t, search.Query{Path: pathGlob, DisplayName: nameGlob, Operation: op, Error: errText}, path, name, operation, errText)
	})
}

func BenchmarkSearch(b *testing.B) {
	var s strings.Builder
	for i := range 120_000 {
		fmt.Fprintf(&s, `{"time":"2026-03-01T10:00:00Z","type":"response","auth":{"client_token":"hmac-sha256:%064d","accessor":"hmac-sha256:%064d","display_name":"kubernetes-shop-app","policies":["default","shop"],"policy_results":{"allowed":true,"granting_policies":[{"name":"shop","namespace_id":"root","type":"acl"}]},"token_type":"service"},"request":{"id":"%036d","operation":"read","mount_point":"secret/","mount_type":"kv","client_token":"hmac-sha256:%064d","namespace":{"id":"root"},"path":"secret/data/shop/%d","remote_address":"10.0.0.1","remote_port":4711},"response":{"mount_type":"kv","data":{"data":{"password":"hmac-sha256:%064d"}}}}`+"\n", i, i, i, i, i%1000, i)
	}
	path := write(b, "big.log", s.String())
	for name, q := range map[string]search.Query{"selective": {Type: "response", Path: "secret/data/shop/7", Operation: "read"}, "all": {Type: "response"}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(s.Len()))
			for b.Loop() {
				if _, err := search.Files(b.Context(), q, func(*search.Entry) error { return nil }, path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Tail goes on where it ended, takes whole lines only, and sees each once.
func TestTail(t *testing.T) {
	path := write(t, "a.log", "")
	w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	end, got := int64(0), ""
	for i := range len(lines) { // byte by byte
		if _, err := w.WriteString(lines[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i%97 != 0 && i != len(lines)-1 {
			continue
		}
		next, result, err := search.Tail(t.Context(), search.Query{}, func(e *search.Entry) error { got += e.RequestID + " "; return nil }, r, end)
		if err != nil || next < end || next > int64(i+1) || next > 0 && lines[next-1] != '\n' || result.Bytes != next-end {
			t.Fatalf("%d to %d of %d, %+v, %v", end, next, i+1, result, err)
		}
		end = next
	}
	if got != "1 1 2 3 4 5 " || end != int64(len(lines)) {
		t.Errorf("found %q up to %d", got, end)
	}
	if _, _, err := search.Tail(t.Context(), search.Query{Type: "x"}, nil, r, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("a wrong query: %v", err)
	}
	if end, _, err := search.Tail(t.Context(), search.Query{}, func(*search.Entry) error { return search.ErrStop }, r, 0); err != nil || end != int64(len(lines)) {
		t.Errorf("stopped: %d, %v", end, err)
	}
}
