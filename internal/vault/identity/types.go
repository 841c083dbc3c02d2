package identity

import (
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/identity/rows"
	"github.com/strongkeep/strongkeep/internal/vault/identity/subject"
)

// Entity is record.Entity.
type Entity = record.Entity

// Alias is record.Alias.
type Alias = record.Alias

// External is record.External.
type External = record.External

// Group is record.Group.
type Group = record.Group

// Config is record.Config.
type Config = record.Config

type reference = record.Reference

// View is rows.View.
type View = rows.View

// Reader is rows.Reader.
type Reader = rows.Reader

// Prefix is rows.Prefix.
const Prefix = rows.Prefix

// In returns the view of a namespace; "" is the root.
func In(r Reader, ns string) View { return rows.In(r, ns) }

// Folder is where all of one namespace lies; "" is the root.
func Folder(ns string) string { return rows.Of(ns).Folder() }

// Subject is subject.Subject.
type Subject = subject.Subject

// The types of groups.
const (
	Internal = record.Internal
	Outside  = record.Outside
)

// Policies is record.Policies.
func Policies(names []string) ([]string, error) { return record.Policies(names) }
