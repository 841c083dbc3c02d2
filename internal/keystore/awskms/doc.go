// Package awskms keeps keys in AWS KMS, which encrypts for us and gives no key away.
//
// AWS turns the material of a key by itself and says of no ciphertext which material
// it is under, so a version is here a whole key of KMS: the one of the settings, or
// those behind the aliases NAME/1, NAME/2 and so on. What is encrypted is bound to its
// associated data by the encryption context.
//
// It signs by a key in a file, by the environment, or by the machine's own identity;
// nothing of a cluster is needed for it. The role needs kms:Encrypt, kms:Decrypt and
// kms:DescribeKey of the keys, and kms:ListAliases for aliases.
//
// Start reading at Open.
package awskms
