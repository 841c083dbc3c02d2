// Package pki issues the certificates of one development cluster: one
// authority, ECDSA P-256 keys, files in PEM.
//
// One authority signs for the API server, etcd and the kubelet alike, which no
// real cluster should do. Start reading at [New].
package pki
