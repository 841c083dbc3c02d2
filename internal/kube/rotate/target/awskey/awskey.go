package awskey

import (
	"context"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The properties that readers see, and the keys of credentialsSecret.
const (
	propertyID     = "accessKeyID"
	propertySecret = "secretAccessKey"
)

// maxKeys is how many access keys IAM lets a user have.
const maxKeys = 2

// Kind makes Targets of spec.target.awsAccessKey. The zero Kind is what the
// operator uses.
type Kind struct {
	// Private are the private networks where endpoints may be; see outbound.Config.
	Private []netip.Prefix
	// HTTP reaches IAM and STS; nil: outbound.Client.
	HTTP aws.HTTPClient
	// Pause waits between tries of what IAM knows only after a while; nil: by a timer.
	Pause func(context.Context, time.Duration) error
}

// key is an access key that its shelf publishes.
type key struct {
	*shelf.Shelf
	cfg  target.Config
	spec v1alpha1.AWSAccessKeyTarget
	kind Kind
}

var (
	_ target.Target    = key{}
	_ target.Observer  = key{}
	_ target.Witness   = key{}
	_ target.Rehearser = key{}
	_ target.Lender    = key{}
)

var (
	userNames = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	regions   = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
)

// Open implements target.Kind.
func (kind Kind) Open(cfg target.Config) (target.Target, error) {
	if cfg.Spec.AWSAccessKey == nil {
		return nil, errs.New(errs.Invalid, "spec.target.awsAccessKey is missing")
	}
	spec := *cfg.Spec.AWSAccessKey
	if spec.Region == "" {
		spec.Region = "us-east-1"
	}
	switch {
	case !userNames.MatchString(spec.UserName):
		return nil, errs.Newf(errs.Invalid, "spec.target.awsAccessKey.userName: %q is not the name of an IAM user, without path", spec.UserName)
	case !regions.MatchString(spec.Region):
		return nil, errs.Newf(errs.Invalid, "spec.target.awsAccessKey.region: %q is not a region, such as us-east-1", spec.Region)
	}
	if spec.Endpoint != "" {
		if _, err := outbound.URL("spec.target.awsAccessKey.endpoint", spec.Endpoint); err != nil {
			return nil, err
		}
	}
	s, err := shelf.New(cfg.Vault, spec.KVPath)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.awsAccessKey: %w", err)
	}
	if kind.HTTP == nil {
		if kind.HTTP, err = outbound.Client(outbound.Config{Private: kind.Private}); err != nil {
			return nil, err
		}
	}
	if kind.Pause == nil {
		kind.Pause = pause
	}
	return key{s, cfg, spec, kind}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// pair is an access key with its secret, which may be missing.
type pair struct {
	id     string
	secret redact.Secret
}

func (p pair) whole() bool { return p.id != "" && !p.secret.Empty() }

func pairOf(v shelf.Values) pair {
	id, ok := v.Secret(propertyID)
	secret, has := v.Secret(propertySecret)
	p := pair{secret: redact.FromString("")}
	if ok {
		p.id = id.RevealString()
	}
	if has {
		p.secret = secret
	}
	return p
}

// Stage makes a key, unless the turn has one, and proves it. It is stored before
// it is used.
func (k key) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	state, err := k.Shelf.Stage(ctx, t, k.make)
	if err != nil {
		return state, err
	}
	v, err := k.Look(ctx, t)
	if err != nil || v.Over {
		return state, err
	}
	return state, k.works(ctx, pairOf(v.New))
}

// What is noted before a key is made: for which turn, which keys there are, and when
// it is asked for.
const (
	noteTurn  = "turn"
	noteKnown = "known"
	noteAsked = "asked" // RFC 3339
)

// slack is how far from when a key was asked for, by our clock, IAM may have made it,
// by its own, to be taken for that one: an act has a minute.
const slack = time.Minute

func (k key) make(ctx context.Context, d shelf.Draft) (shelf.Staged, error) {
	c, err := k.manager(ctx, d.Live)
	if err != nil {
		return shelf.Staged{}, err
	}
	made, err := c.made(ctx)
	if err != nil {
		return shelf.Staged{}, err
	}
	ids, number := slices.Sorted(maps.Keys(made)), itoa(d.Turn.Number)
	if d.Prepared[noteTurn] == number {
		if ids, err = k.clear(ctx, c, d, made); err != nil {
			return shelf.Staged{}, err
		}
	}
	live := pairOf(d.Live).id
	if err := k.room(ids, live); err != nil {
		return shelf.Staged{}, err
	}
	asked := k.cfg.Clock.Now().UTC().Format(time.RFC3339)
	if err := d.Prepare(ctx, map[string]string{noteTurn: number, noteKnown: strings.Join(ids, ","), noteAsked: asked}); err != nil {
		return shelf.Staged{}, err
	}
	p, err := c.create(ctx)
	if err != nil {
		if !errs.Is(err, errs.Unavailable) { // for sure nothing was made: what a person makes now is theirs
			if again := d.Prepare(ctx, nil); again != nil {
				return shelf.Staged{}, again
			}
		}
		return shelf.Staged{}, err
	}
	return shelf.Staged{Values: shelf.Values{
		propertyID: shelf.Text(redact.FromString(p.id)), propertySecret: shelf.Text(p.secret),
	}}, nil
}

