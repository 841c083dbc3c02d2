package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync"
)

// Sight is a cluster as it is seen from one place, by asking the nodes themselves.
type Sight struct {
	// By is the node of whose members it is; "" = no member answers, and the nodes are those of the list.
	By    string `json:"by"`
	Nodes []Seen `json:"nodes"`
	// Leader is who leads by what members say; "" = none sees a leader.
	Leader string `json:"leader"`
	Voters int    `json:"voters"`
	There  int    `json:"there"` // voters that answer
}

// Majority is how many voters have to be there.
func (s Sight) Majority() int { return s.Voters/2 + 1 }

// Seen is one node of a Sight.
type Seen struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Member bool   `json:"member"` // false: of the list only
	Voter  bool   `json:"voter"`
	There  bool   `json:"there"`  // it answers as this member
	Leader bool   `json:"leader"` // by its own word
	Says   string `json:"says"`   // for people

	id, leader uint64
}

type answer struct {
	State
	err error
}

// Look asks the nodes of a list, and the members that they know, each once. own is the node whose word counts
// most for which members there are. It takes twice the caller's patience at most.
func Look(ctx context.Context, c Caller, nodes []Node, own string) Sight {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(rank(b, own), rank(a, own)), cmp.Compare(a.Name, b.Name))
	})
	answers := map[string]answer{}
	c.each(ctx, nodes, answers)
	var by State
	for _, n := range nodes {
		s := answers[n.URL]
		if s.err == nil && len(s.Members) > 0 && s.Name == n.Name {
			by = s.State
			break
		}
	}
	var unasked []Node
	for _, p := range by.Members {
		if _, ok := answers[p.at()]; !ok {
			unasked = append(unasked, Node{Name: p.called(), URL: p.at()})
		}
	}
	c.each(ctx, unasked, answers)
	return sum(by, nodes, answers)
}

func rank(n Node, own string) int {
	if n.Name == own {
		return 1
	}
	return 0
}

// each asks nodes at once.
func (c Caller) each(ctx context.Context, nodes []Node, answers map[string]answer) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			s, err := c.State(ctx, n.URL)
			mu.Lock()
			defer mu.Unlock()
			answers[n.URL] = answer{s, err}
		})
	}
	all.Wait()
}

// sum puts together what was answered.
func sum(by State, nodes []Node, answers map[string]answer) Sight {
	sight := Sight{By: by.Name, Nodes: []Seen{}}
	names := map[uint64]string{}
	for _, p := range by.Members {
		names[p.ID] = p.called()
	}
	listed := map[string]bool{}
	for _, p := range by.Members {
		n := Seen{Name: p.called(), URL: p.at(), Member: true, Voter: !p.Learner, id: p.ID}
		n.judge(by, answers[n.URL], names)
		listed[n.URL] = true
		if n.Voter {
			sight.Voters++
			if n.There {
				sight.There++
			}
		}
		if n.There && n.leader != 0 {
			sight.Leader = cmp.Or(sight.Leader, nameOf(n.leader, names))
		}
		sight.Nodes = append(sight.Nodes, n)
	}
	for _, p := range nodes {
		if !listed[p.URL] {
			n := Seen{Name: p.Name, URL: p.URL}
			n.judge(by, answers[p.URL], names)
			sight.Nodes = append(sight.Nodes, n)
		}
	}
	slices.SortFunc(sight.Nodes, func(a, b Seen) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.URL, b.URL)) })
	return sight
}

// judge fills in what a node's answer means.
func (n *Seen) judge(by State, a answer, names map[uint64]string) {
	switch {
	case a.err != nil:
		n.Says = "no answer: " + reason(a.err)
	case a.ID == 0 && a.Cluster == "":
		n.Says = "is new, and waits to be a member"
	case by.Cluster != "" && (a.Cluster != by.Cluster || a.Epoch != by.Epoch):
		n.Says = "is of another cluster, or of before this one was recovered"
	case a.ID == 0:
		n.Says = "starts, and has not read its data"
	case n.id != a.ID:
		n.Says = "is not that member: it has lost its disk, or was removed"
	case a.Leader == 0:
		n.There, n.Says = true, "sees no leader"
	default:
		n.There, n.leader, n.Leader = true, a.Leader, a.Leader == a.ID
		n.Says = part(a.State, names)
	}
}

// part is what a node does that sees a leader.
func part(s State, names map[uint64]string) string {
	says := "follows " + nameOf(s.Leader, names)
	if s.Leader == s.ID {
		says = "leads"
	}
	if s.Starting {
		says += ", and catches up"
	}
	return says
}

// reason is an error without what was asked, which the reader knows.
func reason(err error) string {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Err.Error()
	}
	return err.Error()
}

func nameOf(id uint64, names map[uint64]string) string {
	if name, ok := names[id]; ok {
		return name
	}
	return fmt.Sprintf("%x", id)
}

// called is a member's name, or its id before its first start.
func (p Placed) called() string { return cmp.Or(p.Name, strconv.FormatUint(p.ID, 16)) }

func (p Placed) at() string {
	if len(p.URLs) == 0 {
		return ""
	}
	return p.URLs[0]
}
