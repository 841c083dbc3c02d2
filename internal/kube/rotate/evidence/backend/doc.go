// Package backend says of each pod what the backend's sessions show: whether its
// address is seen on the new credential, and none on the old. It is pure.
//
// An address speaks for a pod only where the pod alone has it: pods on their
// node's network and pods behind one address are not told apart, and get no
// word for either side.
//
// Start reading at Match.
package backend
