package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// §2.2, KV v1.
func TestKV1(t *testing.T) {
	v := start(t)
	kv := v.KVv1("kv")
	ctx := t.Context()
	check(t, kv.Put(ctx, "app/config", map[string]any{"user": "u", "n": 1, "list": []string{"a"}, "nothing": nil}))
	s := must[*vault.KVSecret](t)(kv.Get(ctx, "app/config"))
	if s.Data["user"] != "u" || s.Data["n"] != json.Number("1") || s.Data["nothing"] != nil {
		t.Errorf("data %v", s.Data)
	}
	raw := must[*vault.Secret](t)(v.Logical().Read("kv/app/config"))
	if raw.LeaseDuration != 2764800 || raw.LeaseID != "" || raw.Renewable {
		t.Errorf("lease %q %d", raw.LeaseID, raw.LeaseDuration)
	}
	for field, want := range map[string]int{`"ttl":"1h"`: 3600, `"ttl":90`: 90, `"lease":"2m"`: 120, `"ttl":"often"`: 2764800} {
		wantStatus(t, send(v, "PUT", "kv/t", `{"x":"1",`+field+`}`), 204)
		if a := send(v, "GET", "kv/t", ""); !strings.Contains(a.Body, fmt.Sprintf(`"lease_duration":%d,`, want)) || !strings.Contains(a.Body, field) {
			t.Errorf("%s: %s", field, a.Body)
		}
	}
	wantErrors(t, send(v, "PUT", "kv/a", `{}`), 400, "missing data fields")
	wantErrors(t, send(v, "PATCH", "kv/t", `{"x":"2"}`, "Content-Type", "application/merge-patch+json"), 405, textOperation)
	check(t, kv.Delete(ctx, "app/config"))
	check(t, kv.Delete(ctx, "app/config"))
	if _, err := kv.Get(ctx, "app/config"); err == nil || !strings.Contains(err.Error(), "secret not found") {
		t.Errorf("after the deletion: %v", err)
	}
	wantStatus(t, send(v, "GET", "kv/", ""), 400)
}

// §1.1 rows 18 and 19, §2.2: versions by the client's helpers.
func TestKV2Versions(t *testing.T) {
	v := start(t)
	kv := v.KVv2("secret")
	ctx := t.Context()
	for i := 1; i <= 3; i++ {
		s := must[*vault.KVSecret](t)(kv.Put(ctx, "app/config", map[string]any{"n": i}))
		if s.VersionMetadata.Version != i || s.VersionMetadata.CreatedTime.IsZero() || s.VersionMetadata.Destroyed {
			t.Errorf("write %d: %+v", i, s.VersionMetadata)
		}
	}
	for version, want := range map[int]string{0: "3", 1: "1", 2: "2", 3: "3"} {
		s := must[*vault.KVSecret](t)(kv.GetVersion(ctx, "app/config", version))
		if s.Data["n"] != json.Number(want) {
			t.Errorf("version %d: %v", version, s.Data)
		}
	}
	wantErrors(t, send(v, "GET", "secret/data/app/config?version=4", ""), 404) // unknown version
	wantErrors(t, send(v, "GET", "secret/data/none", ""), 404)
	wantStatus(t, send(v, "GET", "secret/data/app/config?version=x", ""), 400)
	wantStatus(t, send(v, "GET", "secret/data/app/config?version=-1", ""), 400)
	list := must[[]vault.KVVersionMetadata](t)(kv.GetVersionsAsList(ctx, "app/config"))
	if len(list) != 3 || list[2].Version != 3 {
		t.Errorf("versions %+v", list)
	}
	back := must[*vault.KVSecret](t)(kv.Rollback(ctx, "app/config", 1))
	if back.VersionMetadata.Version != 4 {
		t.Errorf("rollback wrote %+v", back.VersionMetadata)
	}
	d := data(t, send(v, "GET", "secret/data/app/config", ""))
	wantKeys(t, "data", d, "data", "metadata")
	wantKeys(t, "metadata", d["metadata"].(map[string]any), "version", "created_time", "deletion_time", "destroyed", "custom_metadata")
	wantKeys(t, "a write's data", data(t, send(v, "PUT", "secret/data/k", `{"data":{}}`)), "version", "created_time", "deletion_time", "destroyed", "custom_metadata")
	// Byte for byte: numbers, order and escapes stay as they came.
	wantStatus(t, send(v, "PUT", "secret/data/raw", `{"data":{"z":1.0,"a":12345678901234567890,"e":"\u00e9","o":{ }}}`), 200)
	if a := send(v, "GET", "secret/data/raw", ""); !strings.Contains(a.Body, `{"data":{"z":1.0,"a":12345678901234567890,"e":"\u00e9","o":{ }},`) {
		t.Errorf("the data changed: %s", a.Body)
	}
}

