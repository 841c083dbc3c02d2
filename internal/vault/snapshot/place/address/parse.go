package address

import (
	"encoding/json"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// schemes of URLs, and which parameters each takes.
var schemes = map[string]struct {
	kind   string
	params []string
}{
	"s3":     {S3, []string{"region", "endpoint", "path_style", "sse", "kms_key", "credentials_file", "ca_file"}},
	"gs":     {GCS, []string{"endpoint", "credentials_file", "ca_file"}},
	"azblob": {Azure, []string{"account", "endpoint", "key_file", "sas_file", "ca_file"}},
}

// IsURL reports whether text is a place in an object store, and not a file. One with a scheme
// that Parse refuses is no file either.
func IsURL(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && scheme != "" && !strings.ContainsAny(scheme, `/\`)
}

// Parse reads a URL of one snapshot, such as s3://bucket/folder/name?region=eu-central-1.
// Secrets are never in it, but in files that read reads. Kind Invalid, and those of read.
func Parse(text string, read func(file string) (redact.Secret, error)) (b Bucket, folder, name string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return b, "", "", errs.New(errs.Invalid, "a place is such as s3://bucket/folder/name?region=eu-central-1; credentials are in files, not in it")
	}
	q, err := parameters(u)
	if err != nil {
		return b, "", "", err
	}
	b = Bucket{
		Kind: schemes[u.Scheme].kind, Name: u.Host, Region: q.Get("region"), Endpoint: q.Get("endpoint"), Account: q.Get("account"),
		Encryption: q.Get("sse"), Key: q.Get("kms_key"), PathStyle: q.Get("path_style") == "true",
	}
	if err := b.readFiles(q, read); err != nil {
		return b, "", "", err
	}
	if folder, name, err = split(u.Path); err != nil {
		return b, "", "", err
	}
	return b, folder, name, b.Check()
}

// parameters are those that the scheme knows, each once.
func parameters(u *url.URL) (url.Values, error) {
	scheme, known := schemes[u.Scheme]
	if !known {
		return nil, errs.Newf(errs.Invalid, "%.20q is no scheme of a place: use s3, gs or azblob", u.Scheme)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errs.New(errs.Invalid, "what is behind ? in the place cannot be read")
	}
	for param, values := range q {
		if !slices.Contains(scheme.params, param) || len(values) != 1 {
			return nil, errs.Newf(errs.Invalid, "%.40q is no parameter of %s://, or is there twice: it takes %s", param, u.Scheme, strings.Join(scheme.params, ", "))
		}
	}
	if v := q.Get("path_style"); v != "" && v != "true" && v != "false" {
		return nil, errs.New(errs.Invalid, "path_style is true or false")
	}
	return q, nil
}

// split takes a path into folder and name.
func split(whole string) (folder, name string, err error) {
	folder, name = path.Split(strings.TrimPrefix(whole, "/"))
	if folder == "" {
		return "", name, nil
	}
	folder = strings.TrimSuffix(folder, "/")
	for part := range strings.SplitSeq(folder, "/") {
		if part == "" || part == "." || part == ".." {
			return "", "", errs.New(errs.Invalid, "the folder of the place has an empty part, or one of dots")
		}
	}
	return folder, name, nil
}

// readFiles reads what parameters name the files of.
func (b *Bucket) readFiles(q url.Values, read func(string) (redact.Secret, error)) error {
	for param, into := range map[string]func(redact.Secret) error{
		"credentials_file": b.credentials,
		"key_file":         func(s redact.Secret) error { b.Secret = Hidden(s.RevealString()); return nil },
		"sas_file":         func(s redact.Secret) error { b.Token = Hidden(s.RevealString()); return nil },
	} {
		file := q.Get(param)
		if file == "" {
			continue
		}
		content, err := read(file)
		if err == nil {
			err = into(content)
		}
		if err != nil {
			return errs.Newf(errs.KindOf(err), "%s: %w", param, err)
		}
	}
	if file := q.Get("ca_file"); file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return errs.Newf(errs.Invalid, "ca_file: %w", err)
		}
		b.CA = string(raw)
	}
	return nil
}

// credentials are a service account's key, or those of AWS: JSON as AWS's own tools write
// it, or lines as in their files.
func (b *Bucket) credentials(content redact.Secret) error {
	if b.Kind == GCS {
		b.Secret = Hidden(content.RevealString())
		return nil
	}
	var is struct {
		ID     string `json:"AccessKeyId"`
		Secret string `json:"SecretAccessKey"`
		Token  string `json:"SessionToken"`
	}
	if json.Unmarshal(content.Reveal(), &is) != nil {
		for line := range strings.Lines(content.RevealString()) {
			name, value, _ := strings.Cut(line, "=")
			switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
			case "aws_access_key_id":
				is.ID = value
			case "aws_secret_access_key":
				is.Secret = value
			case "aws_session_token":
				is.Token = value
			}
		}
	}
	if is.ID == "" || is.Secret == "" {
		return errs.New(errs.Invalid, "it holds no aws_access_key_id and aws_secret_access_key")
	}
	b.ID, b.Secret, b.Token = is.ID, Hidden(is.Secret), Hidden(is.Token)
	return nil
}
