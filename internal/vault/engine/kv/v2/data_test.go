package v2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// info is the five members that describe a version (§2.2).
func info(created, deleted string, destroyed bool, n int) string {
	return fmt.Sprintf(`{"created_time":%q,"custom_metadata":null,"deletion_time":%q,"destroyed":%v,"version":%d}`, created, deleted, destroyed, n)
}

// §2.2 "Write response data" and "Read".
func TestWriteAndRead(t *testing.T) {
	m := newMount(t)
	first := stamp(m)
	if first != "2026-03-04T05:06:07.123456789Z" {
		t.Fatalf("the clock says %s: the test needs nanoseconds", first)
	}
	m.want(update, "data/my-app/config", `{"data":{"password":"one"}}`, info(first, "", false, 1))
	m.Advance(time.Second)
	m.want(update, "data/my-app/config", `{"data":{"password":"two"}}`, info(stamp(m), "", false, 2))
	m.want(read, "data/my-app/config", "", `{"data":{"password":"two"},"metadata":`+info(stamp(m), "", false, 2)+`}`)
	m.want(read, "data/my-app/config", `{"version":"0"}`, `{"data":{"password":"two"},"metadata":`+info(stamp(m), "", false, 2)+`}`)
	m.want(read, "data/my-app/config", `{"version":"1"}`, `{"data":{"password":"one"},"metadata":`+info(first, "", false, 1)+`}`)
	m.want(read, "data/my-app/config", `{"version":1}`, `{"data":{"password":"one"},"metadata":`+info(first, "", false, 1)+`}`)

	for _, path := range []string{"data/none", "data/my-app", "data/my-app/config/1"} {
		if res := m.answer(read, path, ""); res != nil {
			t.Errorf("%s: %+v, want nothing, which is the plain 404", path, res)
		}
	}
	if res := m.answer(read, "data/my-app/config", `{"version":3}`); res != nil {
		t.Errorf("an unknown version: %+v, want nothing", res)
	}
	m.refused(read, "data/my-app/config", `{"version":-1}`, errs.Invalid, "version must be 0")
	m.refused(read, "data/my-app/config", `{"version":"`+canary+`"}`, errs.Invalid, `"version"`)
}

