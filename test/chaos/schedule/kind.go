package schedule

// World is what schedules are for.
type World string

// The worlds: nodes on an etcd of its own processes, nodes that form an etcd cluster in
// theirs (storage cluster), and one node on the embedded store (storage pebble).
const (
	External World = "external"
	Cluster  World = "cluster"
	Embedded World = "embedded"
)

// Nodes is how many nodes a world has.
func (w World) Nodes() int {
	if w == Embedded {
		return 1
	}
	return 3
}

// streams keep the schedules of one world independent of those of another. They never change, nor
// does the order of a world's Kinds: a seed is to give the same faults for ever.
var streams = map[World]uint64{External: 0x5eed, Cluster: 0xc1, Embedded: 0xe1}

// Kind is what goes wrong.
type Kind string

// The kinds. A and B of a Fault are which node or member, from 0.
const (
	KillNode      Kind = "kill -9 of a node"
	KillNodes     Kind = "kill -9 of all nodes"
	FreezeNode    Kind = "SIGSTOP of a node"
	KillEtcd      Kind = "kill -9 of an etcd member"
	KillEtcds     Kind = "kill -9 of all etcd members"
	FreezeEtcd    Kind = "SIGSTOP of an etcd member"
	PowerEtcd     Kind = "power cut of an etcd member"
	PowerEtcds    Kind = "power cut of all etcd members"
	PowerNode     Kind = "power cut of a node"
	CutNodeEtcd   Kind = "node A cut off from etcd member B"
	CutNode       Kind = "node cut off from etcd"
	CutNodeOneWay Kind = "what etcd sends to a node is lost"
	CutEtcdOneWay Kind = "what a node sends to etcd is lost"
	CutClients    Kind = "node cut off from clients"
	CutPair       Kind = "etcd members A and B cut off from each other"
	CutMember     Kind = "etcd member cut off from the others"
	CutSite       Kind = "node and etcd member A cut off from the rest"
	CutLonely     Kind = "an etcd member hears the others, and is not heard"
	SlowNet       Kind = "slow network to etcd"
	LossyNet      Kind = "lossy network to etcd"
	SlowClients   Kind = "slow and lossy network to clients"
	SlowDisk      Kind = "slow disk of an etcd member"
	FullDisk      Kind = "full disk of an etcd member"
	FullAudit     Kind = "full disk of a node"
	SlowAudit     Kind = "slow disk of a node"
	Skew          Kind = "node started anew with a wrong clock"
	LostKMS       Kind = "node started anew without its KMS"
	SealNode      Kind = "node sealed by an operator"
	StepDown      Kind = "leader asked to step down"
)

// Kinds of nodes that are members themselves. "Most" are all but A.
const (
	KillMost       Kind = "kill -9 of all nodes but one"
	FreezeMost     Kind = "SIGSTOP of all nodes but one"
	PowerNodes     Kind = "power cut of all nodes"
	StopNode       Kind = "node stopped (SIGTERM)"
	LoseDisk       Kind = "node comes back with an empty disk"
	PartPair       Kind = "nodes A and B cut off from each other"
	PartPairOneWay Kind = "what node A sends to node B is lost"
	PartNode       Kind = "node cut off from the other nodes"
	PartDeaf       Kind = "what the other nodes send to a node is lost"
	PartMute       Kind = "what a node sends to the other nodes is lost"
	PartAll        Kind = "all nodes cut off from each other"
	PartSite       Kind = "node cut off from all else"
	MuteClients    Kind = "what a node sends to clients is lost"
	SlowPeers      Kind = "slow network to the other nodes"
	LossyPeers     Kind = "lossy network to the other nodes"
	FullDisks      Kind = "full disks of all nodes"
	SlowDisks      Kind = "slow disks of all nodes"
)

// Kinds that end a node again and again while it starts.
const (
	KillAgain  Kind = "kill -9 of a node, and of each that is started for it"
	PowerAgain Kind = "power cut of a node, and of each that is started for it"
)

// Kinds are all of a world.
var Kinds = map[World][]Kind{
	External: {
		KillNode, KillNodes, FreezeNode, KillEtcd, KillEtcds, FreezeEtcd, PowerEtcd, PowerEtcds, PowerNode, CutNodeEtcd, CutNode, CutNodeOneWay,
		CutEtcdOneWay, CutClients, CutPair, CutMember, CutSite, CutLonely, SlowNet, LossyNet, SlowClients, SlowDisk, FullDisk, FullAudit,
		SlowAudit, Skew, LostKMS, SealNode, StepDown,
	},
	Cluster: {
		KillNode, KillMost, KillNodes, FreezeNode, FreezeMost, PowerNode, PowerNodes, StopNode, LoseDisk, PartPair, PartPairOneWay, PartNode,
		PartDeaf, PartMute, PartAll, PartSite, CutClients, MuteClients, SlowPeers, LossyPeers, SlowClients, FullAudit, FullDisks,
		SlowAudit, SlowDisks, Skew, LostKMS, SealNode, StepDown,
	},
	Embedded: {
		KillNode, KillAgain, FreezeNode, PowerNode, PowerAgain, StopNode, CutClients, MuteClients, SlowClients, FullAudit, SlowAudit, Skew,
		LostKMS, SealNode,
	},
}