// clear deletes keys that were made for this turn and whose secret was lost, and
// returns those that are left. made is when each was made.
func (k key) clear(ctx context.Context, c cloud, d shelf.Draft, made map[string]time.Time) ([]string, error) {
	known := strings.Split(d.Prepared[noteKnown], ",")
	live := pairOf(d.Live).id
	var lost, left []string
	for _, id := range slices.Sorted(maps.Keys(made)) {
		if id == live || slices.Contains(known, id) {
			left = append(left, id)
		} else {
			lost = append(lost, id)
		}
	}
	if len(lost) == 0 {
		return left, nil
	}
	// Whoever made it and has not stored it yet stores it no more from here on.
	if err := d.Prepare(ctx, d.Prepared); err != nil {
		return nil, err
	}
	for _, id := range lost {
		if err := k.mine(ctx, c, id, made[id], d.Prepared[noteAsked]); err != nil {
			return nil, err
		}
		if err := c.remove(ctx, id); err != nil {
			return nil, err
		}
		k.cfg.Log.Info("deleted an access key whose secret was lost before it was stored", "rotation", k.cfg.Rotation, "accessKeyID", id)
	}
	return left, nil
}

// mine is an error unless the key id, which IAM made at made, is the one that was
// asked for and whose secret was lost. That IAM knows of no use says little: it tells
// of one hours late, when somebody may long depend on it.
func (k key) mine(ctx context.Context, c cloud, id string, made time.Time, asked string) error {
	foreign := func(why string) error {
		return errs.Newf(errs.Invalid, "the IAM user %q has got the access key %s since staging began, and %s, so it is not deleted: see who made it; when nobody uses it, delete it with: aws iam delete-access-key --user-name %s --access-key-id %s",
			k.spec.UserName, id, why, k.spec.UserName, id)
	}
	at, err := time.Parse(time.RFC3339, asked)
	if err != nil || made.IsZero() || made.Sub(at).Abs() > slack {
		return foreign("not when this Rotation asked for one")
	}
	use, err := c.lastUsed(ctx, id)
	if err != nil {
		return err
	}
	if !use.at.IsZero() {
		return foreign("somebody uses it")
	}
	return nil
}

// room is an error unless IAM lets the user have one more key.
func (k key) room(ids []string, live string) error {
	if len(ids) < maxKeys {
		return nil
	}
	var others []string
	for _, id := range ids {
		if id != live {
			others = append(others, id)
		}
	}
	return errs.Newf(errs.Invalid, "the IAM user %q has %d access keys already, which is as many as IAM allows, and this Rotation did not make %s: "+
		"when nobody uses it (aws iam get-access-key-last-used), delete it with: aws iam delete-access-key --user-name %s --access-key-id %s",
		k.spec.UserName, len(ids), strings.Join(others, " and "), k.spec.UserName, others[0])
}

// Close makes the old key inactive, and waits until it is refused.
func (k key) Close(ctx context.Context, t target.Turn) error {
	if err := k.Shelf.Close(ctx, t); err != nil {
		return err
	}
	v, old, err := k.former(ctx, t)
	if err != nil || old.id == "" {
		return err
	}
	c, err := k.manager(ctx, v.New)
	if err != nil {
		return err
	}
	if err := c.enable(ctx, old.id, false); err != nil && !errs.Is(err, errs.NotExist) {
		return err
	}
	return k.refused(ctx, old)
}

// Reopen makes the old key active, and waits until it is accepted.
func (k key) Reopen(ctx context.Context, t target.Turn) error {
	if err := k.Shelf.Reopen(ctx, t); err != nil {
		return err
	}
	v, old, err := k.former(ctx, t)
	if err != nil || old.id == "" {
		return err
	}
	c, err := k.manager(ctx, v.New)
	if err != nil {
		return err
	}
	if err := c.enable(ctx, old.id, true); err != nil {
		return err
	}
	if !old.whole() {
		return nil
	}
	return k.works(ctx, old)
}

