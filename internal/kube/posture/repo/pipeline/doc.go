// Package pipeline reads what CI systems run (GitHub Actions, GitLab CI,
// Jenkinsfiles, Argo Workflows, Tekton) and finds where a secret can come into a
// log: scripts are parsed as a shell does, so that an echo into a pipe or a file is
// none. Nothing of a script is kept but lines and words of this package.
//
// Start reading at Read.
package pipeline
