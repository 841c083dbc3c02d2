// Package start says why a pod does not start, as far as secrets have to do with
// it: what it names is not there, or lacks the key; an image cannot be pulled for
// want of a login; a ServiceAccount is missing; a webhook refuses the pod.
//
// What is there decides, where it could be read. Where it could not, the kubelet's
// own words do: `secret "db" not found`.
//
// Start reading at Find.
package start
