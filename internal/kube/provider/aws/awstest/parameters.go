package awstest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

type parameter struct {
	name   string
	kind   string
	values []string // version 1 first
	tags   map[string]string
}

// PutParameter stores a SecureString as the latest version of a parameter.
func (s *Server) PutParameter(name, value string) {
	s.with(func() { s.putParameter(name, value, "SecureString") })
}

// Parameter returns a parameter's state; ok is false when there is none.
func (s *Server) Parameter(name string) (st State, ok bool) {
	s.with(func() {
		p := s.params[name]
		if ok = p != nil; ok {
			st = State{Text: p.values[len(p.values)-1], Versions: len(p.values), Tags: maps.Clone(p.tags), Type: p.kind}
		}
	})
	return st, ok
}

func (s *Server) putParameter(name, value, kind string) *parameter {
	p := s.params[name]
	if p == nil {
		p = &parameter{name: name, tags: map[string]string{}}
		s.params[name] = p
	}
	p.kind = kind
	p.values = append(p.values, value)
	return p
}

type ssmBody struct {
	Name, Value, Type, Path, NextToken string
	Names                              []string
	MaxResults                         int
	ResourceID                         string `json:"ResourceId"`
	Overwrite, WithDecryption          bool
	Tags                               []tag
	ParameterFilters                   []struct {
		Key, Option string
		Values      []string
	}
}

func (s *Server) ssmActions() map[string]func(request) (any, *failure) {
	on := func(f func(ssmBody) (any, *failure)) func(request) (any, *failure) {
		return func(r request) (any, *failure) {
			var b ssmBody
			if json.Unmarshal(r.body, &b) != nil {
				return nil, refuse("SerializationException", "no JSON")
			}
			return f(b)
		}
	}
	return map[string]func(request) (any, *failure){
		"GetParameter": on(func(b ssmBody) (any, *failure) {
			p, f := s.get(b.Name, b.WithDecryption)
			return map[string]any{"Parameter": p}, f
		}),
		"GetParameters":       on(s.getParameters),
		"GetParametersByPath": on(s.getParametersByPath),
		"DescribeParameters":  on(s.describeParameters),
		"PutParameter":        on(s.overwrite),
		"DeleteParameter": on(func(b ssmBody) (any, *failure) {
			if s.params[b.Name] == nil {
				return nil, refuse("ParameterNotFound", "")
			}
			delete(s.params, b.Name)
			return map[string]any{}, nil
		}),
		"ListTagsForResource": on(func(b ssmBody) (any, *failure) {
			p := s.params[b.ResourceID]
			if p == nil {
				return nil, refuse("InvalidResourceId", "")
			}
			return map[string]any{"TagList": tagsOf(p.tags)}, nil
		}),
		"AddTagsToResource": on(func(b ssmBody) (any, *failure) {
			for _, t := range b.Tags {
				s.params[b.ResourceID].tags[t.Key] = t.Value
			}
			return map[string]any{}, nil
		}),
	}
}

// get returns what stands for "name" or "name:version"; a SecureString is read
// decrypted or not at all.
func (s *Server) get(full string, decrypt bool) (any, *failure) {
	name, selector, selected := strings.Cut(full, ":")
	p := s.params[name]
	if p == nil {
		return nil, refuse("ParameterNotFound", "")
	}
	n := len(p.values)
	if selected {
		var err error
		if n, err = strconv.Atoi(selector); err != nil || n < 1 || n > len(p.values) {
			return nil, refuse("ParameterVersionNotFound", "Systems Manager could not find version "+selector+" of "+name)
		}
	}
	out := map[string]any{"Name": name, "Type": p.kind, "Version": n, "Value": p.values[n-1]}
	if p.kind == "SecureString" && !decrypt {
		out["Value"] = "ciphertext"
	}
	if selected {
		out["Selector"] = ":" + selector
	}
	return out, nil
}

func (s *Server) getParameters(b ssmBody) (any, *failure) {
	if len(b.Names) > 10 {
		return nil, refuse("ValidationException", "too many")
	}
	found, invalid := []any{}, []string{}
	for _, name := range b.Names {
		if p, f := s.get(name, b.WithDecryption); f == nil {
			found = append(found, p)
		} else {
			invalid = append(invalid, name)
		}
	}
	return map[string]any{"Parameters": found, "InvalidParameters": invalid}, nil
}

func (s *Server) getParametersByPath(b ssmBody) (any, *failure) {
	if !strings.HasPrefix(b.Path, "/") {
		return nil, refuse("ValidationException", "The parameter doesn't meet the parameter name requirements.")
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.params)) {
		if b.Path == "/" || strings.HasPrefix(name, b.Path+"/") {
			names = append(names, name)
		}
	}
	some, next, fail := s.paged(names, b.NextToken, b.MaxResults)
	list := []any{}
	for _, name := range some {
		p, _ := s.get(name, b.WithDecryption)
		list = append(list, p)
	}
	return page(map[string]any{"Parameters": list}, next), fail
}

func (s *Server) describeParameters(b ssmBody) (any, *failure) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.params)) {
		ok := true
		for _, f := range b.ParameterFilters {
			tag, byTag := strings.CutPrefix(f.Key, "tag:")
			switch {
			case byTag:
				value, has := s.params[name].tags[tag]
				ok = ok && has && (len(f.Values) == 0 || slices.Contains(f.Values, value))
			case f.Key == "Path" && f.Option == "Recursive":
				ok = ok && strings.HasPrefix(name, f.Values[0]+"/")
			case f.Key == "Name" && f.Option == "BeginsWith":
				ok = ok && strings.HasPrefix(name, f.Values[0])
			default:
				return nil, refuse("InvalidFilterKey", "")
			}
		}
		if ok {
			names = append(names, name)
		}
	}
	some, next, fail := s.paged(names, b.NextToken, b.MaxResults)
	list := []any{}
	for _, name := range some {
		list = append(list, map[string]any{"Name": name})
	}
	return page(map[string]any{"Parameters": list}, next), fail
}

func (s *Server) overwrite(b ssmBody) (any, *failure) {
	p := s.params[b.Name]
	switch {
	case p != nil && !b.Overwrite:
		return nil, refuse("ParameterAlreadyExists", "The parameter already exists.")
	case b.Overwrite && len(b.Tags) > 0:
		return nil, refuse("ValidationException", "tags and overwrite can't be used together")
	case b.Value == "" || len(b.Value) > 8192:
		return nil, refuse("ValidationException", "1 validation error detected: Value '"+b.Value+"' at 'value' failed to satisfy constraint")
	}
	p = s.putParameter(b.Name, b.Value, b.Type)
	for _, t := range b.Tags {
		p.tags[t.Key] = t.Value
	}
	return map[string]any{"Version": len(p.values)}, nil
}
