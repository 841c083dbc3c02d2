package v2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// §2.2 config GET.
func TestConfig(t *testing.T) {
	m := newMount(t)
	m.want(read, "config", "", `{"cas_required":false,"delete_version_after":"0s","max_versions":0}`)
	m.want(update, "config", `{"max_versions":"5","cas_required":"true","delete_version_after":"3h25m19s"}`, "")
	m.want(read, "config", "", `{"cas_required":true,"delete_version_after":"3h25m19s","max_versions":5}`)
	m.ok(update, "config", `{"delete_version_after":60}`)
	m.want(read, "config", "", `{"cas_required":true,"delete_version_after":"1m0s","max_versions":5}`)
	m.ok(update, "config", `{"delete_version_after":"-1s","cas_required":false}`)
	m.want(read, "config", "", `{"cas_required":false,"delete_version_after":"-1s","max_versions":5}`)
	for body, text := range map[string]string{
		`{"max_versions":"` + canary + `"}`:         `"max_versions"`,
		`{"max_versions":-1}`:                       "max_versions must be between",
		`{"cas_required":"` + canary + `"}`:         `"cas_required"`,
		`{"delete_version_after":"` + canary + `"}`: `"delete_version_after"`,
	} {
		m.refused(update, "config", body, errs.Invalid, text)
	}
}

// §2.2 metadata GET, with OpenBao's two additions.
func TestReadMetadata(t *testing.T) {
	m := newMount(t)
	if res := m.answer(read, "metadata/a", ""); res != nil {
		t.Errorf("no secret: %+v, want nothing", res)
	}
	created := stamp(m)
	m.want(update, "metadata/a", `{"max_versions":"7","cas_required":false,"delete_version_after":"1h","custom_metadata":{"owner":"team","b":"<é>"}}`, "")
	settings := func(metaVersion, current int, updated, versions string) string {
		return fmt.Sprintf(`{"cas_required":false,"created_time":%q,"current_metadata_version":%d,"current_version":%d,`+
			`"custom_metadata":{"b":"<é>","owner":"team"},"delete_version_after":"1h0m0s","max_versions":7,"metadata_cas_required":false,`+
			`"oldest_version":0,"updated_time":%q,"versions":%s}`, created, metaVersion, current, updated, versions)
	}
	m.want(read, "metadata/a", "", settings(1, 0, created, `{}`))
	m.Advance(time.Second)
	updated, until := stamp(m), m.Now().Add(time.Hour).Format(time.RFC3339Nano)
	if got := m.ok(update, "data/a", `{"data":{}}`); !strings.Contains(got, `"custom_metadata":{"b":"<é>","owner":"team"}`) {
		t.Errorf("a write does not show custom metadata: %s", got)
	}
	one := fmt.Sprintf(`"1":{"created_time":%q,"deletion_time":%q,"destroyed":false}`, updated, until)
	m.want(read, "metadata/a", "", settings(1, 1, updated, `{`+one+`}`))
	m.ok(update, "metadata/a", `{"delete_version_after":"1h"}`)
	m.ok(update, "data/a", `{"data":{}}`)
	two := strings.Replace(one, `"1"`, `"2"`, 1)
	m.want(read, "metadata/a", "", settings(2, 2, updated, `{`+one+`,`+two+`}`))
	m.ok(update, "destroy/a", `{"versions":1}`)
	m.want(read, "metadata/a", "", settings(2, 2, updated, `{`+strings.Replace(one, "false", "true", 1)+`,`+two+`}`))
}

func TestCustomMetadata(t *testing.T) {
	m := newMount(t)
	shown := func(want string) {
		t.Helper()
		if got := m.ok(read, "metadata/a", ""); !strings.Contains(got, `"custom_metadata":`+want+`,`) {
			t.Errorf("custom metadata in %s, want %s", got, want)
		}
	}
	m.ok(update, "metadata/a", `{"custom_metadata":{"a":"1","b":"2"}}`)
	shown(`{"a":"1","b":"2"}`)
	m.ok(update, "metadata/a", `{"max_versions":1}`)
	shown(`{"a":"1","b":"2"}`)
	m.ok(patch, "metadata/a", `{"custom_metadata":{"a":null,"c":"3","none":null}}`)
	shown(`{"b":"2","c":"3"}`)
	m.ok(update, "metadata/a", `{"custom_metadata":{"d":"4"}}`)
	shown(`{"d":"4"}`)
	m.ok(patch, "metadata/a", `{"custom_metadata":null}`)
	shown(`null`)
	m.ok(update, "metadata/a", `{"custom_metadata":{}}`)
	shown(`null`)

	many := func(n int) string {
		members := make([]string, n)
		for i := range members {
			members[i] = fmt.Sprintf(`"k%d":"v"`, i)
		}
		return `{"custom_metadata":{` + strings.Join(members, ",") + `}}`
	}
	one := func(name, value string) string { return `{"custom_metadata":{"` + name + `":"` + value + `"}}` }
	m.ok(update, "metadata/a", many(64))
	m.ok(update, "metadata/a", one(strings.Repeat("k", 128), strings.Repeat("v", 512)))
	for body, text := range map[string]string{
		many(65):                           "payload must contain at most 64 keys, provided 65",
		one(strings.Repeat("k", 129), ""):  "a key has 129 bytes, over the limit of 128",
		one("k", strings.Repeat("v", 513)): "a value has 513 bytes, over the limit of 512",
		one("k", `a\nb`):                   "unprintable",
		one(`a\u0000`, ""):                 "unprintable",
		one("", "v"):                       "a key is empty",
		`{"custom_metadata":{"` + canary + `":{"` + canary + `":1}}}`: "values are strings",
		`{"custom_metadata":{"a":null}}`:                              "values are strings",
		`{"custom_metadata":{"a":1}}`:                                 "values are strings",
		`{"custom_metadata":"` + canary + `"}`:                        "must be an object",
		`{"custom_metadata":["` + canary + `"]}`:                      "must be an object",
	} {
		m.refused(update, "metadata/a", body, errs.Invalid, text)
	}
	m.refused(patch, "metadata/a", many(64), errs.Invalid, "provided 65") // with the one that is there
}