// §2.2: check-and-set, its texts and its weak decoding.
func TestKV2CheckAndSet(t *testing.T) {
	v := start(t)
	const mismatch, required = "check-and-set parameter did not match the current version", "check-and-set parameter required for this call"
	for i, c := range []struct {
		path, body string
		status     int
		text       string
	}{
		{"a", `{"data":{},"options":{"cas":1}}`, 400, mismatch},
		{"a", `{"data":{},"options":{"cas":0}}`, 200, ""},
		{"a", `{"data":{},"options":{"cas":0}}`, 400, mismatch},
		{"a", `{"data":{},"options":{"cas":"1"}}`, 200, ""},
		{"a", `{"data":{},"options":{"cas":2.0}}`, 200, ""},
		{"a", `{"data":{},"options":{"cas":-1}}`, 400, mismatch},
		{"a", `{"data":{},"options":{"cas":"x"}}`, 400, ""},
		{"a", `{"data":{},"options":{}}`, 200, ""},
		{"a", `{"options":{"cas":4}}`, 400, "no data provided"},
		{"a", `{"data":null}`, 400, "no data provided"},
		{"a", `{"data":"text"}`, 400, ""},
		{"a", `{}`, 400, "no data provided"},
	} {
		a := send(v, "PUT", "secret/data/"+c.path, c.body)
		if a.Status != c.status {
			t.Errorf("step %d: %d %s", i, a.Status, a.Body)
		} else if c.text != "" {
			wantErrors(t, a, 400, c.text)
		}
	}
	// A deleted key still has a version above 0.
	wantStatus(t, send(v, "DELETE", "secret/data/a", ""), 204)
	wantErrors(t, send(v, "PUT", "secret/data/a", `{"data":{},"options":{"cas":0}}`), 400, mismatch)
	must[*vault.KVSecret](t)(v.KVv2("secret").Put(t.Context(), "a", map[string]any{"x": 1}, vault.WithCheckAndSet(4)))
	// Required by the key, or by the mount.
	wantStatus(t, send(v, "PUT", "secret/metadata/key", `{"cas_required":true}`), 204)
	wantErrors(t, send(v, "PUT", "secret/data/key", `{"data":{}}`), 400, required)
	wantStatus(t, send(v, "PUT", "secret/data/key", `{"data":{},"options":{"cas":0}}`), 200)
	wantStatus(t, send(v, "PUT", "secret/config", `{"cas_required":true}`), 204)
	wantErrors(t, send(v, "PUT", "secret/data/other", `{"data":{}}`), 400, required)
	wantErrors(t, send(v, "PATCH", "secret/data/a", `{"data":{}}`, "Content-Type", "application/merge-patch+json"), 400, required)
}

