package engine

import "context"

// Operation is what a request wants of a path. The gate turns it into the
// capability a policy must grant.
type Operation uint8

// The operations. Create and Update both come from POST and PUT: the gate asks
// the route's Exists and says which it is before policy is asked.
const (
	Read Operation = iota + 1
	Create
	Update
	Patch
	Delete
	List
	Help
)

var operationNames = [...]string{"", "read", "create", "update", "patch", "delete", "list", "help"}

// String returns the name used in audit lines and errors.
func (o Operation) String() string {
	if int(o) < len(operationNames) {
		return operationNames[o]
	}
	return "unknown"
}

// Handler answers one operation on one route. It may be run several times for
// one request (see package engine). An error of kind Internal is not shown to
// the client; all other kinds are, word for word. A nil Response with a nil
// error is 204 on a write and 404 on a read.
type Handler func(ctx context.Context, tx Tx, req *Request) (*Response, error)

// Route is one declared path of an engine.
type Route struct {
	// Pattern is matched against the path below the mount: literal segments,
	// {name} for exactly one non-empty segment, {name...} as the last segment
	// for all the rest, which may be empty or contain slashes. "a/{rest...}"
	// matches "a", "a/" and "a/b/"; see Router for slashes at the end.
	Pattern string

	// Handlers by operation. A route with Update but no Create serves both with
	// Update, and every POST is an update as far as policy goes, unless Exists is set.
	Handlers map[Operation]Handler

	// Exists tells create from update; nil: a POST is always Update.
	Exists func(ctx context.Context, tx Tx, req *Request) (bool, error)

	// Canonical returns the one spelling of a path below the mount that the
	// handlers act on, where they take several for the same (capitals, a slash
	// too many). Policy must then allow both what was written and what is meant.
	// nil: every path is its own.
	Canonical func(path string) string

	Unauthenticated bool // no token, no policy: logins and public material
	Recognises      bool // with Unauthenticated: Caller is set if the request has a valid token
	TokenOnly       bool // any valid token, no policy: the handler decides by Caller
	Sudo            bool // needs the sudo capability besides the operation's own
	RootOnly        bool // a system route of the root namespace alone
	ReadOnly        bool // the handlers of Read and List never write, whatever the others do; see ReadsOnly

	// Wrapping says that the route works on a wrapping token, which the caller's
	// own may be: Request.Token is set, and the one use of a wrapping token is the
	// handler's to take, in its transaction, by revoking it.
	Wrapping bool

	Summary string  // one line for ?help=1
	Help    string  // what it does, for ?help=1
	Fields  []Field // what the body or query may hold; unknown fields are ignored with a warning
}

// FieldType is how a field is decoded, and named in help.
type FieldType uint8

// The field types. All accept the weakly typed forms Vault clients send: numbers
// and booleans as strings, a comma-separated string for a list.
const (
	String FieldType = iota
	Int
	Bool
	Duration // seconds as a number or numeric string, or a Go duration with d for days
	Strings  // list, or comma-separated
	Object   // any JSON object, kept as it came
	Map      // object of strings
)

// AnyField is the Name of a field that stands for every name: the route takes
// whatever fields the client sends.
const AnyField = "*"

// Field documents one parameter of a route.
type Field struct {
	Name    string // or AnyField
	Type    FieldType
	Help    string
	Secret  bool   // a value that must not be echoed by any read
	Query   bool   // reads and lists take it, too, on a route that also writes
	Default string // for help only
}
