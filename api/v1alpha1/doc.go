// Package v1alpha1 has the objects of strongkeep.io: what is rotated, how
// often it must be, and what is broken on purpose to see what holds.
//
// No object of this group ever holds a secret value, or an unkeyed digest of one.
//
// Start reading at Rotation.
//
// +kubebuilder:object:generate=true
// +groupName=strongkeep.io
package v1alpha1
