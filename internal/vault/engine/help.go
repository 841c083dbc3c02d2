package engine

import (
	"fmt"
	"slices"
	"strings"
)

// String names the type in help and errors.
func (t FieldType) String() string {
	switch t {
	case String:
		return "string"
	case Int:
		return "integer"
	case Bool:
		return "boolean"
	case Duration:
		return "duration"
	case Strings:
		return "list of strings"
	case Object:
		return "object"
	case Map:
		return "map of strings"
	}
	return "unknown"
}

// Help answers ?help=1 for a path below the mount: the route's own text, or
// the list of all routes where none matches, as for the mount itself. The text
// is Data.help, and at the top level too, where the Vault client looks for it.
func (r *Router) Help(mount, path string) *Response {
	text := r.overview(mount)
	if route, _, ok := r.Match(path); ok && strings.Trim(path, "/") != "" {
		text = route.helpText(mount)
	}
	return &Response{Data: NewObject().Str("help", text).Null("see_also").Value(), TopLevel: true}
}

func (r *Router) overview(mount string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## PATHS\n\nThe following paths are served below %q.\nAdd ?help=1 to one of them to learn more.\n", mount)
	for i := range r.routes {
		route := &r.routes[i]
		fmt.Fprintf(&b, "\n    %s\n        %s\n", route.Pattern, route.Summary)
	}
	return b.String()
}

func (r *Route) helpText(mount string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Path:        %s%s\nOperations:  %s\n", mount, r.Pattern, strings.Join(r.operations(), ", "))
	switch {
	case r.Unauthenticated:
		b.WriteString("Needs:       no token\n")
	case r.Sudo:
		b.WriteString("Needs:       the sudo capability\n")
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary)
	if r.Help != "" {
		fmt.Fprintf(&b, "\n## DESCRIPTION\n\n%s\n", strings.TrimSpace(r.Help))
	}
	if len(r.Fields) > 0 {
		b.WriteString("\n## PARAMETERS\n")
	}
	for _, f := range r.Fields {
		name := f.Name
		if name == AnyField {
			name = "any other name"
		}
		fmt.Fprintf(&b, "\n    %s (%s)\n        %s\n", name, f.Type, f.Help)
		if f.Default != "" {
			fmt.Fprintf(&b, "        Default: %s\n", f.Default)
		}
	}
	return b.String()
}

func (r *Route) operations() []string {
	var ops []Operation
	for op := range r.Handlers {
		ops = append(ops, op)
	}
	slices.Sort(ops)
	names := make([]string, len(ops))
	for i, op := range ops {
		names[i] = op.String()
	}
	return names
}
