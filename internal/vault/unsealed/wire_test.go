package unsealed_test

import (
	"errors"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §2.5: a locked namespace is closed to requests from above too, also for root,
// who is told why; who has no rights there is told nothing. Unlocked, all is as before.
func TestLockHoldsFromAbove(t *testing.T) {
	v := testenv.Start(t, nil)
	for _, name := range []string{"team", "other"} {
		if _, err := v.Logical().Write("sys/namespaces/"+name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Sys().PutPolicy("helpdesk", `path "team/auth/token/lookup-accessor" { capabilities = ["update"] }
		path "auth/token/lookup-accessor" { capabilities = ["update"] }`); err != nil {
		t.Fatal(err)
	}
	made, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"helpdesk"}})
	if err != nil {
		t.Fatal(err)
	}
	helpdesk := v.NewClient(made.Auth.ClientToken)
	accessor := map[string]string{}
	for _, name := range []string{"team", "other"} {
		c := v.NewClient(v.Root)
		c.SetNamespace(name)
		made, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}, NoParent: true})
		if err != nil {
			t.Fatal(err)
		}
		accessor[name] = made.Auth.Accessor
	}
	look := func(c *vault.Client, name string, status int) {
		t.Helper()
		_, err := c.Auth().Token().LookupAccessor(accessor[name])
		var refused *vault.ResponseError
		switch {
		case status == 200 && err != nil:
			t.Errorf("a token of %s: %v", name, err)
		case status != 200 && (!errors.As(err, &refused) || refused.StatusCode != status):
			t.Errorf("a token of %s: %v, want %d", name, err, status)
		}
	}
	look(v.Client, "team", 200)
	look(helpdesk, "team", 200)
	look(helpdesk, "other", 403)
	if _, err := v.Logical().Write("sys/namespaces/api-lock/lock/team", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("sys/namespaces/api-lock/lock/other", nil); err != nil {
		t.Fatal(err)
	}
	look(v.Client, "team", 503)
	look(helpdesk, "team", 503)
	look(helpdesk, "other", 403)
	if _, err := v.Logical().Write("sys/namespaces/api-lock/unlock/team", nil); err != nil {
		t.Fatal(err)
	}
	look(helpdesk, "team", 200)
}
