package clients

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Token is one token that has read the credential, as sys/readers tells.
type Token struct {
	Accessor    string     `json:"accessor"` // a hash
	DisplayName string     `json:"display_name"`
	EntityID    string     `json:"entity_id"`
	EntityName  string     `json:"entity_name"`
	AuthPath    string     `json:"auth_path"`
	Role        string     `json:"role"`
	Remote      string     `json:"remote_address"`
	Last        *time.Time `json:"last"` // nil: known by a lease alone
	Count       int64      `json:"count"`
	Version     int64      `json:"version"` // of the last read; 0: not known
	Live        bool       `json:"live"`
	Own         bool       `json:"own"`
	Leased      bool       `json:"leased"`
	Leases      int        `json:"leases"`
	OldestLease *time.Time `json:"oldest_lease"`
}

// Answer is what a vault says of its clients.
type Answer struct {
	Tokens []Token
	// Unknown says why these may not be all.
	Unknown []string
}

// Question is what a vault is asked.
type Question struct {
	Vault    target.Vault
	Location string    // as Vault.Locate has it
	Since    time.Time // who read before does not matter
	Fresh    bool      // what was just answered is not good enough
}

// Again is for how long an answer is good enough.
const Again = 10 * time.Second

// Memory is the last answer, for one Rotation. One goroutine uses it at a time.
// The zero Memory is empty.
type Memory struct {
	asked  string
	since  time.Time
	at     time.Time
	answer Answer
}

// Ask asks the vault who reads the credential. Only an outage is an error, of a
// kind that is worth another try; all else that keeps the vault from telling is in
// Answer.Unknown.
func (m *Memory) Ask(ctx context.Context, q Question, now time.Time) (Answer, error) {
	age := now.Sub(m.at)
	if !q.Fresh && m.asked == q.Location && m.since.Equal(q.Since) && age >= 0 && age < Again {
		return m.answer, nil
	}
	answer, err := ask(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	m.asked, m.since, m.at, m.answer = q.Location, q.Since, now, answer
	return answer, nil
}

func ask(ctx context.Context, q Question) (Answer, error) {
	path, ok := strings.CutPrefix(q.Location, strings.TrimSuffix(q.Vault.Locate(""), "/")+"/")
	if !ok {
		return Answer{Unknown: []string{"the store of this Rotation does not reach " + q.Location}}, nil
	}
	body := map[string]any{"since": q.Since.UTC().Format(time.RFC3339Nano)}
	if h, ok := q.Vault.(interface{ Accessors() []string }); ok {
		body["own_accessors"] = h.Accessors()
	}
	path = (&url.URL{Path: "sys/readers/" + path}).EscapedPath()
	raw, err := q.Vault.Call(ctx, http.MethodPost, path, body)
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Sealed, errs.Exhausted, errs.Conflict:
		if err != nil {
			return Answer{}, errs.Newf(errs.Unavailable, "asking who has read %s: %w", q.Location, err)
		}
	case errs.NotExist, errs.Unsupported:
		return Answer{Unknown: []string{"this vault does not say who reads what: " + err.Error()}}, nil
	}
	if err != nil {
		return Answer{Unknown: []string{err.Error()}}, nil
	}
	var told struct {
		Complete   bool
		Incomplete []string
		Clients    []Token
	}
	if err := json.Unmarshal(raw, &told); err != nil || told.Clients == nil {
		return Answer{Unknown: []string{"this vault does not say who reads what: its answer to " + path + " is none"}}, nil
	}
	if !told.Complete && len(told.Incomplete) == 0 {
		told.Incomplete = []string{"the vault does not say why"}
	}
	return Answer{Tokens: told.Clients, Unknown: told.Incomplete}, nil
}
