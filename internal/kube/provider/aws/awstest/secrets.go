package awstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type secret struct {
	name     string
	versions []version // oldest first
	tags     map[string]string
	deleted  bool
	window   int64
	policy   *string
}

type version struct {
	id     string
	text   *string
	binary []byte
	stages []string
}

// Put stores a text as the current version of a secret, and returns the version's id.
func (s *Server) Put(name, text string) (id string) {
	s.with(func() { id = s.put(name, &text, nil) })
	return id
}

// PutBinary stores bytes.
func (s *Server) PutBinary(name string, b []byte) {
	s.with(func() { s.put(name, nil, b) })
}

// Tag gives tags to a secret, or to the parameter of that name.
func (s *Server) Tag(name string, tags map[string]string) {
	s.with(func() {
		if c := s.secrets[name]; c != nil {
			maps.Copy(c.tags, tags)
		}
		if p := s.params[name]; p != nil {
			maps.Copy(p.tags, tags)
		}
	})
}

// Delete lets a secret await its deletion.
func (s *Server) Delete(name string) { s.with(func() { s.secrets[name].deleted = true }) }

// State is what a secret is like.
type State struct {
	Text     string // of the current version, or its bytes
	Binary   bool
	Versions int
	Tags     map[string]string
	Deleted  bool
	Window   int64  // days, -1 for none at all
	Type     string // of a parameter
	Policy   string // "" is none
}

// Secret returns a secret's state; ok is false when there is none.
func (s *Server) Secret(name string) (st State, ok bool) {
	s.with(func() {
		c := s.secrets[name]
		if ok = c != nil; !ok {
			return
		}
		st = State{Versions: len(c.versions), Tags: maps.Clone(c.tags), Deleted: c.deleted, Window: c.window}
		if c.policy != nil {
			st.Policy = *c.policy
		}
		if v := c.find("", "AWSCURRENT"); v != nil {
			st.Text, st.Binary = string(v.binary), v.text == nil
			if v.text != nil {
				st.Text = *v.text
			}
		}
	})
	return st, ok
}

func (s *Server) put(name string, text *string, binary []byte) string {
	c := s.secrets[name]
	if c == nil {
		c = &secret{name: name, tags: map[string]string{}}
		s.secrets[name] = c
	}
	s.serial++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", s.serial)
	for i := range c.versions {
		v := &c.versions[i]
		if slices.Contains(v.stages, "AWSCURRENT") {
			v.stages = []string{"AWSPREVIOUS"}
		} else {
			v.stages = nil
		}
	}
	c.versions = append(c.versions, version{id, text, binary, []string{"AWSCURRENT"}})
	return id
}

func (c *secret) find(id, stage string) *version {
	for i := range c.versions {
		v := &c.versions[i]
		if (id == "" || v.id == id) && (stage == "" || slices.Contains(v.stages, stage)) {
			return v
		}
	}
	return nil
}

func (c *secret) arn() string {
	return "arn:aws:secretsmanager:" + Region + ":123456789012:secret:" + c.name + "-AbCdEf"
}

// tag is how both services write tags.
type tag struct{ Key, Value string }

func tagsOf(m map[string]string) []tag {
	tags := []tag{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		tags = append(tags, tag{k, m[k]})
	}
	return tags
}

// smBody is every request's, as far as it matters here.
type smBody struct {
	SecretID                   string `json:"SecretId"`
	Name                       string
	VersionID                  string `json:"VersionId"`
	VersionStage               string
	SecretIDList               []string `json:"SecretIdList"`
	SecretString               *string
	SecretBinary               []byte
	Tags                       []tag
	Filters                    []struct{ Key, Values any }
	MaxResults                 int
	NextToken                  string
	RecoveryWindowInDays       int64
	ForceDeleteWithoutRecovery bool
	ResourcePolicy             string
	BlockPublicPolicy          bool
}

// smAction is one that is about a secret; nil where the request names none.
type smAction func(smBody, *secret) (any, *failure)

// on decodes a request and finds the secret that it names.
func (s *Server) on(f smAction) func(request) (any, *failure) {
	return func(r request) (any, *failure) {
		var b smBody
		if json.Unmarshal(r.body, &b) != nil {
			return nil, refuse("SerializationException", "no JSON")
		}
		c := s.secrets[b.SecretID]
		for _, other := range s.secrets {
			if other.arn() == b.SecretID {
				c = other
			}
		}
		if c == nil && b.SecretID != "" {
			return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		}
		return f(b, c)
	}
}

// of is on, for what has to name a secret.
func (s *Server) of(f smAction) func(request) (any, *failure) {
	return s.on(func(b smBody, c *secret) (any, *failure) {
		if c == nil {
			return nil, refuse("InvalidParameterException", "SecretId is missing.")
		}
		return f(b, c)
	})
}

