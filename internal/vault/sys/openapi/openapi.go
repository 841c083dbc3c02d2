package openapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// object is a JSON object of the document.
type object = map[string]any

// Options of a document.
type Options struct {
	Version string
	// Generic puts a parameter in place of each mount's path, and describes one
	// mount of each type.
	Generic bool
	// Below leaves out what only the root namespace has.
	Below bool
}

// Describe returns the OpenAPI 3.0.2 document of the mounts given.
func Describe(mounts []*mount.Mount, opt Options) map[string]any {
	w := &writer{paths: object{}, ids: map[string]int{}}
	described := map[string]bool{}
	for _, m := range mounts {
		if opt.Generic && m.Class != mount.System {
			kind := string(m.Class) + " " + m.Type + " " + m.Options["version"]
			if described[kind] {
				continue
			}
			described[kind] = true
		}
		w.mount(m, opt)
	}
	if !opt.Below {
		w.outside()
	}
	return object{
		"openapi": "3.0.2",
		"info": object{
			"title": "Strongkeep", "version": opt.Version, "license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
			"description": "The HTTP API of this vault, as its mounts declare it. Requests carry a token in the header X-Vault-Token.",
		},
		"servers":    []any{object{"url": "/v1"}},
		"security":   []any{object{"token": []any{}}},
		"components": object{"securitySchemes": object{"token": object{"type": "apiKey", "in": "header", "name": "X-Vault-Token"}}},
		"paths":      w.paths,
	}
}

// writer collects paths.
type writer struct {
	paths object
	ids   map[string]int // how often each operationId was wanted
}

// place is where the routes of one mount begin.
type place struct {
	prefix string // "/secret/", or "/{kv_mount_path}/"
	name   string // for operationIds
	tag    string
	param  object // what stands for the mount's path; nil = nothing does
}

func (w *writer) mount(m *mount.Mount, opt Options) {
	path := strings.TrimSuffix(m.Path, "/")
	at := place{prefix: "/" + m.Path, name: words(path), tag: "secrets"}
	if strings.HasPrefix(m.Path, mount.AuthPrefix) {
		at.tag = "auth"
	} else if m.Class == mount.System {
		at.tag = "system"
	}
	if opt.Generic && m.Class != mount.System {
		name := words(m.Type) + "_mount_path"
		if v := m.Options["version"]; v != "" {
			name = words(m.Type) + "_v" + v + "_mount_path"
		}
		name = strings.ReplaceAll(name, "-", "_")
		at.param = parameter(name, "path", "where the engine is mounted", object{"type": "string", "default": strings.TrimPrefix(path, mount.AuthPrefix)})
		at.prefix, at.name = "/{"+name+"}/", words(m.Type)+m.Options["version"]
		if m.Class == mount.Auth {
			at.prefix = "/" + mount.AuthPrefix + at.prefix[1:]
		}
	}
	routes := m.Router.Routes()
	for i := range routes {
		if !opt.Below || !routes[i].RootOnly {
			w.route(at, &routes[i])
		}
	}
}

// route writes one route: its listing, if it has one, at the path with a slash.
func (w *writer) route(at place, r *engine.Route) { //nolint:cyclop // a flat list of conditions
	path, names := template(r.Pattern)
	var params []any
	if at.param != nil {
		params = append(params, at.param)
	}
	for _, name := range names {
		help := ""
		for _, f := range r.Fields {
			if f.Name == name {
				help = f.Help
			}
		}
		params = append(params, parameter(name, "path", help, object{"type": "string"}))
	}
	item := func(path string) object {
		found, ok := w.paths[path].(object)
		if !ok {
			found = object{"description": r.Summary}
			if len(params) > 0 {
				found["parameters"] = params
			}
			if r.Sudo {
				found["x-vault-sudo"] = true
			}
			if r.Unauthenticated {
				found["x-vault-unauthenticated"] = true
			}
			if r.Exists != nil {
				found["x-vault-createSupported"] = true
			}
			w.paths[path] = found
		}
		return found
	}
	for _, op := range []engine.Operation{engine.Read, engine.Update, engine.Patch, engine.Delete} {
		if r.Handler(op) != nil || op == engine.Update && r.Handler(engine.Create) != nil {
			item(at.prefix + path)[verbs[op]] = w.operation(at, r, op, names)
		}
	}
	if r.Handler(engine.List) != nil {
		folder := strings.TrimSuffix(at.prefix+path, "/") + "/"
		item(folder)["get"] = w.operation(at, r, engine.List, names)
	}
}

var verbs = map[engine.Operation]string{engine.Read: "get", engine.Update: "post", engine.Patch: "patch", engine.Delete: "delete"}

func (w *writer) operation(at place, r *engine.Route, op engine.Operation, names []string) object { //nolint:cyclop // a flat list of conditions
	name := op.String()
	if op == engine.Update {
		name = "write"
	}
	o := object{
		"operationId": w.id(strings.Trim(at.name+"-"+name+"-"+words(r.Pattern), "-")),
		"summary":     r.Summary, "tags": []any{at.tag}, "responses": object{"200": object{"description": "OK"}},
	}
	if r.Help != "" {
		o["description"] = strings.TrimSpace(r.Help)
	}
	if r.Unauthenticated {
		o["security"] = []any{}
	}
	var query []any
	if op == engine.List {
		query = append(query, required(parameter("list", "query", "must be true", object{"type": "string", "enum": []any{"true"}})))
	}
	writes := r.Handler(engine.Update) != nil || r.Handler(engine.Patch) != nil
	switch op {
	case engine.Update, engine.Patch:
		if body := schema(r.Fields, names); body != nil {
			media := "application/json"
			if op == engine.Patch {
				media = "application/merge-patch+json"
			}
			o["requestBody"] = object{"content": object{media: object{"schema": body}}}
		}
		o["responses"].(object)["204"] = object{"description": "done; there is nothing to tell"}
	case engine.Delete:
		o["responses"] = object{"200": object{"description": "OK"}, "204": object{"description": "deleted, or never there"}}
	default:
		for _, f := range r.Fields {
			if (f.Query || !writes) && f.Name != engine.AnyField && !slices.Contains(names, f.Name) {
				query = append(query, parameter(f.Name, "query", f.Help, kind(f)))
			}
		}
	}
	if len(query) > 0 {
		o["parameters"] = query
	}
	return o
}

