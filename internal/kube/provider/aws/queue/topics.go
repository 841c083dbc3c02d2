package queue

import (
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// maxBody is the most that SQS delivers.
const maxBody = 1 << 20

// event is what EventBridge delivers, of which only this is read:
//
//	{"source":"aws.secretsmanager","detail-type":"AWS API Call via CloudTrail","detail":{
//	  "eventName":"PutSecretValue","requestParameters":{"secretId":"shop/db"},"responseElements":{"arn":"arn:aws:secretsmanager:…"}}}
//	{"source":"aws.secretsmanager","detail-type":"AWS Service Event via CloudTrail","detail":{
//	  "eventName":"RotationSucceeded","additionalEventData":{"SecretId":"arn:aws:secretsmanager:…"}}}
//	{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{"name":"/shop/db","operation":"Update"}}
//
// SNS wraps one as a text: {"Type":"Notification","Message":"{…}"}.
type event struct {
	Source string `json:"source"`
	Type   string `json:"detail-type"`
	Detail struct {
		EventName  string         `json:"eventName"`
		ErrorCode  string         `json:"errorCode"`
		Request    jsontext.Value `json:"requestParameters"`
		Response   jsontext.Value `json:"responseElements"`
		Additional jsontext.Value `json:"additionalEventData"`

		Name string `json:"name"` // of a parameter
	} `json:"detail"`

	// Of SNS.
	SNS     string `json:"Type"`
	Message string `json:"Message"`
}

// names are where CloudTrail has the name or the ARN of a secret.
type names struct {
	SecretID      string `json:"secretId"`
	OtherSecretID string `json:"SecretId"`
	Name          string `json:"name"`
	ARN           string `json:"arn"`
	OtherARN      string `json:"aRN"`
}

func (n names) all() []string {
	return []string{n.SecretID, n.OtherSecretID, n.Name, n.ARN, n.OtherARN}
}

// changing are the calls and events behind which something else is read. A rule may
// deliver reads too: answering those with a read would never end.
var changing = map[string]bool{
	"CreateSecret": true, "PutSecretValue": true, "UpdateSecret": true, "UpdateSecretVersionStage": true, "RotateSecret": true,
	"DeleteSecret": true, "RestoreSecret": true, "TagResource": true, "UntagResource": true, "ReplicateSecretToRegions": true,
	"RotationSucceeded": true, "SecretVersionDeletion": true, "EndSecretVersionDelete": true,
}

// Secrets returns the topics of a message about Secrets Manager.
func Secrets(m notice.Message) ([]string, error) {
	e, err := read(m.Body)
	if err != nil || e.Source != "aws.secretsmanager" || !changing[e.Detail.EventName] || e.Detail.ErrorCode != "" {
		return nil, err
	}
	var topics []string
	for _, part := range []jsontext.Value{e.Detail.Request, e.Detail.Response, e.Detail.Additional} {
		var n names
		if len(part) == 0 || part.Kind() != '{' {
			continue
		}
		if err := json.Unmarshal(part, &n); err != nil {
			return nil, errs.New(errs.Invalid, "an event of CloudTrail whose parameters cannot be read")
		}
		for _, name := range n.all() {
			if name != "" {
				topics = append(topics, secretTopics(name)...)
			}
		}
	}
	if len(topics) == 0 {
		return nil, errs.New(errs.Invalid, "an event of Secrets Manager that names no secret")
	}
	return unique(topics), nil
}

// Parameters returns the topics of a message about the Parameter Store.
func Parameters(m notice.Message) ([]string, error) {
	e, err := read(m.Body)
	if err != nil || e.Source != "aws.ssm" || e.Type != "Parameter Store Change" {
		return nil, err
	}
	if e.Detail.Name == "" {
		return nil, errs.New(errs.Invalid, "an event of the Parameter Store that names no parameter")
	}
	return []string{ParameterTopic(e.Detail.Name)}, nil
}

// read reads an event, out of SNS's wrapping if there is one.
func read(body []byte) (event, error) {
	e, err := decode(body)
	if err == nil && e.SNS == "Notification" && e.Source == "" {
		return decode([]byte(e.Message))
	}
	return e, err
}

func decode(body []byte) (e event, err error) {
	if len(body) > maxBody {
		return e, errs.Newf(errs.TooLarge, "over %d KiB", maxBody>>10)
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, errs.New(errs.Invalid, "not JSON as EventBridge writes it") // its text quotes the message
	}
	if e.Source == "" && e.SNS == "" {
		return e, errs.New(errs.Invalid, "not an event of EventBridge: it has no source")
	}
	return e, nil
}

var (
	secretARN    = regexp.MustCompile(`^arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:(.+)$`)
	parameterARN = regexp.MustCompile(`^arn:[a-z0-9-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter(.+)$`)
	suffix       = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

// SecretTopic returns the topic of a secret by its name or ARN: the name, of an ARN
// without the six characters that AWS put behind it.
func SecretTopic(id string) string {
	if m := secretARN.FindStringSubmatch(id); m != nil {
		return suffix.ReplaceAllString(m[1], "")
	}
	return id
}

// secretTopics returns the topics that one secret may have: it cannot be told by its
// ARN, which may lack the six characters, where the name ends.
func secretTopics(id string) []string {
	if m := secretARN.FindStringSubmatch(id); m != nil {
		id = m[1]
	}
	return []string{id, suffix.ReplaceAllString(id, "")}
}

// ParameterTopic returns the topic of a parameter by its name or ARN: "/name" and
// "name" are one parameter.
func ParameterTopic(name string) string {
	if m := parameterARN.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	return strings.TrimPrefix(name, "/")
}

func unique(topics []string) []string {
	seen := map[string]bool{}
	out := topics[:0]
	for _, t := range topics {
		if !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}
