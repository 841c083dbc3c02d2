// Package awskey rotates an access key of an AWS IAM user. IAM allows two keys
// per user, which is what an overlap needs.
//
// IAM keys bear no mark of who made them, and their secret is shown once. So the
// keys that there are are noted before one is made; a key that is there on the
// next try and is not among them, and that nobody has used, is one whose secret
// was lost in a crash, and is deleted.
//
// Start reading at Kind, then key.make.
package awskey
