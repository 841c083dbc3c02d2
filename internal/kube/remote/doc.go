// Package remote reaches other clusters by kubeconfigs that lie in Secrets.
//
// Who may write such a Secret does not run the operator: of a kubeconfig is taken
// what reaches a server and logs in by what the kubeconfig itself holds. Commands,
// files of the operator's machine and servers that are not verified are refused.
//
// Start reading at Pool.Reach, then connection.Kubeconfig.
package remote
