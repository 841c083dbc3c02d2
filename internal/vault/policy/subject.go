package policy

// Namespace is where policies live: those of one are never those of another.
type Namespace struct {
	ID   string // "root" or "" for the root, otherwise five characters or more of base62
	Path string // "" for the root, otherwise "team-a/" or "team-a/dev/"
}

// Subject is who an ACL is for.
type Subject struct {
	Namespace Namespace // where Names are looked up; the zero value is the root
	Names     []string  // of policies
	Identity  *Identity // what templates in policies stand for; nil = nobody is known
}

// Identity is what is known of a subject besides its token.
type Identity struct{}