// §1.1 row 20, §2.2: deleted and destroyed versions are 404 with a full body.
func TestKV2DeleteUndeleteDestroy(t *testing.T) {
	v := start(t)
	kv := v.KVv2("secret")
	ctx := t.Context()
	for i := range 3 {
		must[*vault.KVSecret](t)(kv.Put(ctx, "a", map[string]any{"n": i + 1}))
	}
	gone := func(version int, destroyed bool) {
		t.Helper()
		a := send(v, "GET", fmt.Sprintf("secret/data/a?version=%d", version), "")
		wantStatus(t, a, 404)
		d := data(t, a)
		m := d["metadata"].(map[string]any)
		if d["data"] != nil || m["version"] != float64(version) || m["destroyed"] != destroyed || !destroyed && m["deletion_time"] == "" {
			t.Errorf("version %d: %s", version, a.Body)
		}
		s := must[*vault.KVSecret](t)(kv.GetVersion(ctx, "a", version)) // no error: the client reads the body of the 404
		if s.Data != nil || s.VersionMetadata.Version != version {
			t.Errorf("version %d by the client: %+v", version, s)
		}
	}
	check(t, kv.Delete(ctx, "a"))
	gone(3, false)
	check(t, kv.DeleteVersions(ctx, "a", []int{1, 99}))
	gone(1, false)
	check(t, kv.Undelete(ctx, "a", []int{1, 3, 99}))
	for _, version := range []int{1, 2, 3} {
		if s := must[*vault.KVSecret](t)(kv.GetVersion(ctx, "a", version)); s.Data == nil {
			t.Errorf("version %d is gone after undelete", version)
		}
	}
	check(t, kv.Destroy(ctx, "a", []int{2, 99}))
	gone(2, true)
	check(t, kv.Undelete(ctx, "a", []int{2}))
	gone(2, true)
	for _, op := range []string{"delete", "undelete", "destroy"} {
		for _, body := range []string{`{}`, `{"versions":[]}`} {
			wantErrors(t, send(v, "PUT", "secret/"+op+"/a", body), 400, "No version number provided")
		}
		wantStatus(t, send(v, "PUT", "secret/"+op+"/a", `{"versions":["x"]}`), 400)
		wantStatus(t, send(v, "PUT", "secret/"+op+"/none", `{"versions":"1,2"}`), 204)
	}
	check(t, kv.DeleteMetadata(ctx, "a"))
	wantErrors(t, send(v, "GET", "secret/data/a", ""), 404)
	wantErrors(t, send(v, "GET", "secret/metadata/a", ""), 404)
	if s := must[*vault.KVSecret](t)(kv.Put(ctx, "a", map[string]any{})); s.VersionMetadata.Version != 1 {
		t.Errorf("after the metadata was deleted, version %d", s.VersionMetadata.Version)
	}
}

// §1.1 row 19, §2.2: JSON merge patch.
func TestKV2Patch(t *testing.T) {
	v := start(t)
	kv := v.KVv2("secret")
	ctx := t.Context()
	must[*vault.KVSecret](t)(kv.Put(ctx, "a", map[string]any{"keep": "1", "drop": "1", "deep": map[string]any{"x": 1, "y": 2}}))
	s := must[*vault.KVSecret](t)(kv.Patch(ctx, "a", map[string]any{"drop": nil, "deep": map[string]any{"y": 3}, "new": "n"}, vault.WithMergeMethod("patch")))
	if s.VersionMetadata.Version != 2 {
		t.Errorf("a patch made version %d", s.VersionMetadata.Version)
	}
	got := must[*vault.KVSecret](t)(kv.Get(ctx, "a")).Data
	want := map[string]any{"keep": "1", "deep": map[string]any{"x": json.Number("1"), "y": json.Number("3")}, "new": "n"}
	if !equal(got, want) {
		t.Errorf("patched to %v, want %v", got, want)
	}
	must[*vault.KVSecret](t)(kv.Patch(ctx, "a", map[string]any{"rw": "1"}, vault.WithMergeMethod("rw")))
	patch := func(path, body string) (int, string) {
		a := send(v, "PATCH", "secret/data/"+path, body, "Content-Type", "application/merge-patch+json")
		return a.Status, a.Body
	}
	if status, body := patch("none", `{"data":{"a":1}}`); status != 404 || body != emptyErrors {
		t.Errorf("patching what is not there: %d %s", status, body)
	}
	if status, body := patch("a", `{"data":{"a":1},"options":{"cas":1}}`); status != 400 || !strings.Contains(body, "did not match") {
		t.Errorf("patching an old version: %d %s", status, body)
	}
	if status, _ := patch("a", `{"data":{"a":1},"options":{"cas":3}}`); status != 200 {
		t.Errorf("patching with the right cas: %d", status)
	}
	check(t, kv.Delete(ctx, "a"))
	if status, body := patch("a", `{"data":{"a":1}}`); status != 404 || !strings.Contains(body, `"deletion_time":"2`) {
		t.Errorf("patching a deleted version: %d %s", status, body)
	}
	if _, err := kv.Patch(ctx, "none", map[string]any{"a": 1}, vault.WithMergeMethod("patch")); err == nil {
		t.Error("the client patched what is not there")
	}
}

