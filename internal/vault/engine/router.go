package engine

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Router finds the route of a path. It is immutable: any number of goroutines
// may use it at once.
//
// A slash at the end of a path matters in exactly one way. {name...} keeps it,
// so that an engine can tell the folder "a/" from the key "a". Every other
// pattern ignores one such slash, but only for LIST: what Match then returns
// serves no other operation, so that "config/" is not a second name for
// "config" by which a policy on "config" could be passed by. An engine
// declares "roles" with a List handler once and serves "roles" and "roles/".
type Router struct {
	routes  []Route
	byFirst map[string][]*compiled // by first literal segment, with those that begin with a parameter merged in
	others  []*compiled            // those that begin with a parameter
}

// compiled is a route ready to match.
type compiled struct {
	pattern
	route *Route
	list  *Route // the route with nothing but its List handler; nil if it has none
}

// NewRouter checks the routes and compiles them. Errors are of kind Internal,
// for they are faults of the engine: a malformed pattern, a route without
// handlers, a route that an earlier one hides, or two routes of which neither
// is the more special and both match some path.
func NewRouter(routes []Route) (*Router, error) {
	r := &Router{routes: append([]Route(nil), routes...), byFirst: map[string][]*compiled{}}
	all := make([]*compiled, 0, len(routes))
	for i := range r.routes {
		route := &r.routes[i]
		if err := route.check(); err != nil {
			return nil, err
		}
		p, err := compile(route.Pattern)
		if err != nil {
			return nil, err
		}
		c := &compiled{pattern: p, route: route}
		if list := route.Handlers[List]; list != nil {
			only := *route
			only.Handlers = map[Operation]Handler{List: list}
			c.list = &only
		}
		for _, earlier := range all {
			if err := clash(&earlier.pattern, &p); err != nil {
				return nil, err
			}
		}
		all = append(all, c)
	}
	r.index(all)
	return r, nil
}

// check finds what is wrong with a route by itself.
func (r *Route) check() error {
	if len(r.Handlers) == 0 {
		return errs.Newf(errs.Internal, "route %q has no handlers", r.Pattern)
	}
	for op, h := range r.Handlers {
		if op < Read || op >= Help || h == nil {
			return errs.Newf(errs.Internal, "route %q: no handler can serve the operation %q", r.Pattern, op)
		}
	}
	if r.ReadOnly && r.Handlers[Read] == nil && r.Handlers[List] == nil {
		return errs.Newf(errs.Internal, "route %q is declared read only and has neither Read nor List", r.Pattern)
	}
	seen := map[string]bool{}
	for _, f := range r.Fields {
		if f.Name == "" || seen[f.Name] {
			return errs.Newf(errs.Internal, "route %q: the field %q is empty or declared twice", r.Pattern, f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

func clash(earlier, later *pattern) error {
	switch {
	case earlier.covers(later):
		return errs.Newf(errs.Internal, "route %q can never be reached: %q is declared before it", later.text, earlier.text)
	case earlier.overlaps(later) && !later.covers(earlier):
		return errs.Newf(errs.Internal, "routes %q and %q are ambiguous: some paths match both", earlier.text, later.text)
	}
	return nil
}

// index sorts the routes by first segment, each list in the order declared.
func (r *Router) index(all []*compiled) {
	for _, c := range all {
		if c.first() == "" {
			r.others = append(r.others, c)
		} else {
			r.byFirst[c.first()] = nil
		}
	}
	for first := range r.byFirst {
		var here []*compiled
		for _, c := range all {
			if c.first() == first || c.first() == "" {
				here = append(here, c)
			}
		}
		r.byFirst[first] = here
	}
}

// Match returns the first route declared whose pattern matches path, and what
// its parameters stood for (nil if the pattern has none). The route is shared:
// do not change it.
func (r *Router) Match(path string) (*Route, map[string]string, bool) {
	first, _, _ := strings.Cut(path, "/")
	candidates, ok := r.byFirst[first]
	if !ok {
		candidates = r.others
	}
	trimmed, slash := strings.CutSuffix(path, "/")
	for _, c := range candidates {
		route, text := c.route, path
		if slash && c.rest == "" {
			route, text = c.list, trimmed
		}
		if route == nil || !c.match(text, nil) {
			continue
		}
		if c.names == 0 {
			return route, nil, true
		}
		params := make(map[string]string, c.names)
		c.match(text, params)
		return route, params, true
	}
	return nil, nil, false
}

// Routes returns the routes as they were declared. Do not change them.
func (r *Router) Routes() []Route { return r.routes }

// Handler returns what serves op, nil if the route does not have it. Create is
// served by Update where the route does not tell them apart.
func (r *Route) Handler(op Operation) Handler {
	h := r.Handlers[op]
	if h == nil && op == Create {
		h = r.Handlers[Update]
	}
	return h
}

// ReadsOnly reports whether the route promises that op writes nothing: the gate
// may run it on the store itself, without a transaction. Other operations of the
// same route write.
func (r *Route) ReadsOnly(op Operation) bool { return r.ReadOnly && (op == Read || op == List) }

// UnknownFields returns the names in b that the route does not declare,
// sorted: the gate warns of them. A route with a field "*" knows every name.
func (r *Route) UnknownFields(b Body) []string {
	var unknown []string
	for name := range b.fields {
		if !r.declares(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func (r *Route) declares(name string) bool {
	for i := range r.Fields {
		if r.Fields[i].Name == name || r.Fields[i].Name == AnyField {
			return true
		}
	}
	return false
}
