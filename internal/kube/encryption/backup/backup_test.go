package backup

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const canary = "canary-value-b4c7"

// sealed is a value as an API server stores it.
func sealed(provider, keyID string) string {
	var b []byte
	for number, content := range []string{1: canary, 2: keyID, 3: "source"} {
		if number > 0 {
			b = protowire.AppendTag(b, protowire.Number(number), protowire.BytesType)
			b = protowire.AppendString(b, content)
		}
	}
	return "k8s:enc:kms:v2:" + provider + ":" + string(b)
}

// save writes a snapshot with values, each a revision.
func save(t *testing.T, path string, values ...string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("key"))
		for i := 0; i < len(values) && err == nil; i += 2 {
			raw, bad := proto.Marshal(&mvccpb.KeyValue{Key: []byte(values[i]), Value: []byte(values[i+1])})
			if bad != nil {
				return bad
			}
			number, bad := b.NextSequence()
			if bad != nil {
				return bad
			}
			revision := binary.BigEndian.AppendUint64(nil, number+1)
			err = b.Put(append(append(revision, '_'), make([]byte, 8)...), raw)
		}
		return err
	})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// folder has two backups and a compressed one.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "weekly"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "weekly", "old.db"), "/registry/secrets/a/one", sealed("p", "k1"), "/registry/secrets/a/two", sealed("p", "k1"), "/registry/configmaps/a/c", "k8s\x00"+canary, "/elsewhere/a", sealed("p", "k5"))
	save(t, filepath.Join(dir, "new.db"), "/registry/secrets/a/one", sealed("p", "k1"), "/registry/secrets/a/one", sealed("p", "k2"), "/registry/example.com/widgets/a/w", sealed("q", "k3"))
	if err := os.WriteFile(filepath.Join(dir, "packed.db.gz"), []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// look is Look, which tells which backups it reads.
func look(t *testing.T, dir string, forget ...string) (l *List, read string) {
	t.Helper()
	var names []string
	l, err := Look(t.Context(), Config{Dir: dir, Forget: forget, Now: func() time.Time { return time.Unix(1000, 0) }, Say: func(name string, _, _ int) { names = append(names, name) }})
	if err != nil {
		t.Fatal(err)
	}
	return l, strings.Join(names, " ")
}

// Which backup needs which key is known of those that were read, also when they are gone,
// until they are given up; and of the others it is not known.
func TestLook(t *testing.T) {
	dir := folder(t)
	l, read := look(t, dir)
	if read != "new.db packed.db.gz weekly/old.db" {
		t.Errorf("read %s", read)
	}
	for key, want := range map[string][]string{"k1": {"weekly/old.db"}, "k2": {"new.db"}, "k3": {"new.db"}, "k4": nil, "k5": {"weekly/old.db"}} {
		if got := l.Needing(key); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is needed by %v, want %v", key, got, want)
		}
	}
	if got := l.find("weekly/old.db").Keys; !reflect.DeepEqual(got, []Need{{"kms-v2/p", "k1", 2}, {"kms-v2/p", "k5", 1}}) {
		t.Errorf("%+v", got)
	}
	if got := l.Unread(); !reflect.DeepEqual(got, []string{"packed.db.gz"}) {
		t.Errorf("not read: %v", got)
	}
	if text, err := os.ReadFile(filepath.Join(dir, ListName)); err != nil || strings.Contains(string(text), canary) {
		t.Errorf("the list tells a value, or: %v", err)
	}
	if _, read = look(t, dir); read != "packed.db.gz" {
		t.Errorf("read again: %s", read)
	}
	save(t, filepath.Join(dir, "new.db"), "/registry/secrets/a/three", sealed("p", "k1"))
	if l, read = look(t, dir); read != "new.db packed.db.gz" || len(l.Needing("k1")) != 2 || len(l.Backups) != 3 {
		t.Errorf("after a change: %s, %v", read, l.Needing("k1"))
	}
	if err := os.Remove(filepath.Join(dir, "weekly", "old.db")); err != nil {
		t.Fatal(err)
	}
	if l, _ = look(t, dir); len(l.Needing("k1")) != 2 || l.find("weekly/old.db").Gone.Unix() != 1000 {
		t.Errorf("what is gone is forgotten: %+v", l)
	}
	if l, _ = look(t, dir, "weekly/old.db"); len(l.Needing("k1")) != 1 {
		t.Errorf("what was given up is needed: %+v", l)
	}
	if l, _ = look(t, dir); l.find("weekly/old.db") != nil {
		t.Error("what was given up is back")
	}
	save(t, filepath.Join(dir, "weekly", "old.db"), "/registry/secrets/a/one", sealed("p", "k1"))
	if l, _ = look(t, dir); len(l.Needing("k1")) != 2 || !l.find("weekly/old.db").Gone.IsZero() {
		t.Errorf("what is back is not known: %+v", l)
	}
}

// replace writes another snapshot over one.
func replace(t *testing.T, path string, at int64, keys ...string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var values []string
	for _, k := range keys {
		values = append(values, "/registry/secrets/a/"+k, sealed("p", k))
	}
	save(t, path, values...)
	if err := os.Chtimes(path, time.Unix(at, 0), time.Unix(at, 0)); err != nil {
		t.Fatal(err)
	}
}

