package operator

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// facts/external-secrets.md §1.2: dataFrom.find and rewrite.
func TestFindAndRewrite(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("team/db", `{"user":"u","password":"`+canary+`3"}`)
	w.vault.Put("team/cache", `{"url":"redis://`+canary+`4"}`)
	w.vault.PutMeta("team/db", map[string]string{"env": "prod"})
	w.start(nil)
	w.apply(es("folder", "  dataFrom: [{find: {path: team}}]") +
		es("named", "  dataFrom: [{find: {name: {regexp: 'e.m/db$'}, conversionStrategy: Unicode}}]") +
		es("tagged", "  dataFrom: [{find: {tags: {env: prod}}, rewrite: [{regexp: {source: '^team/', target: ''}}]}]") +
		es("merged", "  dataFrom: [{find: {path: team}, rewrite: [{merge: {}}, {transform: {template: '{{ .value | upper }}'}}]}]") +
		es("nothing", "  dataFrom: [{find: {path: absent}}]") +
		es("partly", "  dataFrom: [{find: {path: absent}}, {extract: {key: team/db}, rewrite: [{regexp: {source: '^', target: db_}}]}]"))
	db, cache := `{"password":"`+canary+`3","user":"u"}`, `{"url":"redis://`+canary+`4"}`
	w.secret("folder", map[string]string{"team_db": db, "team_cache": cache})
	w.secret("named", map[string]string{"team_U002f_db": db})
	w.secret("tagged", map[string]string{"db": db})
	w.secret("merged", map[string]string{"USER": "u", "PASSWORD": canary + "3", "URL": "redis://" + canary + "4"})
	w.es("nothing", v1.ReasonSecretSyncedError, "dataFrom[0]: find: the store has no secret that matches")
	w.secret("partly", map[string]string{"db_user": "u", "db_password": canary + "3"})
	w.es("partly", v1.ReasonSecretSynced, "synced without what the store does not have: dataFrom[0]")

	// Whatever is written, added or deleted below a folder is heard of.
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	began := time.Now()
	w.vault.Put("team/more", `{"x":"y"}`)
	w.secret("folder", map[string]string{"team_db": db, "team_cache": cache, "team_more": `{"x":"y"}`})
	t.Logf("what was added arrived after %v", time.Since(began))
	w.vault.Delete("team/more")
	w.vault.Put("team/cache", `{"url":"other"}`)
	w.secret("folder", map[string]string{"team_db": db, "team_cache": `{"url":"other"}`})
	w.vault.Put("absent/now", `{"is":"there"}`)
	w.secret("nothing", map[string]string{"absent_now": `{"is":"there"}`})
}

// The manifest of examples/ that searches, as it stands there.
func TestFindExample(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("team/main-db", `{"user":"main","password":"`+canary+`5"}`)
	w.vault.Put("team/a-db", `{"user":"a","host":"h"}`)
	w.vault.Put("team/b-db", `{"user":"b"}`)
	w.vault.Put("team/other", `{"user":"other"}`)
	for _, key := range []string{"main-db", "a-db", "other"} {
		w.vault.PutMeta("team/"+key, map[string]string{"env": "prod"})
	}
	w.start(nil)
	raw, err := os.ReadFile("../../../examples/operator/find.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(string(raw))
	w.secret("team-secrets", map[string]string{"DB_USER": "main", "DB_PASSWORD": canary + "5", "DB_HOST": "h"})
}

// A search deletes on the store's own word only: not when the store is down, may
// not be asked, is garbage, or loses a page. (ADR 0008, invariant 2.)
func TestFindAndDeletionPolicy(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("team/db", `{"k":"`+canary+`"}`)
	w.start(nil)
	w.apply(es("gone", "  target: {deletionPolicy: Delete}\n  dataFrom: [{find: {path: team}}]"))
	want := map[string]string{"team_db": `{"k":"` + canary + `"}`}
	w.secret("gone", want)
	w.es("gone", v1.ReasonSecretSynced, "")
	tries := 0
	fails := func(what, words string, begin func() (heal func())) {
		t.Helper()
		heal := begin()
		w.until(what, func() bool { // what was found half a second ago is shared
			tries++
			w.kubectl("annotate", "es", "gone", "--overwrite", fmt.Sprint("try=", tries))
			return strings.Contains(w.kubectl("get", "es", "gone", "-o", "jsonpath={.status.conditions[*].message}"), words)
		})
		w.secret("gone", want)
		heal()
	}
	fails("sealed", "Vault is sealed", func() func() { w.vault.Fail(503); return func() { w.vault.Fail(0) } })
	fails("garbage", "not what a KV", func() func() { return w.vault.Garble(`{"data":{}}`) })
	fails("denied", `"list" on "secret/metadata/team/"`, func() func() {
		w.vault.Deny("secret/metadata/team")
		return func() { w.vault.Allow("secret/metadata/team") }
	})
	w.kubectl("annotate", "es", "gone", "healed=1")
	w.es("gone", v1.ReasonSecretSynced, "")
	w.vault.Delete("team/db")
	w.es("gone", v1.ReasonSecretDeleted, "DeletionPolicy=Delete")
	w.vault.Put("team/db", `{"k":"back"}`)
	w.secret("gone", map[string]string{"team_db": `{"k":"back"}`})
}
