package address_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
)

const canary = "canary-5d1e"

// files are what the test's parameters name.
func files(name string) (redact.Secret, error) {
	content, ok := map[string]string{
		"ini":  "[default]\naws_access_key_id = AKIA1\naws_secret_access_key=" + canary + "\n",
		"json": `{"Version":1,"AccessKeyId":"AKIA2","SecretAccessKey":"` + canary + `","SessionToken":"t"}`,
		"sa":   `{"type":"service_account","private_key":"` + canary + `"}`,
		"key":  "Y2FuYXJ5LTVkMWU=", "sas": "sig=" + canary,
	}[name]
	if !ok {
		return redact.Secret{}, errs.New(errs.NotExist, "there is no such file")
	}
	return redact.FromString(content), nil
}

func TestParse(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(ca, []byte("a certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]address.Bucket{
		"s3://b-1/x/y/n?region=eu-central-1":                                                        {Kind: address.S3, Name: "b-1", Region: "eu-central-1"},
		"s3://b.1/x/y/n?endpoint=http://minio:9000&path_style=true&credentials_file=ini":            {Kind: address.S3, Name: "b.1", Endpoint: "http://minio:9000", PathStyle: true, ID: "AKIA1", Secret: canary},
		"s3://b_1/x/y/n?credentials_file=json&sse=aws:kms&kms_key=arn:k":                            {Kind: address.S3, Name: "b_1", ID: "AKIA2", Secret: canary, Token: "t", Encryption: "aws:kms", Key: "arn:k"},
		"gs://bkt/x/y/n?credentials_file=sa&endpoint=https://gcs.example&ca_file=" + ca:             {Kind: address.GCS, Name: "bkt", Endpoint: "https://gcs.example", Secret: `{"type":"service_account","private_key":"` + canary + `"}`, CA: "a certificate"},
		"azblob://ctr/x/y/n?account=acct1&key_file=key&endpoint=http://azurite.example:10000/acct1": {Kind: address.Azure, Name: "ctr", Account: "acct1", Endpoint: "http://azurite.example:10000/acct1", Secret: "Y2FuYXJ5LTVkMWU="},
		"azblob://ctr/x/y/n?account=acct1&sas_file=sas":                                             {Kind: address.Azure, Name: "ctr", Account: "acct1", Token: "sig=" + canary},
	} {
		got, folder, name, err := address.Parse(text, files)
		if err != nil || folder != "x/y" || name != "n" || got != want {
			t.Errorf("%s: folder %q, name %q, as wanted: %v (%v)", text, folder, name, got == want, err)
		}
	}
	if _, folder, name, err := address.Parse("s3://bkt/n", files); folder != "" || name != "n" || err != nil {
		t.Error(folder, name, err)
	}
}

func TestRefused(t *testing.T) {
	for text, says := range map[string]string{
		"s3://u:" + canary + "@bkt/n":                          "credentials are in files",
		"s3://bkt/n?secret=" + canary:                          "is no parameter",
		"s3://bkt/n?region=a&region=b":                         "twice",
		"s3://bkt/n?path_style=perhaps":                        "path_style",
		"s3://bkt/../n":                                        "of dots",
		"s3://bkt//n":                                          "empty part",
		"s3://B/n":                                             "no name of a bucket",
		"s3://bkt/n?kms_key=k":                                 "encryption",
		"s3://bkt/n?credentials_file=none":                     "credentials_file",
		"s3://bkt/n?credentials_file=sas":                      "holds no aws_access_key_id",
		"s3://bkt/n?endpoint=minio:9000":                       "endpoint",
		"s3://bkt/n?endpoint=https://u:p@minio":                "endpoint",
		"s3://bkt/n?endpoint=https://minio/x":                  "endpoint has no path",
		"s3://bkt/n?credentials_file=json&endpoint=http://m":   "in plain text",
		"gs://bkt/n?endpoint=https://elsewhere":                "credentials of its own",
		"gs://bkt/n?endpoint=http://x&credentials_file=sa":     "in plain text",
		"gs://bkt/n?credentials_file=ini":                      "service_account",
		"azblob://ctr/n":                                       "storage account",
		"azblob://ctr/n?account=acct1&endpoint=https://x":      "credentials of its own",
		"azblob://ctr/n?account=acct1&key_file=sas":            "no base64",
		"azblob://ctr/n?account=a1b&key_file=key&sas_file=sas": "not both",
		"ftp://bkt/n":                                          "no scheme of a place",
	} {
		_, _, _, err := address.Parse(text, files)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) && !strings.Contains(text, "secret=") {
			t.Errorf("%s: %v", text, err)
		}
		if !address.IsURL(text) {
			t.Errorf("%s is taken for a file", text)
		}
	}
	for _, text := range []string{"/var/backups/s3", "vault.snapshot", "s3:/x"} {
		if address.IsURL(text) {
			t.Errorf("%s is taken for a URL", text)
		}
	}
}

// What is stored has the secrets, and what is printed has not.
func TestHidden(t *testing.T) {
	b := address.Bucket{Kind: address.S3, Name: "bkt", ID: "id", Secret: canary, Token: canary}
	raw, err := json.Marshal(b)
	var back address.Bucket
	if err != nil || json.Unmarshal(raw, &back) != nil || back != b {
		t.Error("it is not what it was when it was stored")
	}
	for _, text := range []string{fmt.Sprint(b), fmt.Sprintf("%+v %#v %q %s %x", b, b, b.Secret, b.Secret, b.Token), b.Secret.String(), b.Token.LogValue().String()} {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Error("a secret is printed")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"s3://bkt/a/b?region=x", "gs://bkt/n?credentials_file=sa", "azblob://ctr/n?account=acct1&sas_file=sas", "s3://%41/n", "s3://bkt/%2e%2e/n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, folder, name, err := address.Parse(text, files)
		if err != nil {
			return
		}
		if b.Check() != nil || strings.Contains(name, "/") {
			t.Errorf("%q", text)
		}
		for part := range strings.SplitSeq(folder, "/") {
			if part == ".." || part == "." {
				t.Errorf("%q leads to %q", text, folder)
			}
		}
	})
}