// §1.1 row 21, §2.2: metadata and its limits.
func TestKV2Metadata(t *testing.T) {
	v := start(t)
	kv := v.KVv2("secret")
	ctx := t.Context()
	check(t, kv.PutMetadata(ctx, "a", vault.KVMetadataPutInput{MaxVersions: 3, CASRequired: false, CustomMetadata: map[string]any{"owner": "team-a", "x": "y"}}))
	for i := range 5 {
		must[*vault.KVSecret](t)(kv.Put(ctx, "a", map[string]any{"n": i}))
	}
	m := must[*vault.KVMetadata](t)(kv.GetMetadata(ctx, "a"))
	if m.CurrentVersion != 5 || m.MaxVersions != 3 || m.CustomMetadata["owner"] != "team-a" || m.UpdatedTime.IsZero() {
		t.Errorf("metadata %+v", m)
	}
	wantKeys(t, "versions", m.Versions, "3", "4", "5")
	wantKeys(t, "metadata", data(t, send(v, "GET", "secret/metadata/a", "")), "versions", "current_version", "oldest_version", "created_time", "updated_time",
		"max_versions", "cas_required", "delete_version_after", "custom_metadata", "current_metadata_version", "metadata_cas_required")
	yes, three := true, 3
	check(t, kv.PatchMetadata(ctx, "a", vault.KVMetadataPatchInput{CASRequired: &yes, MaxVersions: &three, CustomMetadata: map[string]any{"x": nil, "z": "1"}}))
	m = must[*vault.KVMetadata](t)(kv.GetMetadata(ctx, "a"))
	if !m.CASRequired || !equal(m.CustomMetadata, map[string]any{"owner": "team-a", "z": "1"}) {
		t.Errorf("patched metadata %+v", m)
	}
	if s := must[*vault.KVSecret](t)(kv.Get(ctx, "a")); !equal(s.CustomMetadata, map[string]any{"owner": "team-a", "z": "1"}) {
		t.Errorf("custom metadata of a read: %v", s.CustomMetadata)
	}
	wantErrors(t, send(v, "PATCH", "secret/metadata/none", `{"max_versions":1}`, "Content-Type", "application/merge-patch+json"), 404)
	many := map[string]string{}
	for i := range 65 {
		many[fmt.Sprint(i)] = "x"
	}
	tooMany := must[[]byte](t)(json.Marshal(map[string]any{"custom_metadata": many}))
	for name, body := range map[string]string{
		"65 keys":       string(tooMany),
		"long key":      `{"custom_metadata":{"` + strings.Repeat("k", 129) + `":"x"}}`,
		"long value":    `{"custom_metadata":{"k":"` + strings.Repeat("v", 513) + `"}}`,
		"unprintable":   `{"custom_metadata":{"k":"a\u0007b"}}`,
		"not a string":  `{"custom_metadata":{"k":{}}}`,
		"no object":     `{"custom_metadata":"k=v"}`,
		"negative":      `{"max_versions":-1}`,
		"bad duration":  `{"delete_version_after":"soon"}`,
		"many versions": `{"max_versions":1000000}`,
	} {
		if a := send(v, "PUT", "secret/metadata/a", body); a.Status != 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	wantStatus(t, send(v, "PUT", "secret/metadata/new", `{"custom_metadata":{"only":"metadata"}}`), 204)
	wantErrors(t, send(v, "GET", "secret/data/new", ""), 404)
	list := must[*vault.Secret](t)(v.Logical().List("secret/metadata"))
	if !equal(list.Data["keys"], []any{"a", "new"}) {
		t.Errorf("keys %v", list.Data)
	}
}

// §2.2: how many versions are kept, and when they end by themselves.
func TestKV2LimitsAndExpiry(t *testing.T) {
	v, clock := startAt(t)
	kv := v.KVv2("secret")
	ctx := t.Context()
	if d := data(t, send(v, "GET", "secret/config", "")); d["max_versions"] != 0.0 || d["cas_required"] != false || d["delete_version_after"] != "0s" {
		t.Errorf("config of a new mount: %v", d)
	}
	for range 12 {
		must[*vault.KVSecret](t)(kv.Put(ctx, "ten", map[string]any{}))
	}
	m := must[*vault.KVMetadata](t)(kv.GetMetadata(ctx, "ten"))
	if len(m.Versions) != 10 || m.OldestVersion != 3 {
		t.Errorf("%d versions are kept, the oldest %d", len(m.Versions), m.OldestVersion)
	}
	wantErrors(t, send(v, "GET", "secret/data/ten?version=2", ""), 404)
	wantStatus(t, send(v, "PUT", "secret/config", `{"max_versions":2,"delete_version_after":"1h"}`), 204)
	for range 3 {
		must[*vault.KVSecret](t)(kv.Put(ctx, "two", map[string]any{}))
	}
	if m := must[*vault.KVMetadata](t)(kv.GetMetadata(ctx, "two")); len(m.Versions) != 2 || m.OldestVersion != 2 {
		t.Errorf("%d versions are kept, the oldest %d", len(m.Versions), m.OldestVersion)
	}
	// min of what mount and key say; a longer time of the key has no effect.
	for key, c := range map[string]struct {
		setting string
		after   time.Duration
	}{"short": {"30m", 30 * time.Minute}, "long": {"48h", time.Hour}, "none": {"0s", time.Hour}} {
		wantStatus(t, send(v, "PUT", "secret/metadata/"+key, `{"delete_version_after":"`+c.setting+`"}`), 204)
		s := must[*vault.KVSecret](t)(kv.Put(ctx, key, map[string]any{"x": 1}))
		if got := s.VersionMetadata.DeletionTime.Sub(s.VersionMetadata.CreatedTime); got != c.after {
			t.Errorf("%s: deleted after %s, want %s", key, got, c.after)
		}
	}
	wantStatus(t, send(v, "GET", "secret/data/short", ""), 200)
	clock.advance(31 * time.Minute)
	a := send(v, "GET", "secret/data/short", "")
	wantStatus(t, a, 404)
	if data(t, a)["metadata"] == nil {
		t.Errorf("an expired version: %s", a.Body)
	}
	check(t, kv.Undelete(ctx, "short", []int{1})) // stamped anew
	wantStatus(t, send(v, "GET", "secret/data/short", ""), 200)
	clock.advance(31 * time.Minute)
	wantStatus(t, send(v, "GET", "secret/data/short", ""), 404)
	wantStatus(t, send(v, "PUT", "secret/config", `{"delete_version_after":"-1s"}`), 204)
	if s := must[*vault.KVSecret](t)(kv.Put(ctx, "short", map[string]any{})); !s.VersionMetadata.DeletionTime.IsZero() {
		t.Errorf("a negative setting of the mount: deleted at %v", s.VersionMetadata.DeletionTime)
	}
}

// §2.2: subkeys, and requests made as if this were version 1.
func TestKV2SubkeysAndWrongRoots(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "secret/data/a", `{"data":{"a":"canary","b":{"c":"canary","d":{"e":["canary"]}},"f":{}}}`), 200)
	for query, want := range map[string]string{
		"":                   `{"a":null,"b":{"c":null,"d":{"e":null}},"f":null}`,
		"?depth=1":           `{"a":null,"b":null,"f":null}`,
		"?version=1&depth=2": `{"a":null,"b":{"c":null,"d":null},"f":null}`,
	} {
		a := send(v, "GET", "secret/subkeys/a"+query, "")
		if a.Status != 200 || !strings.Contains(a.Body, `"subkeys":`+want) || strings.Contains(a.Body, "canary") {
			t.Errorf("%s: %s", query, a.Body)
		}
		wantKeys(t, "subkeys", data(t, a), "subkeys", "metadata")
	}
	wantStatus(t, send(v, "GET", "secret/subkeys/a?depth=-1", ""), 400)
	for _, c := range [][2]string{{"GET", "secret/a"}, {"PUT", "secret/a"}, {"DELETE", "secret/a/b"}, {"LIST", "secret/a"}, {"GET", "secret/datum/a"}} {
		a := send(v, c[0], c[1], `{"x":1}`)
		if a.Status != 404 || !strings.Contains(a.Body, `"warnings":["Invalid path for a versioned K/V secrets engine`) {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.Status, a.Body)
		}
	}
	s := must[*vault.Secret](t)(v.Logical().Read("secret/a")) // how the client shows it
	if len(s.Warnings) != 1 {
		t.Errorf("by the client: %+v", s)
	}
	for _, path := range []string{"secret/data/", "secret/data", "secret/metadata/", "secret/metadata/a/"} {
		if a := send(v, "GET", path, ""); a.Status != 400 {
			t.Errorf("GET %s: %d %s", path, a.Status, a.Body)
		}
	}
}

