package rotation

import (
	"slices"
	"time"
)

// Claim is a password that somebody has set out to set, stored before anything is set. While
// there is a claim its password may come to be in force at any time, even if another one counts
// by then: a node that is paused, or a server that was slow to answer, sets it late.
type Claim struct {
	ID       string `json:",omitempty"` // of who sets it and takes the claim back; "" = nobody will
	Password string
	Since    time.Time // by the clock of who made it
}

// Times and numbers of claims.
const (
	// setWithin is how long after its claim somebody may begin to set a password. With what
	// setting takes at most it is over before others take the claim for abandoned.
	setWithin = abandoned - 20*time.Second
	// claimLife is how long a claim is remembered that nobody takes back: see doc.go.
	claimLife = time.Hour
	// lookPause is the longest pause between two looks whether the password that counts works.
	lookPause = 10 * time.Minute
	// maxClaims bounds passwords that may come to be in force. At so many none is drawn anew.
	maxClaims = 32
)

// claim notes a password that is about to be set, and forgets claims of long ago.
func (r *State) claim(id, password string, now time.Time) {
	r.Claims = append(slices.Clip(r.young(now)), Claim{ID: id, Password: password, Since: now})
}

// young are the claims that are not too old, in memory of their own.
func (r *State) young(now time.Time) []Claim {
	return slices.DeleteFunc(slices.Clone(r.Claims), func(c Claim) bool { return now.Sub(c.Since) > claimLife })
}

// has reports whether a claim is there.
func (r *State) has(id string) bool {
	return slices.ContainsFunc(r.Claims, func(c Claim) bool { return c.ID == id })
}

// release takes back the claims of somebody who has set what counts, or nothing.
func (r *State) release(ids []string) {
	r.Claims = slices.DeleteFunc(slices.Clone(r.Claims), func(c Claim) bool { return slices.Contains(ids, c.ID) })
}

// leave is for somebody who does not know what came of what they set. Of one password one such
// claim is kept.
func (r *State) leave(ids []string) {
	var kept []Claim
	for _, c := range slices.Backward(r.Claims) { // the youngest first
		if slices.Contains(ids, c.ID) {
			c.ID = ""
		}
		if c.ID == "" && slices.ContainsFunc(kept, func(k Claim) bool { return k.ID == "" && k.Password == c.Password }) {
			continue
		}
		kept = append(kept, c)
	}
	slices.Reverse(kept)
	r.Claims = kept
}

// wanted is the password that counts: what is in force is to become it. "" = none is known.
func (r *State) wanted() string {
	if r.Pending != "" {
		return r.Pending
	}
	return r.Password
}

// Others are the passwords that may be in force besides Password, the likeliest first.
func (r *State) Others() []string {
	var all []string
	add := func(password string) {
		if password != "" && password != r.Password && !slices.Contains(all, password) {
			all = append(all, password)
		}
	}
	add(r.Pending)
	for _, c := range slices.Backward(r.Claims) {
		add(c.Password)
	}
	return all
}

// busy reports whether somebody is setting a password, as far as is known.
func (r *State) busy(now time.Time) bool {
	return slices.ContainsFunc(r.Claims, func(c Claim) bool { return c.ID != "" && now.Sub(c.Since) < abandoned })
}

// full reports whether so many passwords may be in force that none is to be added.
func (r *State) full(now time.Time) bool { return len(r.young(now)) >= maxClaims }

// watch has Work look, at Due or before, whether the password in force is still the one that
// counts, while a claim on another may be carried out late. It is called whenever Due was set.
func (r *State) watch(now time.Time) {
	r.Claims = r.young(now)
	if len(r.Claims) == 0 {
		r.Claims = nil
	}
	if r.Pending != "" {
		return // Work takes that up
	}
	for _, c := range r.Claims {
		if c.Password == r.Password {
			continue
		}
		age := now.Sub(c.Since)
		at := c.Since.Add(abandoned)
		if age >= abandoned {
			at = now.Add(min(age, lookPause))
		}
		if r.Due.IsZero() || at.Before(r.Due) {
			r.Due = at
		}
	}
}
