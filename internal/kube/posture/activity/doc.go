// Package activity makes of audit logs what was done: who asked for what, how
// often, when last. Bodies of requests are never decoded. It takes the lines that
// an API server writes, lists of events as webhooks get them, and the same as EKS
// (CloudWatch), AKS (kube-audit) and GKE (Cloud Audit) wrap them, compressed or not.
//
// Memory is bounded by what is told apart, not by the length of the log: names of
// one kind of request beyond a thousand become "*", and beyond a million kinds the
// rest is lost and counted. A line that cannot be understood is counted, and the
// rest goes on.
//
// Start reading at Log.Add.
package activity
