// Package config reads, judges and changes an EncryptionConfiguration: the file that
// tells API servers who encrypts what lies in etcd. A file is taken as Kubernetes
// takes it, by its own decoder and its own validation, and refused with the line at
// fault. What is to be written next is a function of a file and a Goal (File.Next);
// whether two files may be in force at once, and whether one may follow another, are
// functions of both (Together, Follows). The package opens and writes nothing.
//
// A file may hold keys. They are in File.Text and Provider.Secret, and nowhere else: not in errors, and
// not in what is printed or encoded.
//
// Start reading at File and Goal.
package config
