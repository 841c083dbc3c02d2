package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// What is told of a cluster, by what its nodes answered.
func TestSum(t *testing.T) {
	at := func(name string) string { return "https://" + name + ":1" }
	nodes := []Node{{"a", at("a")}, {"b", at("b")}, {"c", at("c")}, {"d", at("d")}}
	members := []Placed{
		{ID: 1, Name: "a", URLs: []string{at("a")}}, {ID: 2, Name: "b", URLs: []string{at("b")}}, {ID: 3, Name: "c", URLs: []string{at("c")}},
		{ID: 0xe, URLs: []string{at("e")}, Learner: true},
	}
	state := func(name string, id, leader uint64) answer {
		return answer{State: State{Name: name, Cluster: "x", Epoch: 1, ID: id, Leader: leader, Members: members}}
	}
	refused := answer{err: &url.Error{Op: "Get", URL: "https://c:1/strongkeep/state", Err: errors.New("connection refused")}}
	blank := answer{State: State{Name: "d"}}
	another := state("c", 3, 3)
	another.Epoch = 0
	behind := state("b", 2, 1)
	behind.Starting = true
	starts := state("c", 0, 0)
	for name, c := range map[string]struct {
		by      State
		answers map[string]answer
		want    string
	}{
		"whole": {
			state("a", 1, 1).State, map[string]answer{at("a"): state("a", 1, 1), at("b"): behind, at("c"): state("c", 3, 1), at("d"): blank, at("e"): refused},
			"a leader=a 3/3 2; a voter leads; b voter follows a, and catches up; c voter follows a; d none is new, and waits to be a member; e learner no answer: connection refused",
		},
		"one of three": {
			state("a", 1, 0).State, map[string]answer{at("a"): state("a", 1, 0), at("b"): refused, at("c"): starts, at("d"): refused, at("e"): refused},
			"a leader= 1/3 2; a voter sees no leader; b voter no answer: connection refused; c voter starts, and has not read its data; d none no answer: connection refused; e learner no answer: connection refused",
		},
		"others know more": {
			state("b", 2, 3).State, map[string]answer{at("a"): refused, at("b"): state("b", 2, 3), at("c"): another, at("d"): blank, at("e"): state("c", 9, 3)},
			"b leader=c 1/3 2; a voter no answer: connection refused; b voter follows c; c voter is of another cluster, or of before this one was recovered; d none is new, and waits to be a member; " +
				"e learner is not that member: it has lost its disk, or was removed",
		},
		"nobody": {
			State{}, map[string]answer{at("a"): refused, at("b"): refused, at("c"): starts, at("d"): blank},
			" leader= 0/0 1; a none no answer: connection refused; b none no answer: connection refused; c none starts, and has not read its data; d none is new, and waits to be a member",
		},
	} {
		s := sum(c.by, nodes, c.answers)
		said := []string{fmt.Sprintf("%s leader=%s %d/%d %d", s.By, s.Leader, s.There, s.Voters, s.Majority())}
		for _, n := range s.Nodes {
			kind := "none"
			if n.Member {
				kind = map[bool]string{true: "voter", false: "learner"}[n.Voter]
			}
			said = append(said, fmt.Sprintf("%s %s %s", n.Name, kind, n.Says))
		}
		if got := strings.Join(said, "; "); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// Whatever a node answers, each member and each node of the list is one row, and no more voters are there than are members.
func FuzzSum(f *testing.F) {
	f.Add([]byte(`{"name":"a","cluster":"x","id":1,"leader":1,"members":[{"id":1,"name":"a","urls":["https://a:1"]},{"id":2,"urls":[]}]}`), []byte(`{"name":"b","id":2}`))
	f.Add([]byte(`{}`), []byte(`{"leader":7,"id":7}`))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var a, b State
		if json.Unmarshal(one, &a) != nil || json.Unmarshal(two, &b) != nil {
			return
		}
		nodes := []Node{{"a", "https://a:1"}, {"b", "https://b:1"}}
		s := sum(a, nodes, map[string]answer{"https://a:1": {State: a}, "https://b:1": {State: b}})
		if len(s.Nodes) < len(a.Members) || len(s.Nodes) > len(a.Members)+len(nodes) || s.There > s.Voters || s.Voters > len(a.Members) {
			t.Errorf("%+v", s)
		}
		for _, n := range s.Nodes {
			if n.Says == "" {
				t.Errorf("nothing is said of %+v", n)
			}
		}
	})
}
