package check

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Answer is what a check found. The words are stable: programs read them.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Partly  Answer = "partly"
	Unknown Answer = "cannot tell"
)

// Severity says how bad a Finding is. They are in order.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Check is one question.
type Check struct {
	// ID is stable, "SEC-01"; Title is the sentence that one wants to say yes to.
	ID, Title string
	// Needs are the resources of snapshot.Coverage without which neither yes nor no can be
	// said of everything. What is missing of them turns yes into Unknown; findings
	// in what was read stand all the same. None of a check that can tell by one of
	// several things: it weighs them itself.
	Needs []string
	// Judge looks. It does not change anything and returns the same for the same.
	Judge func(in *Input) Verdict
}

// Input is what a check looks at.
type Input struct {
	*snapshot.Snapshot
	Now      time.Time
	Settings Settings
	// Finder and Index are made once for all checks.
	Finder *path.Finder
	Index  *Index
}

// Settings are what the user may choose. The zero Settings are the defaults.
type Settings struct {
	// MaxAge is how old a static credential may be (default 90 days); MaxTokenAge how
	// long a projected token may live (default 24 hours); Unused after how long
	// without use a right counts as unused (default 90 days).
	MaxAge, MaxTokenAge, Unused time.Duration
	// Review is how old a review of access may be (default 90 days).
	Review time.Duration
	// Report is how old a report of what lies in etcd may be (default 26 hours: one that
	// is made each day).
	Report time.Duration
}

// Verdict is what a check found by itself, before Run weighs what it could see.
type Verdict struct {
	// Answer is Yes, No, Partly, or Unknown where the check itself cannot tell, with
	// Needs saying what it takes ("--audit-policy FILE", "get on secrets").
	Answer Answer
	Needs  []string
	// Summary is one sentence with counts: "3 of 14 Secrets are used as environment variables".
	Summary string
	// Evidence is what speaks for the answer, whatever it is.
	Evidence []Evidence
	Findings []Finding
}

// Evidence is a fact that was seen.
type Evidence struct {
	Object snapshot.Ref `json:"object,omitzero"`
	Field  string       `json:"field,omitempty"`
	Fact   string       `json:"fact"`
}

// Finding is one thing that is wrong. Check, Object, Field and Rule are its
// identity, which is the same the next time, whatever else changes.
type Finding struct {
	Check    string       `json:"check"`
	Rule     string       `json:"rule"` // a word within the check: "EnvVariable"
	Severity Severity     `json:"severity"`
	Object   snapshot.Ref `json:"object"`
	Field    string       `json:"field,omitempty"`
	// Place is the file and document of Object, if it came from one.
	Place string `json:"place,omitempty"`
	// Message says what is wrong, without any value.
	Message string `json:"message"`
	// Affected are who else it is about, by name, at most a few hundred; Count is how many.
	Affected []string `json:"affected,omitempty"`
	Count    int      `json:"count,omitempty"`
	Fix      Fix      `json:"fix,omitzero"`
}

// Fix is the next thing to do about a Finding.
type Fix struct {
	// Command is one exact command, ready to be pasted; Patch is YAML to commit
	// instead. One of them, or Text where there is neither.
	Command string `json:"command,omitempty"`
	Patch   string `json:"patch,omitempty"`
	Text    string `json:"text,omitempty"`
}

// Result is a check's answer as users see it.
type Result struct {
	ID       string     `json:"id"`
	Title    string     `json:"title"`
	Answer   Answer     `json:"answer"`
	Needs    []string   `json:"needs,omitempty"` // of Unknown and Partly: what it takes to tell
	Summary  string     `json:"summary,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Findings []Marked   `json:"findings,omitempty"` // new ones first, then by severity
}

// Marked is a Finding with what is known of it from before.
type Marked struct {
	Finding
	// Fingerprint is its identity as 32 hexadecimal digits.
	Fingerprint string `json:"fingerprint"`
	// New says that the report before did not have it; false if there was none.
	New bool `json:"new,omitempty"`
	// First is when it was first seen, as far as reports go back.
	First time.Time `json:"first,omitzero"`
	// Excepted is the exception that covers it, nil if none does. An excepted
	// finding is shown, and does not count.
	Excepted *Exception `json:"excepted,omitempty"`
}

// Exception says that a finding is accepted, by whom and until when.
type Exception struct {
	// Check is an ID; Rule, Namespace, Kind and Name narrow it, with * as in shells;
	// empty is any. Fingerprint is one finding.
	Check       string `json:"check,omitempty"`
	Rule        string `json:"rule,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	// Owner, Reason and Until are demanded: an exception without an end is none.
	Owner  string    `json:"owner"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// Report is everything that was asked and answered.
type Report struct {
	// Schema is the version of this shape: "strongkeep.io/check/v1".
	Schema  string    `json:"schema"`
	Source  string    `json:"source"`
	Taken   time.Time `json:"taken"`
	Results []Result  `json:"results"`
	// Missing is what could not be read, and Wrong what could not be understood.
	Missing []string `json:"missing,omitempty"`
	Wrong   []string `json:"wrong,omitempty"`
	// Ended are exceptions whose day has come; Idle those that cover nothing.
	Ended []Exception `json:"ended,omitempty"`
	Idle  []Exception `json:"idle,omitempty"`
	// Gone are the fingerprints of the report before that are not there any more.
	Gone []string `json:"gone,omitempty"`
}

// Schema is the version of Report.
const Schema = "strongkeep.io/check/v1"
