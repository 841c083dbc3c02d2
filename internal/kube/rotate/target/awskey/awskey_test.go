package awskey_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/awskey"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

const path = "shop/backups"

// world is a vault, a cloud, and a key that is turned.
type world struct {
	*testing.T
	p     *invault.Path
	c     *iam
	cfg   target.Config
	kind  awskey.Kind
	waits int
	log   strings.Builder
}

var now = target.Turn{Number: 1, Rotation: "team/key"}

// start makes a world; self: the key itself is allowed to manage its user's keys.
func start(t *testing.T, self bool) *world {
	t.Helper()
	w := &world{T: t, p: invault.Start(t, path, "secretAccessKey"), c: startIAM(t)}
	spec := &v1alpha1.AWSAccessKeyTarget{KVPath: v1alpha1.KVPath{Path: path}, UserName: user, Endpoint: w.c.URL, CredentialsSecret: "aws-admin"}
	if self {
		spec.CredentialsSecret = ""
		w.put(w.c.add(user))
	}
	w.cfg = target.Config{
		Spec: v1alpha1.Target{AWSAccessKey: spec}, Rotation: now.Rotation, Vault: w.p.Login(t), Cluster: cluster{}, Clock: clock.RealClock{},
		Scope: provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "key"}}),
		Log:   slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	w.kind = awskey.Kind{HTTP: w.c.Client(), Pause: func(ctx context.Context, _ time.Duration) error { w.waits++; return ctx.Err() }}
	return w
}

func (w *world) put(k *accessKey) {
	w.Helper()
	if _, err := w.p.KVv2("secret").Put(context.Background(), path, map[string]any{"accessKeyID": k.id, "secretAccessKey": k.secret, "bucket": "b"}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) open() target.Target {
	w.Helper()
	made, err := w.kind.Open(w.cfg)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

func (w *world) fixture() targettest.Fixture {
	return targettest.Fixture{
		Kind: w.kind, Config: w.cfg,
		Read: func(t *testing.T) (targettest.Credential, bool) {
			t.Helper()
			c, ok := w.p.Read(t)
			if !ok {
				return c, false
			}
			s, err := w.p.KVv2("secret").Get(context.Background(), path)
			if err != nil {
				t.Fatal(err)
			}
			c.Public = fmt.Sprint(s.Data["accessKeyID"])
			return c, true
		},
		Works: func(_ *testing.T, c targettest.Credential) bool { return w.c.works(c.Public, c.Secret) },
		Logs:  w.p.Logs,
		Left: func(t *testing.T) []string {
			ids := w.p.Left(t)
			w.c.with(func() {
				for _, k := range w.c.of(user) {
					ids = append(ids, k.id)
				}
			})
			return ids
		},
	}
}

func (w *world) keys() (n int) {
	w.c.with(func() { n = len(w.c.of(user)) })
	return n
}

func (w *world) must(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

func (w *world) fails(what string, err error, kind errs.Kind, words ...string) {
	w.Helper()
	if !errs.Is(err, kind) || strings.Contains(err.Error(), "canary") {
		w.Fatalf("%s: %v (%v), want %v", what, err, errs.KindOf(err), kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.Errorf("%s: %v does not say %q", what, err, word)
		}
	}
}

func TestConformance(t *testing.T) {
	for name, at := range map[string]struct {
		self bool
		lag  int
	}{"by another key, nothing before": {false, 0}, "by itself, known late": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			targettest.Run(t, func(t *testing.T) targettest.Fixture {
				w := start(t, at.self)
				w.c.lag = at.lag
				return w.fixture()
			})
		})
	}
}

// A key whose secret was lost between IAM and the vault is deleted, and another
// one made: the user never runs out of keys by crashes.
func TestLostKey(t *testing.T) {
	w := start(t, true)
	for range 3 {
		w.c.with(func() { w.c.lose = "CreateAccessKey" })
		_, err := w.open().Stage(t.Context(), now)
		w.fails("the answer is lost", err, errs.Unavailable)
		if n := w.keys(); n != 2 {
			t.Fatalf("the user has %d keys, want the old and the lost one", n)
		}
	}
	_, err := w.open().Stage(t.Context(), now)
	w.must("staging again", err)
	if n := w.keys(); n != 2 || !strings.Contains(w.log.String(), "secret was lost") {
		t.Errorf("the user has %d keys; told: %s", n, w.log.String())
	}
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	w.must("closing", w.open().Close(t.Context(), now))
	w.must("retiring", w.open().Retire(t.Context(), now, target.Old))
	if n := w.keys(); n != 1 {
		t.Errorf("the user has %d keys at the end", n)
	}
}

// A key that came meanwhile and is used is somebody's: it is not deleted.
func TestLostKeyInUse(t *testing.T) {
	w := start(t, true)
	w.c.with(func() { w.c.lose = "CreateAccessKey" })
	_, err := w.open().Stage(t.Context(), now)
	w.fails("the answer is lost", err, errs.Unavailable)
	w.c.with(func() { w.c.keys[len(w.c.keys)-1].used = time.Now() })
	_, err = w.open().Stage(t.Context(), now)
	w.fails("somebody uses it", err, errs.Invalid, "aws iam delete-access-key --user-name "+user)
	if n := w.keys(); n != 2 {
		t.Errorf("the user has %d keys", n)
	}
}

// A key that a person made by hand after ours had failed is not deleted, though IAM
// does not know yet that it is used: it was not made when ours was asked for.
func TestKeyOfAPersonWhoseUseIsNotKnown(t *testing.T) {
	for name, at := range map[string]time.Time{
		"later": time.Now().Add(5 * time.Minute), "long before": time.Now().Add(-5 * time.Minute), "nobody says when": {},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, true)
			w.c.with(func() { w.c.lose = "CreateAccessKey" })
			_, err := w.open().Stage(t.Context(), now)
			w.fails("the answer is lost", err, errs.Unavailable)
			var theirs *accessKey
			w.c.with(func() { // IAM had made none, and somebody helps themselves
				theirs = w.c.keys[len(w.c.keys)-1]
				theirs.made = at
			})
			for range 2 {
				_, err = w.open().Stage(t.Context(), now)
				w.fails("a key that is not ours", err, errs.Invalid, theirs.id, "not when this Rotation asked", "aws iam delete-access-key --user-name "+user)
			}
			if !w.c.works(theirs.id, theirs.secret) {
				t.Error("the key of a person was deleted")
			}
		})
	}
}

