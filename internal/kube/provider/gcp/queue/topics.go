package queue

import (
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// Place is where the secrets of a store are.
type Place struct {
	Project  string // its id or its number; "" where nobody has said
	Location string // of regional secrets
}

// The attributes of a message. Its data is the secret or the version as the service
// describes it, and is not looked at:
//
//	eventType   SECRET_VERSION_ADD
//	dataFormat  JSON_API_V1
//	secretId    projects/NUMBER/secrets/ID, or projects/NUMBER/locations/LOCATION/secrets/ID
//	versionId   projects/NUMBER/secrets/ID/versions/2
const (
	eventType = "eventType"
	secretID  = "secretId"
)

// changing are the events behind which something else is read. SECRET_ROTATE asks
// somebody to turn a secret, and TOPIC_CONFIGURED tries the topic.
var changing = map[string]bool{
	"SECRET_CREATE": true, "SECRET_UPDATE": true, "SECRET_DELETE": true,
	"SECRET_VERSION_ADD": true, "SECRET_VERSION_ENABLE": true, "SECRET_VERSION_DISABLE": true,
	"SECRET_VERSION_DESTROY": true, "SECRET_VERSION_DESTROY_SCHEDULED": true,
}

var secrets = regexp.MustCompile(`^projects/([^/]{1,128})/(?:locations/([^/]{1,64})/)?secrets/([A-Za-z0-9_-]{1,255})$`)

// Topics returns the topic of a message about a secret of p, which is its id.
func Topics(m notice.Message, p Place) ([]string, error) {
	event := m.Attributes[eventType]
	if event == "" {
		return nil, errs.New(errs.Invalid, "not an event of Secret Manager: it has no attribute "+eventType)
	}
	if !changing[event] {
		return nil, nil
	}
	at := secrets.FindStringSubmatch(m.Attributes[secretID])
	if at == nil {
		return nil, errs.New(errs.Invalid, "an event of Secret Manager whose attribute "+secretID+" names no secret")
	}
	if !p.has(at[1], at[2]) {
		return nil, nil
	}
	return []string{at[3]}, nil
}

// has reports whether a secret can be one of p. A project has an id and a number, of
// which nobody says here that they are of one project.
func (p Place) has(project, location string) bool {
	if location != "" && location != p.Location {
		return false
	}
	return p.Project == "" || number(p.Project) != number(project) || p.Project == project
}

// number reports whether a project is named by its number: ids begin with a letter.
func number(project string) bool { return strings.Trim(project, "0123456789") == "" }
