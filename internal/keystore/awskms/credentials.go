package awskms

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// parseCredentials reads the section default of a file of AWS's own tools, or what
// stands before any section:
//
//	[default]
//	aws_access_key_id = AKIA…
//	aws_secret_access_key = …
//	aws_session_token = …
//
// Its errors quote nothing. Kind Invalid.
func parseCredentials(file redact.Secret) (aws.Credentials, error) {
	var c aws.Credentials
	ours := true
	for line := range strings.Lines(file.RevealString()) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			ours = strings.TrimSpace(strings.Trim(line, "[]")) == "default"
		case ours:
			name, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.TrimSpace(name) {
			case "aws_access_key_id":
				c.AccessKeyID = value
			case "aws_secret_access_key":
				c.SecretAccessKey = value
			case "aws_session_token":
				c.SessionToken = value
			}
		}
	}
	if !c.HasKeys() {
		return aws.Credentials{}, errs.New(errs.Invalid, "credentials_file has no aws_access_key_id and aws_secret_access_key in its section [default]")
	}
	return c, nil
}