// What a refused request did not make is not looked for: a key that a person makes
// after that is theirs.
func TestRefusedCreation(t *testing.T) {
	w := start(t, true)
	w.c.with(func() { w.c.deny = "CreateAccessKey" })
	_, err := w.open().Stage(t.Context(), now)
	w.fails("not allowed", err, errs.Denied, "AccessDenied", "docs/rotation/aws.md")
	var theirs *accessKey
	w.c.with(func() { w.c.deny, theirs = "", w.c.add(user) })
	_, err = w.open().Stage(t.Context(), now)
	w.fails("a second key", err, errs.Invalid, theirs.id, "as many as IAM allows", "aws iam delete-access-key")
	if !w.c.works(theirs.id, theirs.secret) {
		t.Error("the key of a person was deleted")
	}
	if _, err := w.open().(target.Rehearser).Rehearse(t.Context(), now); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), theirs.id) {
		t.Errorf("rehearsing: %v", err)
	}
}

func TestThrottlingAndConsistency(t *testing.T) {
	w := start(t, true)
	w.c.with(func() { w.c.throttle = 1 })
	_, err := w.open().Stage(t.Context(), now)
	w.fails("throttled", err, errs.Unavailable, "Throttling")
	w.c.with(func() { w.c.lag = 4 })
	_, err = w.open().Stage(t.Context(), now)
	w.must("staging what STS knows late", err)
	if w.waits != 4 {
		t.Errorf("waited %d times for STS, want 4", w.waits)
	}
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	w.c.with(func() { w.c.lag = 1000 })
	w.fails("a key that goes on working", w.open().Close(t.Context(), now), errs.Unavailable, "still accepted")
	w.c.with(func() {
		for _, k := range w.c.keys {
			k.lag = 0
		}
	})
	w.must("closing again", w.open().Close(t.Context(), now))
}

