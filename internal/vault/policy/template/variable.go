package template

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Subject is what a variable is about.
type Subject uint8

// The subjects.
const (
	Entity      Subject = iota + 1 // the entity itself
	Alias                          // the alias on the mount with accessor Of
	GroupByID                      // the group with the ID Of, if the entity is in it
	GroupByName                    // the group with the name Of, if the entity is in it
)

// Attribute is which of the subject's values is meant.
type Attribute uint8

// The attributes.
const (
	ID Attribute = iota + 1
	Name
	Metadata       // the one under Key
	CustomMetadata // likewise; of aliases
)

// Variable is one {{…}} of a path.
type Variable struct {
	Subject   Subject
	Attribute Attribute
	Of        string // accessor, group ID or group name
	Key       string // of Metadata and CustomMetadata
}

const forms = "identity.entity.{id,name,metadata.KEY}, identity.entity.aliases.ACCESSOR.{id,name,metadata.KEY,custom_metadata.KEY}, " +
	"identity.groups.ids.ID.{name,metadata.KEY} and identity.groups.names.NAME.{id,metadata.KEY}"

// parseVariable reads what stands between the braces.
func parseVariable(text string) (Variable, error) {
	text = strings.TrimSpace(text)
	v, ok := Variable{}, false
	if rest, found := strings.CutPrefix(text, "identity.entity.aliases."); found {
		v.Subject = Alias
		v.Of, rest, _ = strings.Cut(rest, ".")
		ok = v.attribute(rest, ID, Name, Metadata, CustomMetadata)
	} else if rest, found := strings.CutPrefix(text, "identity.entity."); found {
		v.Subject, v.Of = Entity, "-"
		ok = v.attribute(rest, ID, Name, Metadata)
	} else if rest, found := strings.CutPrefix(text, "identity.groups.ids."); found {
		v.Subject = GroupByID
		v.Of, rest = cutGroup(rest, ".name")
		ok = v.attribute(rest, Name, Metadata)
	} else if rest, found := strings.CutPrefix(text, "identity.groups.names."); found {
		v.Subject = GroupByName
		v.Of, rest = cutGroup(rest, ".id")
		ok = v.attribute(rest, ID, Metadata)
	}
	if !ok || v.Of == "" {
		return Variable{}, errs.Newf(errs.Invalid, "unknown template {{%.80s}}; there are %s", text, forms)
	}
	return v, nil
}

// cutGroup splits "a.b.metadata.k" behind the name of a group, which may have
// dots in it: before the first ".metadata." or the last, closing suffix.
func cutGroup(text, suffix string) (of, rest string) {
	if i := strings.Index(text, ".metadata."); i >= 0 {
		return text[:i], text[i+1:]
	}
	of, _ = strings.CutSuffix(text, suffix)
	return of, strings.TrimPrefix(text[len(of):], ".")
}

func (v *Variable) attribute(text string, allowed ...Attribute) bool {
	switch {
	case text == "id":
		v.Attribute = ID
	case text == "name":
		v.Attribute = Name
	case strings.HasPrefix(text, "metadata."):
		v.Attribute, v.Key = Metadata, text[len("metadata."):]
	case strings.HasPrefix(text, "custom_metadata."):
		v.Attribute, v.Key = CustomMetadata, text[len("custom_metadata."):]
	}
	if v.Attribute >= Metadata && v.Key == "" {
		return false
	}
	for _, a := range allowed {
		if a == v.Attribute {
			return true
		}
	}
	return false
}
