package alternating

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Claim is somebody who acts on a role in its database, stored at acting/ROLE/ID as JSON before
// the act begins. While it is there the act may be carried out at any time, even if the role is
// elsewhere by then: a node that is paused, or a server that was slow to answer, does it late.
type Claim struct {
	Turn  int64
	Step  Step
	Creds []Credential // that the act may bring into force, or put out of it
	Since time.Time    // by the clock of who made it
	Mend  bool         `json:",omitempty"` // the database may not be as the role says, wherever that is

	role, id string
	until    time.Time // when it is too late to begin, by the monotonic clock; zero: made by somebody else
}

// claimPrefix is where claims are stored, in a folder for each role.
const claimPrefix = "acting/"

// Times of claims.
const (
	// beginWithin is how long after its claim somebody may begin to act.
	beginWithin = 40 * time.Second
	// abandoned is when Work takes it that whoever made a claim is not at it any more.
	abandoned = 2 * time.Minute
	// claimLife is how long a claim is remembered that nobody takes back.
	claimLife = time.Hour
	// lookPause is the longest pause between two looks at a role that has claims.
	lookPause = 10 * time.Minute
)

func (c *Claim) key() string { return claimPrefix + c.role + "/" + c.id }

// Claim notes, in the transaction that stores r, that the caller is to carry out r's Step.
func (a *Actor) Claim(tx engine.Tx, r *Role, now time.Time) (*Claim, error) {
	raw := make([]byte, 12)
	if _, err := io.ReadFull(a.cfg.Random, raw); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	c := &Claim{Turn: r.Turn, Step: r.Step, Since: now, role: r.Name, id: hex.EncodeToString(raw), until: time.Now().Add(beginWithin)}
	for _, one := range []*Credential{r.Live, r.New} {
		if one != nil {
			c.Creds = append(c.Creds, *one)
		}
	}
	return c, c.put(tx)
}

func (c *Claim) put(tx engine.Tx) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a claim on the alternating role %q: %w", c.role, err)
	}
	tx.Put(c.key(), raw)
	return nil
}

// leave is for an act of which it is not known what came: nobody takes the claim back. Of one step
// one such claim is kept.
func (c *Claim) leave(tx engine.Tx) error {
	tx.Delete(c.key())
	left := *c
	left.id = "left-" + itoa(c.Turn) + "-" + string(c.Step)
	return left.put(tx)
}

// withdraw takes a claim back of somebody who did nothing.
func (a *Actor) withdraw(ctx context.Context, c *Claim) error {
	return a.cfg.Update(context.WithoutCancel(ctx), func(_ context.Context, tx engine.Tx) error {
		tx.Delete(c.key())
		return nil
	})
}

// claims are those on a role.
func claims(ctx context.Context, tx engine.Tx, role string) ([]*Claim, error) {
	names, err := tx.List(ctx, claimPrefix+role+"/", "", 0)
	if err != nil {
		return nil, err
	}
	var all []*Claim
	for _, id := range names {
		e, err := tx.Get(ctx, claimPrefix+role+"/"+id)
		if err != nil {
			return nil, err
		}
		c := &Claim{role: role, id: id}
		if !e.Exists() {
			continue
		}
		if json.Unmarshal(e.Value, c) != nil {
			return nil, errs.Newf(errs.Internal, "decoding a claim on the alternating role %q: the stored entry is damaged or of a newer format", role)
		}
		all = append(all, c)
	}
	return all, nil
}

// Work mends roles on which somebody acted who was not heard of since, and returns when to look
// again; zero = when somebody acts.
func (a *Actor) Work(ctx context.Context) (next time.Time, err error) {
	var roles []string
	err = a.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		names, err := tx.List(ctx, claimPrefix, "", 0)
		roles = names
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, name := range roles {
		at, err := a.lookAfter(ctx, strings.TrimSuffix(name, "/"))
		if err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("an alternating role whose turn was broken off is not mended; it is tried again", "role", name, "error", err)
			at = a.cfg.Now().Add(time.Minute)
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, ctx.Err()
}

// lookAfter mends one role if it has left what somebody may still do, and returns when to look again.
func (a *Actor) lookAfter(ctx context.Context, role string) (next time.Time, err error) {
	var late []*Claim
	err = a.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		next, late = time.Time{}, nil
		r, err := Load(ctx, tx, role)
		if err != nil {
			return err
		}
		all, err := claims(ctx, tx, role)
		if err != nil {
			return err
		}
		for _, c := range all {
			at, isLate := c.look(tx, r, a.cfg.Now())
			if isLate {
				late = append(late, c)
			}
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		return nil
	})
	if err != nil || len(late) == 0 {
		return next, err
	}
	waiting, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	release, err := a.turns.Take(waiting, role)
	if err != nil {
		return next, err
	}
	defer release()
	return next, a.mend(ctx, a.cfg.Duty, role, nil, late)
}

// look forgets a claim that is too old, or says when to look at it again, and whether the role is to
// be mended for it.
func (c *Claim) look(tx engine.Tx, r *Role, now time.Time) (at time.Time, late bool) {
	age := now.Sub(c.Since)
	switch {
	case r == nil || age > claimLife:
		tx.Delete(c.key())
		return time.Time{}, false
	case age < abandoned:
		return c.Since.Add(abandoned), false
	}
	return now.Add(min(age, lookPause)), !c.serves(r)
}

// serves reports whether the act of a claim does no harm where the role is now.
func (c *Claim) serves(r *Role) bool {
	then, _ := c.Step.carriedOut()
	return !c.Mend && c.Turn == r.Turn && (c.Step == r.Step || then == r.Step)
}
