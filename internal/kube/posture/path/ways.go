package path

import "github.com/strongkeep/strongkeep/internal/kube/posture/access"

// question is what the answer to who can act as somebody depends on, in all searches but
// those that constrained impersonation matters to.
type question struct {
	who access.Subject
	// node says that it is a node by what its pods have, and not by a binding.
	node bool
	// place is where what is read in the end lies; "" if nothing limits operators.
	place string
}

// become finds those who can act as somebody who was reached. Who these are is mostly the
// same for all Secrets: it is found once, and then only told again.
func (s *search) become(n *node) {
	if s.borrowed && n.target != nil {
		s.walk(n) // they borrow a verb by which n reads its target
		return
	}
	q := question{who: n.step.Subject, node: n.step.Kind == Node}
	if len(s.projects) > 0 {
		q.place = n.place
	}
	for _, step := range s.ways(q) {
		s.note(step, n)
	}
}

// ways are the steps of those who can act as somebody, each once, the shortest way first.
func (f *Finder) ways(q question) []Step {
	if known, ok := f.walked.Load(q); ok {
		return known.([]Step)
	}
	n := &node{step: Step{Subject: q.who}, place: q.place}
	if q.node {
		n.step.Kind = Node
	}
	s := search{Finder: f, nodes: map[access.Subject]*node{q.who: n}}
	s.walk(n)
	out := make([]Step, len(s.order))
	for i := range out {
		out[i] = s.order[i].step
	}
	f.walked.Store(q, out)
	return out
}

// borrows are the kinds of constrained impersonation.
var borrows = []Kind{BorrowUser, BorrowGroup, BorrowRobot, BorrowNode, BorrowHost}

// matters reports whether a search looks at a capability. Those whose subject is nobody but
// the superusers are known to each search before it looks at others than those who read;
// who may label a namespace is asked besides.
func (c *Capability) matters() bool {
	switch c.Kind {
	case Read, ReadCopy, LabelNamespaces:
		return true
	}
	only := c.Grant.Binding.Subjects
	return len(only) != 1 || only[0] != access.Group(access.Masters)
}