// id makes want unique.
func (w *writer) id(want string) string {
	w.ids[want]++
	if n := w.ids[want]; n > 1 {
		return want + "-" + strconv.Itoa(n)
	}
	return want
}

// template turns a route's pattern into a path of OpenAPI and its parameters.
func template(pattern string) (path string, names []string) {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			name := strings.TrimSuffix(strings.Trim(s, "{}"), "...")
			segments[i] = "{" + name + "}"
			names = append(names, name)
		}
	}
	return strings.Join(segments, "/"), names
}

// words makes "a/{b...}" a name: "a-b".
func words(path string) string {
	return strings.Join(strings.FieldsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}), "-")
}

func parameter(name, in, help string, schema object) object {
	p := object{"name": name, "in": in, "schema": schema}
	if help != "" {
		p["description"] = help
	}
	if in == "path" {
		return required(p)
	}
	return p
}

func required(p object) object {
	p["required"] = true
	return p
}

// schema is the body's, nil if it has no fields.
func schema(fields []engine.Field, inPath []string) object {
	properties, more := object{}, false
	for _, f := range fields {
		switch {
		case f.Name == engine.AnyField:
			more = true
		case !slices.Contains(inPath, f.Name):
			s := kind(f)
			if f.Help != "" {
				s["description"] = f.Help
			}
			properties[f.Name] = s
		}
	}
	if len(properties) == 0 && !more {
		return nil
	}
	s := object{"type": "object", "properties": properties}
	if more {
		s["additionalProperties"] = true
	}
	return s
}

// kind is the schema of one field's value.
func kind(f engine.Field) object {
	switch f.Type {
	case engine.Int:
		return object{"type": "integer"}
	case engine.Bool:
		return object{"type": "boolean"}
	case engine.Duration:
		return object{"type": "string", "format": "duration", "example": "1h30m"}
	case engine.Strings:
		return object{"type": "array", "items": object{"type": "string"}}
	case engine.Object:
		return object{"type": "object", "additionalProperties": true}
	case engine.Map:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	}
	if f.Secret {
		return object{"type": "string", "format": "password"}
	}
	return object{"type": "string"}
}

// outside writes the paths that the wire serves itself, because they must work
// while the vault is sealed, or are no request and answer.
func (w *writer) outside() {
	number, text, flag := object{"type": "integer"}, object{"type": "string"}, object{"type": "boolean"}
	secret := object{"type": "string", "format": "password"}
	ok := func(id, summary string, body object) object {
		o := object{"operationId": w.id("sys-" + id), "summary": summary, "tags": []any{"system"}, "security": []any{},
			"responses": object{"200": object{"description": "OK"}}}
		if body != nil {
			o["requestBody"] = object{"content": object{"application/json": object{"schema": object{"type": "object", "properties": body}}}}
		}
		return o
	}
	put := func(path, summary string, operations object) {
		item := object{"description": summary, "x-vault-unauthenticated": true}
		for verb, o := range operations {
			item[verb] = o
		}
		w.paths[path] = item
	}
	put("/sys/init", "Whether there is a vault; make one.", object{
		"get":  ok("read-init", "Whether there is a vault.", nil),
		"post": ok("write-init", "Make the vault; the answer is the only place where its shares are shown.", object{"secret_shares": number, "secret_threshold": number}),
	})
	put("/sys/seal-status", "Whether the vault is sealed.", object{"get": ok("read-seal-status", "Whether the vault is sealed.", nil)})
	put("/sys/unseal", "Unseal the vault.", object{
		"post": ok("write-unseal", "Give one share, or start anew.", object{"key": secret, "reset": flag}),
	})
	health := ok("read-health", "How the vault is, as a status: 200 open, 501 not initialised, 503 sealed.", nil)
	health["responses"] = object{"200": object{"description": "open"}, "501": object{"description": "not initialised"}, "503": object{"description": "sealed"}}
	health["parameters"] = []any{
		parameter("uninitcode", "query", "status in place of 501", number), parameter("sealedcode", "query", "status in place of 503", number),
		parameter("activecode", "query", "status in place of 200", number),
	}
	put("/sys/health", "How the vault is.", object{"get": health})
	put("/sys/leader", "Which node leads.", object{"get": ok("read-leader", "Which node leads.", nil)})
	events := object{
		"operationId": w.id("sys-subscribe-events"), "summary": "Subscribe to changes, as a WebSocket.", "tags": []any{"system"},
		"responses":  object{"101": object{"description": "the WebSocket begins"}},
		"parameters": []any{parameter("json", "query", "must be true", flag)},
	}
	w.paths["/sys/events/subscribe/{type}"] = object{
		"description": "Changes as they happen.", "get": events,
		"parameters": []any{parameter("type", "path", "of the events, with * for any rest", text)},
	}
}