// §2.2: right after mounting there is no window in which version 2 is not ready.
func TestKV2HasNoUpgradeWindow(t *testing.T) {
	v := start(t)
	for i := range 5 {
		path := fmt.Sprint("fresh", i)
		mount(t, v, path, "kv-v2")
		must[*vault.KVSecret](t)(v.KVv2(path).Put(t.Context(), "a", map[string]any{"x": 1}))
	}
	v.Restart()
	v.Unseal()
	must[*vault.KVSecret](t)(v.KVv2("fresh4").Get(t.Context(), "a"))
}

// A cubbyhole is its token's alone and ends with it.
func TestCubbyhole(t *testing.T) {
	v := start(t)
	one := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}})
	two := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}})
	c1, c2 := v.NewClient(one.ClientToken).Logical(), v.NewClient(two.ClientToken).Logical()
	_, err := c1.Write("cubbyhole/a/b", map[string]any{"x": "1"})
	check(t, err)
	if s := must[*vault.Secret](t)(c1.Read("cubbyhole/a/b")); s.Data["x"] != "1" || s.LeaseDuration != 0 {
		t.Errorf("read %+v", s)
	}
	if s := must[*vault.Secret](t)(c1.List("cubbyhole")); !equal(s.Data["keys"], []any{"a/"}) {
		t.Errorf("list %+v", s)
	}
	for name, c := range map[string]*vault.Logical{"another token": c2, "root": v.Logical()} {
		if s, err := c.Read("cubbyhole/a/b"); s != nil || err != nil {
			t.Errorf("%s reads %+v, %v", name, s, err)
		}
	}
	wantErrors(t, send(v, "PUT", "cubbyhole/a", `{}`, "X-Vault-Token", one.ClientToken), 400, "missing data fields")
	_, err = c1.Delete("cubbyhole/a/b")
	check(t, err)
	if s, err := c1.Read("cubbyhole/a/b"); s != nil || err != nil {
		t.Errorf("after the deletion %+v, %v", s, err)
	}
	// What a token leaves is gone with it, even if its ID is used again.
	const id = "chosen-by-hand"
	for range 2 {
		create(t, v, vault.TokenCreateRequest{ID: id, Policies: []string{"default"}})
		c := v.NewClient(id)
		if s, err := c.Logical().Read("cubbyhole/left"); s != nil || err != nil {
			t.Errorf("a new token finds %+v, %v", s, err)
		}
		_, err := c.Logical().Write("cubbyhole/left", map[string]any{"x": "1"})
		check(t, err)
		check(t, v.Auth().Token().RevokeTree(id))
	}
	batch := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", TTL: "1h"})
	wantStatus(t, send(v, "PUT", "cubbyhole/a", `{"x":1}`, "X-Vault-Token", batch.ClientToken), 403)
}