// What a job writes over each night may have been copied elsewhere: what it needed stays,
// in as few entries as there are kinds of needs.
func TestWrittenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot.db")
	var l *List
	for i, keys := range [][]string{{"k1"}, {"k1"}, {"k1", "k2"}, {"k2"}, {"k2"}, {"k1", "k2"}, {"k2"}} {
		replace(t, path, 1000+int64(i), keys...)
		l, _ = look(t, dir)
	}
	const last = "snapshot.db@1970-01-01T00:16:45Z"
	if got := l.Needing("k1"); !reflect.DeepEqual(got, []string{last}) {
		t.Errorf("k1 is needed by %v", got)
	}
	if got := l.Needing("k2"); !reflect.DeepEqual(got, []string{"snapshot.db", last}) || l.find(last).Of != "snapshot.db" || l.find(last).Gone.IsZero() {
		t.Errorf("k2 is needed by %v: %+v", got, l)
	}
	if again, _ := look(t, dir); !reflect.DeepEqual(again, l) {
		t.Errorf("looked again: %+v, before %+v", again, l)
	}
	for i := range 2 {
		if err := os.WriteFile(path, make([]byte, 10+i), 0o600); err != nil {
			t.Fatal(err)
		}
		l, _ = look(t, dir)
	}
	if got := l.Needing("k2"); len(got) != 2 || len(l.Unread()) != 1 || len(l.Backups) != 3 {
		t.Errorf("one that cannot be read stands for one that could: %+v", l)
	}
	replace(t, path, 2000, "k3")
	if l, _ = look(t, dir); len(l.Unread()) != 1 || len(l.Backups) != 4 {
		t.Errorf("one that was not read is taken for what needs nothing: %+v", l)
	}
	if l, _ = look(t, dir, last); l.Needing("k1") != nil {
		t.Errorf("what was given up is needed: %+v", l)
	}
}

// A directory and files are found behind links, and nothing is passed over in silence.
func TestLinks(t *testing.T) {
	dir, outside := folder(t), t.TempDir()
	replace(t, filepath.Join(outside, "far.db"), 1000, "k7")
	link := filepath.Join(t.TempDir(), "link")
	for name, to := range map[string]string{
		link: dir, filepath.Join(dir, "latest.db"): "new.db", filepath.Join(dir, "far.db"): filepath.Join(outside, "far.db"),
		filepath.Join(dir, "more"): outside, filepath.Join(dir, "lost.db"): "nowhere",
	} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	l, read := look(t, link)
	if read != "far.db new.db packed.db.gz weekly/old.db" || !reflect.DeepEqual(l.Needing("k7"), []string{"far.db"}) || l.There() != 3 {
		t.Errorf("read %s: %+v", read, l)
	}
	if got := l.Unread(); !reflect.DeepEqual(got, []string{"lost.db", "more", "packed.db.gz"}) {
		t.Errorf("not read: %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, ListName)); err != nil {
		t.Error(err)
	}
	if empty, err := Look(t.Context(), Config{Dir: outside + "/../" + filepath.Base(outside)}); err != nil || empty.There() != 1 {
		t.Errorf("%+v, %v", empty, err)
	}
}

// Nothing is forgotten, or taken to need nothing, by mistake.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		forget []string
		kind   errs.Kind
		want   string
	}{
		"no directory":      {func(dir string) error { return os.RemoveAll(dir) }, nil, errs.NotExist, "looking for backups"},
		"one that is there": {nil, []string{"new.db"}, errs.Conflict, "is there"},
		"one that is not":   {nil, []string{"new"}, errs.NotExist, "none of the name"},
		"a damaged list": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ListName), []byte(`{"format": 1`), 0o600)
		}, nil, errs.Invalid, "bring it back"},
		"a list to come": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ListName), []byte(`{"format": 2}`), 0o600)
		}, nil, errs.Unsupported, "format 2"},
		"a path elsewhere": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ListName), []byte(`{"format": 1, "backups": [{"name": "../x"}]}`), 0o600)
		}, nil, errs.Invalid, "has no name"},
	} {
		dir := folder(t)
		if c.change != nil {
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
		}
		if l, err := Look(t.Context(), Config{Dir: dir, Forget: c.forget}); !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %s", name, l, err, c.want)
		}
	}
	dir := folder(t)
	l, err := Look(t.Context(), Config{Dir: dir, Prefix: "/nowhere"})
	if err != nil || len(l.Unread()) != 3 {
		t.Errorf("with another prefix nothing is known: %+v, %v", l, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format": 1, "backups": [{"name": "a/b.db", "size": 7, "modified": "2026-01-02T03:04:05Z", "keys": [{"provider": "kms-v2/p", "key_id": "k", "values": 3}]}]}`))
	f.Add([]byte(`{"format": 1, "backups": [{"name": "../a"}, {"name": "../a", "unread": "x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parse(text)
		if err != nil {
			return
		}
		for i := range l.Backups {
			b := &l.Backups[i]
			if !filepath.IsLocal(filepath.FromSlash(b.Name)) || l.find(b.Name) != b {
				t.Errorf("%q", b.Name)
			}
			for _, n := range b.Keys {
				if n.Values < 0 || len(l.Needing(n.KeyID)) == 0 {
					t.Errorf("%+v", n)
				}
			}
		}
	})
}
