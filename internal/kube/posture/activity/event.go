package activity

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// event is what is kept of one.
type event struct {
	key
	groups []string
	at     time.Time
	denied bool
	begun  bool // a watch that began and has not ended
}

// wire is an event of audit.k8s.io, and what clouds put around one. Bodies are not
// in it.
type wire struct {
	Kind  string `json:"kind"`
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	URI   string `json:"requestURI"`
	User  *who   `json:"user"`
	As    *who   `json:"impersonatedUser"`
	Of    *struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		Group       string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Status *struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
	Staged   time.Time `json:"stageTimestamp"`

	// An EventList, as webhooks get it.
	Items []json.RawMessage `json:"items"`
	// CloudWatch: `{"events":[{"message":"…"}]}`, `{"logEvents":[…]}`, or a message alone.
	Events    []json.RawMessage `json:"events"`
	LogEvents []json.RawMessage `json:"logEvents"`
	Message   string            `json:"message"`
	// Azure: `{"records":[{"category":"kube-audit","properties":{"log":"…"}}]}`.
	Records    []json.RawMessage `json:"records"`
	Properties *struct {
		Log string `json:"log"`
	} `json:"properties"`
	// Google: a LogEntry.
	Cloud     *cloud    `json:"protoPayload"`
	Timestamp anyTime   `json:"timestamp"`
	_         [0]func() // not compared
}

type who struct {
	Name   string   `json:"username"`
	Groups []string `json:"groups"`
}

// anyTime is a time in RFC 3339; what is none, such as milliseconds, is zero.
type anyTime struct{ time.Time }

func (t *anyTime) UnmarshalJSON(text []byte) error {
	var parsed time.Time
	if json.Unmarshal(text, &parsed) == nil {
		t.Time = parsed
	}
	return nil
}

// cloud is Google's AuditLog.
type cloud struct {
	Method string `json:"methodName"`
	Object string `json:"resourceName"`
	By     struct {
		Name string `json:"principalEmail"`
	} `json:"authenticationInfo"`
	Decisions []struct {
		Granted bool `json:"granted"`
	} `json:"authorizationInfo"`
	Status struct {
		Code int `json:"code"`
	} `json:"status"`
}

// maxNesting bounds events in events.
const maxNesting = 4

// line takes in one event, or a list of them.
func (l *Log) line(text []byte, depth int) {
	var w wire
	if depth > maxNesting || json.Unmarshal(text, &w) != nil {
		l.lost++
		return
	}
	inner := slices.Concat(w.Items, w.Events, w.LogEvents, w.Records)
	for _, s := range []string{w.Message, w.log()} {
		if strings.HasPrefix(s, "{") {
			inner = append(inner, json.RawMessage(s))
		}
	}
	for _, one := range inner {
		l.line(one, depth+1)
	}
	if len(inner) > 0 {
		return
	}
	switch {
	case w.Cloud != nil:
		l.google(&w)
	case w.User != nil && w.Verb != "":
		l.kubernetes(&w)
	case w.Kind != "EventList":
		l.lost++
	}
}

func (w *wire) log() string {
	if w.Properties == nil {
		return ""
	}
	return w.Properties.Log
}

// kubernetes takes in an event of audit.k8s.io. A request is counted once, when it
// is done; RequestReceived says nothing of whether it was allowed.
func (l *Log) kubernetes(w *wire) {
	if w.Stage == "RequestReceived" || w.Stage == "ResponseStarted" && w.Verb != "watch" {
		return
	}
	e := event{at: w.Staged, begun: w.Stage == "ResponseStarted"}
	if e.at.IsZero() {
		e.at = w.Received
	}
	e.denied = w.Status != nil && w.Status.Code == http.StatusForbidden
	e.verb, e.user, e.groups = w.Verb, w.User.Name, w.User.Groups
	if w.As != nil && w.As.Name != "" {
		l.impersonation(w, e.at)
		e.user, e.groups = w.As.Name, w.As.Groups
	}
	e.about(w)
	l.keep(&e)
}

// about takes over what a request is of.
func (e *event) about(w *wire) {
	if w.Of == nil || w.Of.Resource == "" {
		e.path, _, _ = strings.Cut(w.URI, "?")
		return
	}
	e.group, e.resource, e.sub, e.namespace, e.name = w.Of.Group, w.Of.Resource, w.Of.Subresource, w.Of.Namespace, w.Of.Name
	if e.name == "" && (e.verb == "list" || e.verb == "watch") {
		e.name = selected(w.URI)
	}
	if e.verb == "create" && e.sub == "" {
		e.name = "" // RBAC does not know it
	}
}

// impersonation is itself an act, by who really asked.
func (l *Log) impersonation(w *wire, at time.Time) {
	e := event{at: at, groups: w.User.Groups}
	e.user, e.verb, e.resource, e.name = w.User.Name, "impersonate", "users", w.As.Name
	if rest, ok := strings.CutPrefix(w.As.Name, "system:serviceaccount:"); ok {
		if namespace, name, ok := strings.Cut(rest, ":"); ok {
			e.resource, e.namespace, e.name = "serviceaccounts", namespace, name
		}
	}
	l.keep(&e)
}

// selected is the name that a list is narrowed to by fieldSelector, as the API
// server takes it for authorization.
func selected(uri string) string {
	_, query, ok := strings.Cut(uri, "?")
	if !ok {
		return ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	for _, field := range strings.Split(values.Get("fieldSelector"), ",") {
		if name, ok := strings.CutPrefix(field, "metadata.name="); ok {
			return strings.TrimPrefix(name, "=")
		}
	}
	return ""
}

// google takes in a LogEntry: "io.k8s.core.v1.secrets.get" of
// "core/v1/namespaces/shop/secrets/db".
func (l *Log) google(w *wire) {
	words := strings.Split(w.Cloud.Method, ".")
	object := strings.Split(w.Cloud.Object, "/")
	if !strings.HasPrefix(w.Cloud.Method, "io.k8s.") || len(words) < 6 || len(object) < 3 {
		l.lost++
		return
	}
	e := event{at: w.Timestamp.Time}
	e.user, e.verb = w.Cloud.By.Name, words[len(words)-1]
	e.of(object)
	for _, d := range w.Cloud.Decisions {
		e.denied = e.denied || !d.Granted
	}
	const permissionDenied = 7 // of google.rpc.Code
	e.denied = e.denied || w.Cloud.Status.Code == permissionDenied
	l.keep(&e)
}

// of takes over an object as Google writes it: group, version, namespaces/NAME if
// it is in one, resource, name, subresource.
func (e *event) of(object []string) {
	if e.group = object[0]; e.group == "core" {
		e.group = ""
	}
	rest := object[2:]
	if rest[0] == "namespaces" && len(rest) > 2 {
		e.namespace, rest = rest[1], rest[2:]
	}
	e.resource = rest[0]
	if len(rest) > 1 && e.verb != "create" {
		e.name = rest[1]
	}
	if len(rest) > 2 {
		e.sub, e.name = rest[2], rest[1]
	}
}