func TestPatchMetadata(t *testing.T) {
	m := newMount(t)
	res := m.answer(patch, "metadata/none", `{"max_versions":1}`)
	if res == nil || res.Raw == nil || res.Raw.Status != 404 || len(m.Stored(t)) != 0 {
		t.Errorf("patching nothing: %+v, want the plain 404", res)
	}
	m.ok(update, "metadata/a", `{"max_versions":3,"cas_required":true,"delete_version_after":"1h","metadata_cas_required":true}`)
	m.ok(patch, "metadata/a", `{"max_versions":4,"metadata_cas":1}`)
	if got := m.ok(read, "metadata/a", ""); !strings.Contains(got, `"max_versions":4`) || !strings.Contains(got, `"cas_required":true`) || !strings.Contains(got, `"1h0m0s"`) {
		t.Errorf("a patch changed what it did not name: %s", got)
	}
	m.ok(patch, "metadata/a", `{"max_versions":null,"cas_required":null,"delete_version_after":null,"metadata_cas_required":null,"metadata_cas":2}`)
	if got := m.ok(read, "metadata/a", ""); !strings.Contains(got, `"max_versions":0`) || strings.Contains(got, "true") || !strings.Contains(got, `"0s"`) {
		t.Errorf("null did not put back the defaults: %s", got)
	}
}

// OpenBao's check-and-set for metadata.
func TestMetadataCAS(t *testing.T) {
	m := newMount(t)
	m.refused(update, "metadata/a", `{"metadata_cas":1}`, errs.Invalid, "did not match")
	m.ok(update, "metadata/a", `{"metadata_cas":0,"metadata_cas_required":true}`)
	m.refused(update, "metadata/a", `{}`, errs.Invalid, "required for this call")
	m.refused(patch, "metadata/a", `{}`, errs.Invalid, "required for this call")
	m.refused(update, "metadata/a", `{"metadata_cas":0}`, errs.Invalid, "did not match")
	m.refused(update, "metadata/a", `{"metadata_cas":-1}`, errs.Invalid, "did not match")
	m.refused(update, "metadata/a", `{"metadata_cas":"`+canary+`"}`, errs.Invalid, `"metadata_cas"`)
	m.ok(update, "metadata/a", `{"metadata_cas":"1"}`)
	m.ok(update, "data/a", `{"data":{}}`) // data has a check of its own
}

// §1.1 row 21 LIST, §2.1: no names is a nil answer, which is 404.
func TestList(t *testing.T) {
	m := newMount(t)
	for _, path := range []string{"metadata", "metadata/", "metadata/none", "metadata/none/"} {
		if res := m.answer(list, path, ""); res != nil {
			t.Errorf("LIST %s: %+v, want nothing", path, res)
		}
	}
	for _, key := range []string{"b", "a/y", "a/x", "a", "c/d/e", "B"} {
		m.ok(update, "data/"+key, `{"data":{}}`)
	}
	for _, path := range []string{"metadata", "metadata/"} {
		m.want(list, path, "", `{"keys":["B","a","a/","b","c/"]}`)
	}
	m.want(list, "metadata/a", "", `{"keys":["x","y"]}`)
	m.want(list, "metadata/a/", "", `{"keys":["x","y"]}`)
	m.want(list, "metadata/c/", "", `{"keys":["d/"]}`)
	m.want(list, "metadata/", `{"after":"a","limit":"2"}`, `{"keys":["a/","b"]}`)
	if res := m.answer(list, "metadata/b", ""); res != nil {
		t.Errorf("LIST of a secret: %+v, want nothing", res)
	}
	m.refused(list, "metadata/", `{"limit":"`+canary+`"}`, errs.Invalid, `"limit"`)
	m.ok(del, "data/b", "")
	m.want(list, "metadata/", `{"after":"a/"}`, `{"keys":["b","c/"]}`) // deleted versions keep the name
	m.ok(del, "metadata/b", "")
	m.want(list, "metadata/", `{"after":"a/"}`, `{"keys":["c/"]}`)
}