// The house rule: KV data stays the JSON bytes it came as.
func TestDataKeepsItsBytes(t *testing.T) {
	m := newMount(t)
	for _, data := range []string{
		`{"z":1.0,"a":12345678901234567890,"e":1e400,"s":"\u0061\/","n":null,"":{}}`,
		`{ "spaced" : [ 1 , 2 ] }`,
		`{}`,
		`{"deep":` + strings.Repeat(`{"x":`, 150) + `1` + strings.Repeat(`}`, 150) + `}`,
	} {
		m.ok(update, "data/a", `{"data": `+data+` }`)
		if got := m.ok(read, "data/a", ""); !strings.HasPrefix(got, `{"data":`+data+`,"metadata":`) {
			t.Errorf("%s came back in %s", data, got)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	m := newMount(t)
	for body, text := range map[string]string{
		``:                          "no data provided",
		`{}`:                        "no data provided",
		`{"data":null}`:             "no data provided",
		`{"password":"x"}`:          "no data provided",
		`{"data":"` + canary + `"}`: `field "data" must be an object`,
		`{"data":[1]}`:              `field "data" must be an object`,
		`{"data":{},"options":[]}`:  `field "options" must be an object`,
		`{"data":{"a":1,"a":2}}`:    "a name appears twice",
		`{"data":{`:                 "error parsing JSON",
	} {
		m.refused(update, "data/a", body, errs.Invalid, text)
	}
	big := `{"data":{"x":"` + strings.Repeat("x", MaxData) + `"}}`
	m.refused(update, "data/a", big, errs.TooLarge, "over the limit")
	m.ok(update, "data/a", `{"data":{"x":"`+strings.Repeat("x", MaxData-8)+`"}}`)
}

// §2.2 CAS: weakly decoded, 0 = must not exist, and the two texts.
func TestCheckAndSet(t *testing.T) {
	const (
		mismatch = "check-and-set parameter did not match the current version"
		required = "check-and-set parameter required for this call"
	)
	m := newMount(t)
	write := func(cas string) string { return `{"data":{"x":"y"},"options":{"cas":` + cas + `}}` }
	m.refused(update, "data/a", write("1"), errs.Invalid, mismatch)
	m.ok(update, "data/a", write("0"))
	m.refused(update, "data/a", write("0"), errs.Invalid, mismatch)
	m.ok(update, "data/a", write(`"1"`))
	m.ok(update, "data/a", write("2.0"))
	m.refused(update, "data/a", write("-1"), errs.Invalid, mismatch)
	m.refused(update, "data/a", write("null"), errs.Invalid, mismatch) // null is 0, as in Vault
	m.refused(update, "data/a", write(`"`+canary+`"`), errs.Invalid, "error parsing check-and-set parameter")
	m.refused(update, "data/a", write(`{}`), errs.Invalid, "error parsing check-and-set parameter")
	m.refused(patch, "data/a", write("2"), errs.Invalid, mismatch)
	m.ok(patch, "data/a", write("3"))

	m.ok(del, "data/a", "")
	m.refused(update, "data/a", write("0"), errs.Invalid, mismatch) // a deleted secret still has a version
	m.ok(update, "data/a", write("4"))

	m.ok(update, "config", `{"cas_required":true}`)
	m.refused(update, "data/a", `{"data":{}}`, errs.Invalid, required)
	m.refused(patch, "data/a", `{"data":{}}`, errs.Invalid, required)
	m.refused(update, "data/a", `{"data":{},"options":{}}`, errs.Invalid, required)
	m.refused(update, "data/new", `{"data":{}}`, errs.Invalid, required)
	m.ok(update, "data/a", write("5"))
	m.ok(update, "config", `{"cas_required":"false"}`)
	m.ok(update, "metadata/a", `{"cas_required":true}`)
	m.refused(update, "data/a", `{"data":{}}`, errs.Invalid, required)
	m.ok(update, "data/new", `{"data":{}}`)
	m.ok(patch, "metadata/a", `{"cas_required":null}`)
	m.ok(update, "data/a", `{"data":{}}`)
}

// §2.2 Versions: kept = the larger of both settings, else 10; older ones are
// physically gone, and oldest_version is 0 until the first was dropped.
func TestOldVersionsAreDropped(t *testing.T) {
	m := newMount(t)
	write := func(times int) {
		for range times {
			m.ok(update, "data/a", `{"data":{}}`)
		}
	}
	state := func(want string) {
		t.Helper()
		kept := 0
		for key := range m.Stored(t) {
			if strings.HasPrefix(key, "ver/") {
				kept++
			}
		}
		b, err := engine.ParseBody([]byte(m.ok(read, "metadata/a", "")))
		if err != nil {
			t.Fatal(err)
		}
		versions, err := engine.ParseBody(b.Field("versions"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s-%s, %d listed, %d stored", b.Field("oldest_version"), b.Field("current_version"), versions.Len(), kept); got != want {
			t.Errorf("versions %s, want %s", got, want)
		}
	}
	write(9)
	state("0-9, 9 listed, 9 stored")
	write(1)
	state("1-10, 10 listed, 10 stored")
	write(1)
	state("2-11, 10 listed, 10 stored")
	if res := m.answer(read, "data/a", `{"version":1}`); res != nil {
		t.Errorf("a dropped version: %+v, want the plain 404", res)
	}
	m.ok(update, "config", `{"max_versions":3}`)
	write(1)
	state("10-12, 3 listed, 3 stored")
	m.ok(update, "metadata/a", `{"max_versions":5}`)
	write(3)
	state("11-15, 5 listed, 5 stored")
	m.ok(update, "metadata/a", `{"max_versions":1}`) // the mount's 3 is larger
	write(1)
	state("14-16, 3 listed, 3 stored")
	m.ok(update, "config", `{"max_versions":0}`)
	write(1)
	state("17-17, 1 listed, 1 stored")
	m.refused(update, "config", `{"max_versions":401}`, errs.Invalid, "max_versions must be between 0 (the default) and 400")
	m.refused(update, "metadata/a", `{"max_versions":-1}`, errs.Invalid, "max_versions must be between")
	m.refused(update, "metadata/a", `{"max_versions":"`+canary+`"}`, errs.Invalid, `"max_versions"`)
}

// MaxVersions is chosen so that the largest secret can lose all its versions in
// one transaction, by lowering the limit as well as by deletion.
func TestMostVersions(t *testing.T) {
	m := newMount(t)
	m.ok(update, "config", fmt.Sprintf(`{"max_versions":%d}`, MaxVersions))
	for range MaxVersions + 1 {
		m.ok(update, "data/a", `{"data":{}}`)
		m.ok(update, "data/b", `{"data":{}}`)
	}
	if got := len(m.Stored(t)); got != 1+2+2*MaxVersions {
		t.Fatalf("%d keys are stored", got)
	}
	m.ok(del, "metadata/a", "")
	if got := len(m.Stored(t)); got != 1+1+MaxVersions {
		t.Errorf("%d keys are left after a deletion", got)
	}
	m.ok(update, "config", `{"max_versions":1}`)
	m.ok(update, "data/b", `{"data":{}}`)
	if got := len(m.Stored(t)); got != 1+1+1 {
		t.Errorf("%d keys are left after the limit was lowered", got)
	}
}

// §2.2: a deleted or destroyed version is 404 with the full envelope body.
func TestDeleteUndeleteDestroy(t *testing.T) {
	m := newMount(t)
	created := stamp(m)
	for range 3 {
		m.ok(update, "data/a", `{"data":{"x":"y"}}`)
	}
	m.Advance(time.Second)
	deleted := stamp(m)
	m.want(del, "data/a", "", "")
	gone := `{"data":null,"metadata":` + info(created, deleted, false, 3) + `}`
	m.gone(read, "data/a", "", gone)
	m.gone(read, "data/a", `{"version":3}`, gone)
	m.gone(patch, "data/a", `{"data":{"x":"z"}}`, gone)
	m.Advance(time.Second)
	m.want(del, "data/a", "", "") // again: nothing changes
	m.gone(read, "data/a", "", gone)
	m.want(read, "data/a", `{"version":2}`, `{"data":{"x":"y"},"metadata":`+info(created, "", false, 2)+`}`)

	m.want(update, "undelete/a", `{"versions":[3, 99, "-1", 0]}`, "")
	m.want(read, "data/a", "", `{"data":{"x":"y"},"metadata":`+info(created, "", false, 3)+`}`)

	m.want(update, "delete/a", `{"versions":"1,3"}`, "")
	m.gone(read, "data/a", `{"version":1}`, `{"data":null,"metadata":`+info(created, stamp(m), false, 1)+`}`)
	m.want(update, "destroy/a", `{"versions":["1","2"]}`, "")
	m.gone(read, "data/a", `{"version":1}`, `{"data":null,"metadata":`+info(created, stamp(m), true, 1)+`}`)
	m.gone(read, "data/a", `{"version":2}`, `{"data":null,"metadata":`+info(created, "", true, 2)+`}`)
	m.want(update, "undelete/a", `{"versions":[1,2,3]}`, "")
	m.gone(read, "data/a", `{"version":1}`, `{"data":null,"metadata":`+info(created, stamp(m), true, 1)+`}`)
	for key, value := range m.Stored(t) {
		if strings.HasPrefix(key, "ver/") && key != "ver/a/3" {
			t.Errorf("%s is still stored: %q", key, value)
		}
	}
	m.want(update, "destroy/a", `{"versions":3}`, "")
	m.gone(patch, "data/a", `{"data":{}}`, `{"data":null,"metadata":`+info(created, "", true, 3)+`}`)
}

// §2.2: unknown versions and secrets are 204; no versions at all is a 400.
func TestVersionsField(t *testing.T) {
	m := newMount(t)
	for _, op := range []string{"delete", "undelete", "destroy"} {
		m.want(update, op+"/none", `{"versions":[1]}`, "")
		for _, body := range []string{``, `{}`, `{"versions":[]}`, `{"versions":""}`, `{"versions":null}`} {
			m.refused(update, op+"/a", body, errs.Invalid, "No version number provided")
		}
		for _, body := range []string{`{"versions":"` + canary + `"}`, `{"versions":{}}`, `{"versions":[1.5]}`} {
			m.refused(update, op+"/a", body, errs.Invalid, `field "versions"`)
		}
	}
	m.want(del, "data/none", "", "")
	m.want(del, "metadata/none", "", "")
	m.ok(update, "metadata/empty", `{}`)
	m.want(del, "data/empty", "", "")
	if res := m.answer(read, "data/empty", ""); res != nil {
		t.Errorf("a secret without versions: %+v, want the plain 404", res)
	}
}

// §2.2 PATCH data.
func TestPatchData(t *testing.T) {
	m := newMount(t)
	notFound := func(path string) {
		t.Helper()
		res := m.answer(patch, path, `{"data":{"x":1}}`)
		if res == nil || res.Raw == nil || res.Raw.Status != 404 || strings.TrimSpace(string(res.Raw.Body)) != `{"errors":[]}` {
			t.Errorf("patching %s: %+v, want the plain 404", path, res)
		}
	}
	notFound("data/none")
	m.ok(update, "metadata/empty", `{}`)
	notFound("data/empty")

	m.ok(update, "data/a", `{"data":{"z":1.0,"nested":{"keep":"k","drop":"d"},"a":[1, 2]}}`)
	m.want(patch, "data/a", `{"data":{"nested":{"drop":null,"new":{"x":null,"y":1}},"b":"B"}}`, info(stamp(m), "", false, 2))
	if got, want := m.ok(read, "data/a", ""), `{"data":{"z":1.0,"nested":{"keep":"k","new":{"y":1}},"a":[1, 2],"b":"B"},"metadata":`; !strings.HasPrefix(got, want) {
		t.Errorf("patched to %s, want %s", got, want)
	}
	m.refused(patch, "data/a", `{}`, errs.Invalid, "no data provided")
	m.refused(patch, "data/a", `{"data":"`+canary+`"}`, errs.Invalid, `field "data" must be an object`)
	half := strings.Repeat("x", MaxData/2)
	m.ok(patch, "data/a", `{"data":{"big1":"`+half+`"}}`)
	m.refused(patch, "data/a", `{"data":{"big2":"`+half+`"}}`, errs.TooLarge, "over the limit")
}

// §2.2 delete_version_after: the smaller of both settings, a negative one of
// the mount turns it off, stamped at write and again at undelete.
func TestDeleteVersionAfter(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		mount, secret string
		want          time.Duration
	}{
		{"0s", "0s", never}, {"1h", "0s", time.Hour}, {"0s", "1h", time.Hour}, {"1h", "30m", 30 * time.Minute},
		{"30m", "1h", 30 * time.Minute}, {"-1s", "0s", never}, {"-1s", "1h", never}, {"1h", "-1s", time.Hour}, {"2d", "0", 48 * time.Hour},
	} {
		m := newMount(t)
		m.ok(update, "config", `{"delete_version_after":"`+c.mount+`"}`)
		m.ok(update, "metadata/a", `{"delete_version_after":"`+c.secret+`"}`)
		created, until := stamp(m), ""
		if c.want != never {
			until = m.Now().Add(c.want).Format(time.RFC3339Nano)
		}
		m.want(update, "data/a", `{"data":{}}`, info(created, until, false, 1))
		if c.want == never {
			continue
		}
		m.Advance(c.want - 1)
		m.want(read, "data/a", "", `{"data":{},"metadata":`+info(created, until, false, 1)+`}`)
		m.Advance(1)
		m.gone(read, "data/a", "", `{"data":null,"metadata":`+info(created, until, false, 1)+`}`)
		m.Advance(time.Second)
		m.ok(update, "undelete/a", `{"versions":[1]}`)
		again := m.Now().Add(c.want).Format(time.RFC3339Nano)
		m.want(read, "data/a", "", `{"data":{},"metadata":`+info(created, again, false, 1)+`}`)
		m.ok(del, "data/a", "") // before its time
		m.gone(read, "data/a", "", `{"data":null,"metadata":`+info(created, stamp(m), false, 1)+`}`)
	}
}

// §2.2 subkeys.
func TestSubkeys(t *testing.T) {
	m := newMount(t)
	m.ok(update, "data/a", `{"data":{"s":"`+canary+`","n":1.0,"o":{"p":{"q":"r"},"e":{}},"l":[{"x":1}],"nil":null}}`)
	meta := `{"subkeys":%s,"metadata":` + info(stamp(m), "", false, 1) + `}`
	for body, want := range map[string]string{
		``:                          `{"s":null,"n":null,"o":{"p":{"q":null},"e":null},"l":null,"nil":null}`,
		`{"depth":"0"}`:             `{"s":null,"n":null,"o":{"p":{"q":null},"e":null},"l":null,"nil":null}`,
		`{"depth":1}`:               `{"s":null,"n":null,"o":null,"l":null,"nil":null}`,
		`{"depth":2}`:               `{"s":null,"n":null,"o":{"p":null,"e":null},"l":null,"nil":null}`,
		`{"depth":9,"version":"1"}`: `{"s":null,"n":null,"o":{"p":{"q":null},"e":null},"l":null,"nil":null}`,
	} {
		m.want(read, "subkeys/a", body, fmt.Sprintf(meta, want))
	}
	m.refused(read, "subkeys/a", `{"depth":-1}`, errs.Invalid, "depth must be")
	m.refused(read, "subkeys/a", `{"depth":"`+canary+`"}`, errs.Invalid, `"depth"`)
	if res := m.answer(read, "subkeys/none", ""); res != nil {
		t.Errorf("no secret: %+v", res)
	}
	if res := m.answer(read, "subkeys/a", `{"version":2}`); res != nil {
		t.Errorf("no version: %+v", res)
	}
	m.ok(update, "data/a", `{"data":{}}`)
	m.want(read, "subkeys/a", "", `{"subkeys":{},"metadata":`+info(stamp(m), "", false, 2)+`}`)
	m.ok(del, "data/a", "")
	m.gone(read, "subkeys/a", "", `{"subkeys":null,"metadata":`+info(stamp(m), stamp(m), false, 2)+`}`)
}

// Removing a secret leaves nothing, and a new one of the same name begins at 1.
func TestDeleteMetadata(t *testing.T) {
	m := newMount(t)
	for range 3 {
		m.ok(update, "data/a", `{"data":{"x":"`+canary+`"}}`)
	}
	m.ok(update, "destroy/a", `{"versions":[2]}`)
	m.want(del, "metadata/a", "", "")
	if stored := m.Stored(t); len(stored) != 0 {
		t.Errorf("left behind: %v", stored)
	}
	m.want(update, "data/a", `{"data":{},"options":{"cas":0}}`, info(stamp(m), "", false, 1))
}