func (s *Server) smActions() map[string]func(request) (any, *failure) {
	on, of := s.on, s.of
	return map[string]func(request) (any, *failure){
		"GetSecretValue":      on(s.getSecretValue),
		"BatchGetSecretValue": on(s.batchGetSecretValue),
		"ListSecrets":         on(s.listSecrets),
		"DescribeSecret": of(func(_ smBody, c *secret) (any, *failure) {
			out := map[string]any{"Name": c.name, "ARN": c.arn(), "Tags": tagsOf(c.tags)}
			if c.deleted {
				out["DeletedDate"] = 1.7e9
			}
			return out, nil
		}),
		"CreateSecret": on(func(b smBody, _ *secret) (any, *failure) {
			if s.secrets[b.Name] != nil {
				return nil, refuse("ResourceExistsException", "The operation failed because the secret already exists.")
			}
			id := s.put(b.Name, b.SecretString, b.SecretBinary)
			return s.tag(b.Tags, s.secrets[b.Name], map[string]any{"VersionId": id})
		}),
		"PutSecretValue": of(func(b smBody, c *secret) (any, *failure) {
			if c.deleted {
				return nil, marked()
			}
			return map[string]any{"VersionId": s.put(c.name, b.SecretString, b.SecretBinary)}, nil
		}),
		"TagResource": of(func(b smBody, c *secret) (any, *failure) { return s.tag(b.Tags, c, map[string]any{}) }),
		"GetResourcePolicy": of(func(_ smBody, c *secret) (any, *failure) {
			return map[string]any{"Name": c.name, "ARN": c.arn(), "ResourcePolicy": c.policy}, nil
		}),
		"PutResourcePolicy":    of(putResourcePolicy),
		"DeleteResourcePolicy": of(func(_ smBody, c *secret) (any, *failure) { c.policy = nil; return map[string]any{}, nil }),
		"RestoreSecret":        of(func(_ smBody, c *secret) (any, *failure) { c.deleted = false; return map[string]any{}, nil }),
		"DeleteSecret": of(func(b smBody, c *secret) (any, *failure) {
			c.deleted, c.window = true, b.RecoveryWindowInDays
			if b.ForceDeleteWithoutRecovery {
				delete(s.secrets, c.name)
			}
			return map[string]any{}, nil
		}),
	}
}

func marked() *failure {
	return refuse("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
}

func (s *Server) tag(tags []tag, c *secret, out any) (any, *failure) {
	for _, t := range tags {
		c.tags[t.Key] = t.Value
	}
	return out, nil
}

// putResourcePolicy keeps a policy as it was written.
func putResourcePolicy(b smBody, c *secret) (any, *failure) {
	var p struct {
		Version   string
		Statement []struct{ Effect, Principal any }
	}
	if json.Unmarshal([]byte(b.ResourcePolicy), &p) != nil || len(p.Statement) == 0 {
		return nil, refuse("MalformedPolicyDocumentException", "canary: "+b.ResourcePolicy)
	}
	for _, s := range p.Statement {
		if b.BlockPublicPolicy && s.Effect == "Allow" && s.Principal == "*" {
			return nil, refuse("PublicPolicyException", "canary: "+b.ResourcePolicy)
		}
	}
	c.policy = &b.ResourcePolicy
	return map[string]any{}, nil
}

func (s *Server) getSecretValue(b smBody, c *secret) (any, *failure) {
	if c.deleted {
		return nil, marked()
	}
	if b.VersionID == "" && b.VersionStage == "" {
		b.VersionStage = "AWSCURRENT"
	}
	v := c.find(b.VersionID, b.VersionStage)
	if v == nil {
		return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: "+b.VersionStage)
	}
	return entry(c, v), nil
}

func entry(c *secret, v *version) map[string]any {
	out := map[string]any{"Name": c.name, "ARN": c.arn(), "VersionId": v.id, "VersionStages": v.stages}
	if v.text != nil {
		out["SecretString"] = *v.text
	} else {
		out["SecretBinary"] = v.binary
	}
	return out
}

func (s *Server) batchGetSecretValue(b smBody, _ *secret) (any, *failure) {
	if len(b.SecretIDList) > 20 {
		return nil, refuse("InvalidParameterException", "too many")
	}
	values, failures := []any{}, []any{}
	for _, name := range b.SecretIDList {
		c := s.secrets[name]
		if c == nil || c.deleted {
			failures = append(failures, map[string]string{"SecretId": name, "ErrorCode": "ResourceNotFoundException"})
			continue
		}
		values = append(values, entry(c, c.find("", "AWSCURRENT")))
	}
	return map[string]any{"SecretValues": values, "Errors": failures}, nil
}

// listSecrets filters as the service does: words of tags apart from each other.
func (s *Server) listSecrets(b smBody, _ *secret) (any, *failure) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		c, ok := s.secrets[name], true
		for _, f := range b.Filters {
			want := fmt.Sprint(f.Values.([]any)[0])
			switch f.Key {
			case "name":
				ok = ok && strings.HasPrefix(strings.ToLower(name), strings.ToLower(want))
			case "tag-key":
				ok = ok && slices.Contains(slices.Collect(maps.Keys(c.tags)), want)
			case "tag-value":
				ok = ok && slices.Contains(slices.Collect(maps.Values(c.tags)), want)
			}
		}
		if ok && !c.deleted {
			names = append(names, name)
		}
	}
	list := []any{}
	some, next, fail := s.paged(names, b.NextToken, b.MaxResults)
	for _, name := range some {
		c := s.secrets[name]
		list = append(list, map[string]any{"Name": name, "ARN": c.arn(), "Tags": tagsOf(c.tags)})
	}
	return page(map[string]any{"SecretList": list}, next), fail
}

// paged returns the page that begins at token, and the token of the next.
func (s *Server) paged(names []string, token string, size int) (some []string, next string, f *failure) {
	from := 0
	if token != "" {
		if s.lose {
			return nil, "", &failure{http.StatusInternalServerError, "InternalServiceError", "as the test wants it"}
		}
		n, err := strconv.Atoi(strings.TrimPrefix(token, "page-"))
		if err != nil || n > len(names) {
			return nil, "", refuse("InvalidNextTokenException", "no such page")
		}
		from = n
	}
	to := min(from+size, len(names))
	if to < len(names) {
		next = fmt.Sprintf("page-%d", to)
	}
	return names[from:to], next, nil
}

func page(out map[string]any, next string) map[string]any {
	if next != "" {
		out["NextToken"] = next
	}
	return out
}
