package rbac

import "github.com/strongkeep/strongkeep/api/v1alpha1"

// drilling returns what Drills need in each namespace worked in, beside working
// and Consumers. Nothing there breaks anything: that is done in what the operator
// reads, and undone by the rights it has anyway.
func drilling() []Rule {
	return []Rule{
		rule("to see which drills are asked for, read anew before each step", v1alpha1.Group, "drills", "get", "list", "watch"),
		rule("to write the deadline before anything is broken, and what was found", v1alpha1.Group, "drills/status", "update"),
		rule("to see whether the namespace's label allows drills: only metadata is asked for", "", "namespaces", "get"),
		rule("to leave alone what a Rotation is turning", v1alpha1.Group, "rotations", "list"),
	}
}
