package snapshot

import "time"

// Repo is a Git repository, or a folder of files, that was given to be looked at.
type Repo struct {
	Place string `json:"place"`
	// Git is false for a folder without history.
	Git bool `json:"git,omitempty"`
	// Blobs is how many file versions were looked at; Unreachable how many of them
	// no branch or tag reaches any more: commits that were deleted.
	Blobs       int `json:"blobs"`
	Unreachable int `json:"unreachable,omitempty"`
	// Binary is how many of them are no text, and were not looked into.
	Binary int `json:"binary,omitempty"`
	// Closed is how many of these are archives, key stores and databases, in which secrets
	// may lie.
	Closed int `json:"closed,omitempty"`
	// Compared is how many values of the cluster were looked for, by their prints; 0
	// where there was no key, or no value.
	Compared  int        `json:"compared,omitempty"`
	Leaks     []Leak     `json:"leaks,omitempty"`
	Pipelines []Pipeline `json:"pipelines,omitempty"`
}

// Leak is a value in a file of a Repo that looks like a secret.
type Leak struct {
	// Commit is the first one known to have it, "" for a file that is in none.
	Commit string `json:"commit,omitempty"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	// Present says that the newest commit of the checked-out branch has it;
	// Unreachable that no branch or tag has.
	Present     bool  `json:"present,omitempty"`
	Unreachable bool  `json:"unreachable,omitempty"`
	Value       Value `json:"value"`
}

// Pipeline is a file that says what a CI system runs.
type Pipeline struct {
	File string `json:"file"`
	Kind string `json:"kind"` // "github", "gitlab", "jenkins", "argo", …
	// Secrets is how many it uses.
	Secrets int    `json:"secrets,omitempty"`
	Steps   []Step `json:"steps,omitempty"`
	// Unread are reasons why there may be more in it than was seen.
	Unread []string `json:"unread,omitempty"`
}

// Step is a place of a Pipeline where a secret can come into its log.
type Step struct {
	Line int    `json:"line"`
	Job  string `json:"job,omitempty"`
	Name string `json:"name,omitempty"`
	// Problem is a word: "EchoesSecret", "TracesCommands", "DumpsEnvironment",
	// "NotMasked", "Literal".
	Problem string `json:"problem"`
}

// Activity is what an audit log shows was done, from From until To.
type Activity struct {
	Place string    `json:"place"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Acts  []Act     `json:"acts,omitempty"`
	// Lost says that lines could not be read, or that the log says itself that
	// events were dropped.
	Lost int `json:"lost,omitempty"`
}

// Act is one kind of request by one user, and how often it was allowed.
type Act struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups,omitempty"`
	Verb        string   `json:"verb"`
	Group       string   `json:"group,omitempty"`
	Resource    string   `json:"resource"`
	Subresource string   `json:"subresource,omitempty"`
	Namespace   string   `json:"namespace,omitempty"`
	// Name is "*" where there were too many to tell apart, "" of lists and creations.
	Name string `json:"name,omitempty"`
	// Path of requests that are of no resource; then Resource is empty.
	Path   string    `json:"path,omitempty"`
	Count  int       `json:"count"`
	Last   time.Time `json:"last"`
	Denied int       `json:"denied,omitempty"`
}
