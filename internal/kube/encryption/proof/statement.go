package proof

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Schema is the version of a Statement. Fields are only ever added to it.
const Schema = "strongkeep.io/encryption-report/v1"

// Statement is one report.
type Statement struct {
	Schema  string    `json:"schema"`
	Cluster string    `json:"cluster"` // UID of the namespace kube-system
	Time    time.Time `json:"time"`    // when looking began, by the clock of Host
	Ended   time.Time `json:"ended"`
	By      By        `json:"by"`
	// Read is what was read, Expected what it was held against.
	Read     Read     `json:"read"`
	Expected Expected `json:"expected"`
	Answers  []Answer `json:"answers"`
	// Resources are counts by resource, provider and key id.
	Resources []stored.Resource `json:"resources"`
	// Findings name values that are not as they should be; Found counts them all.
	Findings []stored.Finding `json:"findings"`
	Found    int              `json:"found"`
	Servers  []Server         `json:"servers"`
	// File is this node's EncryptionConfiguration; nil if it was not looked at.
	File     *File    `json:"file,omitempty"`
	Evidence []Digest `json:"evidence"`
	Notes    []string `json:"notes,omitempty"`
}

// By is who looked, by its own word. Who had it signed the vault knows better.
type By struct {
	Host    string `json:"host"`
	Program string `json:"program"`
	Version string `json:"version"`
}

// The kinds of what is read.
const (
	Running  = "etcd"
	Snapshot = "snapshot"
)

// Read is where values come from.
type Read struct {
	Kind   string `json:"kind"` // Running or Snapshot
	Prefix string `json:"prefix"`
	stored.Origin
}

// Expected is what values are held against; "" was not told.
type Expected struct {
	Resources []string `json:"resources"`
	Provider  string   `json:"provider,omitempty"`
	KeyID     string   `json:"key_id,omitempty"`
}

// Answer is one to a question, with a name that never changes.
type Answer struct {
	ID string `json:"id"`
	stored.Answer
}

// The questions.
const (
	Encrypted     = "encrypted"
	Provider      = "provider"
	Key           = "key"
	History       = "history"
	OfCluster     = "cluster"
	Configuration = "configuration"
	Plugins       = "plugins"
)

// Server is what one API server tells.
type Server struct {
	URL      string    `json:"url"`
	Hash     string    `json:"configuration,omitempty"` // of the file in force, as it tells it
	Reloaded time.Time `json:"reloaded,omitzero"`
	Refused  int       `json:"refused,omitempty"` // files, since it started
	Told     time.Time `json:"told,omitzero"`     // by its own clock
	// Keys are hashes of the key ids that KMS v2 plugins told it, by provider.
	Keys map[string]string `json:"keys,omitempty"`
}

// File is an EncryptionConfiguration. Of its content there is nothing but the hash, as
// API servers tell it.
type File struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

// Digest identifies evidence: who has it still can compare.
type Digest struct {
	What   string `json:"what"`
	SHA256 string `json:"sha256"`
}

// Answered returns the answer to a question; of one that was not asked stored.NotChecked.
func (s *Statement) Answered(id string) Answer {
	if i := slices.IndexFunc(s.Answers, func(a Answer) bool { return a.ID == id }); i >= 0 {
		return s.Answers[i]
	}
	return Answer{id, stored.Answer{Answer: stored.NotChecked, Detail: "this report does not ask"}}
}

// Holds reports whether everything is encrypted for certain, and no question is answered
// with no.
func (s *Statement) Holds() bool {
	return s.Answered(Encrypted).Answer.Answer == stored.Yes && !slices.ContainsFunc(s.Answers, func(a Answer) bool { return a.Answer.Answer == stored.No })
}

const (
	// largest is the size of a statement in bytes, which is what an evidence engine takes.
	largest = 512 << 10
	// mostGroups bounds what is told apart of one resource. Who can write into etcd can make
	// as many key ids as values.
	mostGroups = 100
	// Others is what the rest is counted as, of what is encrypted.
	Others = "others"
)

// Encode returns the statement as JSON. What would make it too large to be signed is left
// out: names of findings, of which Found counts all.
func (s *Statement) Encode() ([]byte, error) {
	s.trim()
	for {
		raw, err := json.Marshal(s, json.Deterministic(true))
		switch {
		case err != nil:
			return nil, errs.Newf(errs.Internal, "encoding a report: %w", err)
		case len(raw) <= largest:
			return raw, nil
		case len(s.Findings) == 0:
			return nil, errs.Newf(errs.TooLarge, "the report has %d bytes, over the limit of %d: look at fewer resources at once", len(raw), largest)
		}
		s.Findings = s.Findings[:len(s.Findings)/2]
	}
}

// trim makes what comes out of etcd fit for JSON: valid text, and not without end.
func (s *Statement) trim() {
	for i := range s.Resources {
		r := &s.Resources[i]
		r.Name = text(r.Name)
		r.Under = few(r.Under)
		for j := range r.Under {
			r.Under[j].Provider, r.Under[j].KeyID = text(r.Under[j].Provider), text(r.Under[j].KeyID)
		}
	}
	for i := range s.Answers {
		s.Answers[i].Detail = text(s.Answers[i].Detail)
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		f.Resource, f.Name, f.Provider, f.KeyID = text(f.Resource), text(f.Name), text(f.Provider), text(f.KeyID)
	}
}

// few bounds groups, and never counts what is not encrypted with what is.
func few(groups []stored.Group) []stored.Group {
	if len(groups) <= mostGroups {
		return groups
	}
	out := slices.Clone(groups[:mostGroups])
	rest := map[string]int{}
	for _, g := range groups[mostGroups:] {
		kind, _, _ := strings.Cut(g.Provider, "/")
		if Encrypts(g.Provider) {
			kind = Others
		}
		rest[kind] += g.Values
	}
	for _, kind := range slices.Sorted(maps.Keys(rest)) {
		out = append(out, stored.Group{Provider: kind, Values: rest[kind]})
	}
	return out
}

// Encrypts reports whether values of a group's provider are encrypted, so that an API
// server can read them.
func Encrypts(provider string) bool {
	kind, _, _ := strings.Cut(provider, "/")
	return kind != string(stored.Clear) && kind != string(stored.Broken)
}

// text is a name as valid UTF-8: keys of etcd and key ids may be any bytes.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Parse reads a statement. Kinds: Invalid, Unsupported (of a later version).
func Parse(raw []byte) (*Statement, error) {
	var s Statement
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errs.New(errs.Invalid, "the statement is no report of encryption at rest")
	}
	switch {
	case s.Schema == Schema:
	case strings.HasPrefix(s.Schema, strings.TrimSuffix(Schema, "v1")):
		return nil, errs.Newf(errs.Unsupported, "the report is of schema %q, and this program knows %s: take a newer one", s.Schema, Schema)
	default:
		return nil, errs.New(errs.Invalid, "the statement is no report of encryption at rest: it is signed by the same key, for something else")
	}
	if s.Cluster == "" || s.Time.IsZero() || s.Read.Kind != Running && s.Read.Kind != Snapshot {
		return nil, errs.New(errs.Invalid, "the report does not say of which cluster it is, from when, or what was read")
	}
	return &s, nil
}
