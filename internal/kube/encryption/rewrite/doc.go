// Package rewrite has API servers write every object of a resource again, so that it
// lies in etcd under the provider and key of now. Of the objects it sees and sends
// names and versions only: a patch that changes nothing, refused by the API server if
// anybody has written the object since, is written if it would be encrypted otherwise.
// So no update is ever lost, and no value leaves the API server.
//
// Where a run stands is kept in a ConfigMap; one that was killed goes on from there.
// Doing a page twice does nothing twice.
//
// Start reading at Run.
package rewrite
