package peer

import "time"

// What nodes ask of each other, beside etcd's own, at the same port.
const (
	StatePath  = "/strongkeep/state"
	JoinPath   = "/strongkeep/join"
	HealthPath = "/strongkeep/health"
	ShrinkPath = "/strongkeep/shrink"
	HoldPath   = "/strongkeep/hold"
	MaxBody    = 64 << 10
	// Patience is how long a question may take that is answered at once.
	Patience = 2 * time.Second
)

// Node is one of the list in the configuration.
type Node struct {
	Name string
	URL  string // https://HOST:PORT at which the others reach it
}

// State is what a node tells of itself. The certificates of both ends are checked before.
type State struct {
	Name    string            `json:"name"`
	Birth   string            `json:"birth"`
	List    string            `json:"list"`              // member.Config.list
	Cluster string            `json:"cluster,omitempty"` // as in the record
	Births  map[string]string `json:"births,omitempty"`
	URLs    map[string]string `json:"urls,omitempty"`
	Epoch   int               `json:"epoch,omitempty"`
	ID      uint64            `json:"id,omitempty"`     // etcd's, once it runs here
	Leader  uint64            `json:"leader,omitempty"` // 0 = it knows of none
	// Starting is set until its member has caught up. It may serve clients before.
	Starting bool `json:"starting,omitempty"`
	// Members are those that its etcd knows of, whether there is a majority or not.
	Members []Placed `json:"members,omitempty"`
}

// Application is who asks to be taken in.
type Application struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	Birth string `json:"birth"`
}

// Admission is the answer to it.
type Admission struct {
	Cluster string   `json:"cluster"`
	Epoch   int      `json:"epoch,omitempty"`
	Members []Placed `json:"members"`
}

// Placed is a member as etcd has it; Name is "" before its first start.
type Placed struct {
	ID      uint64   `json:"id"`
	Name    string   `json:"name,omitempty"`
	URLs    []string `json:"urls"`
	Learner bool     `json:"learner,omitempty"`
}