func TestSessions(t *testing.T) {
	w := start(t, true)
	_, err := w.open().Stage(t.Context(), now)
	w.must("staging", err)
	before := time.Now().Add(-time.Hour)
	w.c.with(func() {
		for _, k := range w.c.of(user) {
			k.used = before
		}
	})
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	look := func() target.Sessions {
		seen, err := w.open().(target.Witness).Sessions(t.Context(), now)
		w.must("looking", err)
		return seen
	}
	if seen := look(); len(seen.Old) != 0 || len(seen.New) != 0 || seen.LastOld.Unix() != before.Unix() || seen.Partial == "" {
		t.Errorf("used before it was published: %+v", seen)
	}
	w.c.with(func() {
		for _, k := range w.c.of(user) {
			k.used = time.Now().Add(time.Second)
		}
	})
	if seen := look(); len(seen.Old) != 1 || len(seen.New) != 1 || seen.Old[0].Client != "s3" {
		t.Errorf("used after: %+v", seen)
	}
}

// What is not the user's key is not what the user is turned to.
func TestAnothersKey(t *testing.T) {
	w := start(t, false)
	_, err := w.open().Stage(t.Context(), now)
	w.must("staging", err)
	w.c.with(func() { w.c.keys[len(w.c.keys)-1].user = "another" })
	_, err = w.open().Stage(t.Context(), now)
	w.fails("another's key", err, errs.Invalid, "not one of the IAM user")
}

func TestOtherPropertiesStay(t *testing.T) {
	w := start(t, true)
	_, err := w.open().Stage(t.Context(), now)
	w.must("staging", err)
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	s, err := w.p.KVv2("secret").Get(t.Context(), path)
	w.must("reading", err)
	if s.Data["bucket"] != "b" || len(s.Data) != 3 {
		t.Errorf("%d properties, bucket %v", len(s.Data), s.Data["bucket"])
	}
	if !slices.Contains(w.c.actions, "GetCallerIdentity") {
		t.Error("the new key was not tried")
	}
}

func TestBadSpecs(t *testing.T) {
	good := v1alpha1.AWSAccessKeyTarget{KVPath: v1alpha1.KVPath{Path: path}, UserName: user}
	with := func(change func(*v1alpha1.AWSAccessKeyTarget)) v1alpha1.Target {
		s := good
		change(&s)
		return v1alpha1.Target{AWSAccessKey: &s}
	}
	for want, s := range map[string]v1alpha1.Target{
		"awsAccessKey is missing":       {},
		"userName: \"a/b\"":             with(func(s *v1alpha1.AWSAccessKeyTarget) { s.UserName = "a/b" }),
		"region: \"x.evil.example/\"":   with(func(s *v1alpha1.AWSAccessKeyTarget) { s.Region = "x.evil.example/" }),
		"endpoint must be https://HOST": with(func(s *v1alpha1.AWSAccessKeyTarget) { s.Endpoint = "http://169.254.169.254" }),
		"Strongkeep's own":              with(func(s *v1alpha1.AWSAccessKeyTarget) { s.Path = "strongkeep-staged/x" }),
	} {
		if _, err := (awskey.Kind{}).Open(target.Config{Spec: s}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid with %q", err, want)
		}
	}
	w := start(t, false)
	w.cfg.Spec.AWSAccessKey.CredentialsSecret = ""
	_, err := w.open().Stage(t.Context(), now)
	w.fails("nobody to manage it", err, errs.Invalid, "credentialsSecret")
	w.cfg.Spec.AWSAccessKey.CredentialsSecret, w.kind.HTTP = "aws-admin", nil // as the operator does
	_, err = w.open().Stage(t.Context(), now)
	w.fails("an endpoint on the operator's machine", err, errs.Denied, "not reached for others")
}