// former returns the old key of a turn under way; it has no id when there is
// nothing to be done to it.
func (k key) former(ctx context.Context, t target.Turn) (shelf.View, pair, error) {
	v, err := k.Look(ctx, t)
	if err != nil || v.Over || v.First {
		return v, pair{}, err
	}
	return v, pairOf(v.Old), nil
}

// Retire deletes the key of side, and proves that it is gone and refused.
func (k key) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	if err := k.BeginRetire(ctx, t, side); err != nil {
		return err
	}
	v, err := k.Look(ctx, t)
	if err != nil {
		return err
	}
	gone, stays := pairOf(v.Old), v.New
	if side == target.New {
		gone, stays = pairOf(v.New), v.Old
	}
	if !v.Over && gone.id != "" && gone.id != pairOf(stays).id {
		if err := k.end(ctx, gone, stays); err != nil {
			return err
		}
	}
	return k.Shelf.Retire(ctx, t, side)
}

func (k key) end(ctx context.Context, gone pair, stays shelf.Values) error {
	if !pairOf(stays).whole() { // a first turn that goes back: only the key itself is left to do it
		stays = shelf.Values{propertyID: shelf.Text(redact.FromString(gone.id)), propertySecret: shelf.Text(gone.secret)}
	}
	c, err := k.manager(ctx, stays)
	if err != nil {
		return err
	}
	if err := c.remove(ctx, gone.id); err != nil && !errs.Is(err, errs.NotExist) {
		return err
	}
	if err := k.until(ctx, "access key "+gone.id+" was deleted, and is listed still", func() (bool, error) {
		ids, err := c.list(ctx)
		return err == nil && !slices.Contains(ids, gone.id), err
	}); err != nil {
		return err
	}
	return k.refused(ctx, gone)
}

// recent is for how long a use of the old key counts as going on: IAM tells of a
// use some minutes late.
const recent = 30 * time.Minute

// Sessions implements target.Witness. Uses before the credential was published
// do not count, nor do those of the old key that are over for long enough.
func (k key) Sessions(ctx context.Context, t target.Turn) (target.Sessions, error) {
	v, err := k.Look(ctx, t)
	if err != nil {
		return target.Sessions{}, err
	}
	out := target.Sessions{Partial: "IAM remembers only the last use of a key, without an address, and tells of it minutes to hours late"}
	if v.Over {
		return out, nil
	}
	state, err := k.Observe(ctx)
	if err != nil {
		return out, err
	}
	live, err := k.Live(ctx)
	if err != nil {
		return out, err
	}
	uses, err := k.uses(ctx, live, map[target.Side]shelf.Values{target.New: v.New, target.Old: v.Old})
	if err != nil {
		return out, err
	}
	now := k.cfg.Clock.Now()
	seen := func(u use) []target.Session {
		if u.at.IsZero() || u.at.Before(state.Changed) || now.Sub(u.at) > recent {
			return nil
		}
		return []target.Session{{Client: u.service, Since: u.at}}
	}
	out.New, out.Old, out.LastOld = seen(uses[target.New]), seen(uses[target.Old]), uses[target.Old].at
	return out, nil
}

// uses asks when the key of each side was last used.
func (k key) uses(ctx context.Context, live shelf.Values, sides map[target.Side]shelf.Values) (map[target.Side]use, error) {
	c, err := k.manager(ctx, live)
	if err != nil {
		return nil, err
	}
	uses := map[target.Side]use{}
	for side, values := range sides {
		p := pairOf(values)
		if p.id == "" {
			continue
		}
		if uses[side], err = c.lastUsed(ctx, p.id); err != nil && !errs.Is(err, errs.NotExist) {
			return nil, err
		}
	}
	return uses, nil
}

// Rehearse also looks whether IAM lets the user have one more key.
func (k key) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	lines, err := k.Shelf.Rehearse(ctx, t)
	if err != nil {
		return lines, err
	}
	live, err := k.Live(ctx)
	if err != nil {
		return lines, err
	}
	c, err := k.manager(ctx, live)
	if err != nil {
		return lines, err
	}
	ids, err := c.list(ctx)
	if err != nil {
		return lines, err
	}
	if err := k.room(ids, pairOf(live).id); err != nil {
		return lines, err
	}
	lines = append(lines, "the IAM user "+k.spec.UserName+" has room for one more access key; whether one may be made is not tried")
	if p := pairOf(live); p.whole() {
		if err := k.works(ctx, p); err != nil {
			return lines, err
		}
		lines = append(lines, "the access key "+p.id+" works")
	}
	return lines, nil
}

// Removal implements target.Prover.
func (key) Removal() (text string, proven bool) {
	return "IAM lists it no more, and a use of it was refused", true
}

// Lend implements target.Lender.
func (k key) Lend(ctx context.Context, t target.Turn) (redact.Secret, error) {
	return k.Staged(ctx, t)
}
