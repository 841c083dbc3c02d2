package looks

import (
	"bytes"
	"regexp"
	"strings"
)

// issuer is how tokens of one issuer look. An alternative of Form that is anchored at
// both ends tells a whole value; text that has one somewhere is told by where one begins.
type issuer struct {
	// begins are the ways a token begins, separated by spaces: all others are passed by
	// without matching form, which is slow.
	begins string
	form   string
	// whole says that the form says too little among other text: only a value that is one
	// from its beginning to its end is taken for a token.
	whole bool
	// through says that one in whose place none is, since a name goes on behind it, has no
	// other in it.
	through bool
	// pieces says that it is several, joined by dots: what one begins with for which the
	// rest is missing is passed by whole.
	pieces bool

	is, at *regexp.Regexp
}

// issuers are a line for each kind of token.
var issuers = compiled([]issuer{
	{begins: "AKIA ASIA ABIA ACCA", form: `(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}`}, // AWS
	{begins: "ghs_", form: `ghs_[A-Za-z0-9_.-]{35,}[A-Za-z0-9_-]`},               // GitHub
	{begins: "ghp_ gho_ ghu_ ghr_", form: `gh[poru]_[A-Za-z0-9]{36,255}`},
	{begins: "github_pat_", form: `github_pat_[A-Za-z0-9_]{36,255}`},
	{begins: "glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat- glffct- gloas-", form: `gl[a-z]{2,5}-[A-Za-z0-9_.=-]{19,299}[A-Za-z0-9_=-]`, through: true}, // GitLab
	{begins: "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", form: `xox[abeoprs]-[A-Za-z0-9-]{10,}`, through: true},                                                         // Slack
	{begins: "xapp-", form: `xapp-[0-9]-[A-Za-z0-9-]{10,}`, through: true},
	{begins: "https://hooks.slack.com/", form: `https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}`},
	{begins: "https://discord", form: `https://discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{40,}`},
	{begins: "sk_live_ rk_live_", form: `[sr]k_live_[A-Za-z0-9]{16,}`}, // Stripe
	{begins: "sk_test_ rk_test_", form: `[sr]k_test_[A-Za-z0-9]{16,}`, whole: true},
	{begins: "whsec_", form: `whsec_[A-Za-z0-9+/=]{24,}`},
	{begins: "AIza", form: `AIza[A-Za-z0-9_-]{35}`}, // Google
	{begins: "ya29.", form: `ya29\.[A-Za-z0-9_-]{20,}`},
	{begins: "GOCSPX-", form: `GOCSPX-[A-Za-z0-9_-]{20,}`},
	{begins: "SG.", form: `SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`}, // SendGrid
	{begins: "npm_", form: `npm_[A-Za-z0-9]{36}`},
	{begins: "pypi-", form: `pypi-[A-Za-z0-9_-]{50,}`},
	{begins: "rubygems_", form: `rubygems_[a-f0-9]{48}`},
	{begins: "dckr_pat_ dckr_oat_", form: `dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}`},
	{begins: "hvs. hvb. hvr.", form: `hv[sbr]\.[A-Za-z0-9_-]{24,}`}, // HashiCorp Vault
	{begins: "s.", form: `s\.[A-Za-z0-9]{24}`, whole: true},
	{begins: "sk-proj- sk-svcacct- sk-admin- sk-ant- sk-or-v1-", form: `sk-(?:proj|svcacct|admin|ant-[a-z0-9]+|or-v1)-[A-Za-z0-9_-]{20,}`},
	{begins: "sk-", form: `sk-[A-Za-z0-9_-]{20,}`, whole: true},
	{begins: "hf_", form: `hf_[A-Za-z0-9]{30,}`},
	{begins: "doo_v1_ dop_v1_ dor_v1_", form: `do[opr]_v1_[a-f0-9]{64}`},
	{begins: "shpat_ shpca_ shppa_ shpss_", form: `shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`},
	{begins: "glsa_", form: `glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}`}, // Grafana
	{begins: "glc_", form: `glc_[A-Za-z0-9+/=]{32,}`},
	{begins: "NRAK-", form: `NRAK-[A-Z0-9]{27}`},
	{begins: "dt0c01.", form: `dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}`},
	{begins: "lin_api_", form: `lin_api_[A-Za-z0-9]{40}`},
	{begins: "key-", form: `key-[a-f0-9]{32}`, whole: true},
	{begins: "SK", form: `SK[a-f0-9]{32}`, whole: true},
	{begins: "PMAK-", form: `PMAK-[a-f0-9]{24}-[a-f0-9]{34}`},
	{begins: "pul-", form: `pul-[a-f0-9]{40}`},
	{begins: "tfp_", form: `tfp_[A-Za-z0-9_-]{40,}`},
	{begins: "ATATT3 ATCTT3", form: `AT[AC]TT3[A-Za-z0-9_=-]{50,}`}, // Atlassian
	{begins: "sntrys_ sntryu_", form: `sntry[su]_[A-Za-z0-9_=+/-]{40,}`},
	{begins: "EAACEdEose0cBA", form: `EAACEdEose0cBA[A-Za-z0-9]+`},
	{begins: "AGE-SECRET-KEY-1", form: `AGE-SECRET-KEY-1[0-9A-Z]{58}`},
	{begins: "eyJ", form: `eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}`, pieces: true}, // a JWT
})

func compiled(all []issuer) []issuer {
	for i := range all {
		all[i].is = regexp.MustCompile(`^(?:` + all[i].form + `)$`)
		all[i].at = regexp.MustCompile(`^(?:` + all[i].form + `)`)
	}
	return all
}

// beginning is one way in which tokens of an issuer begin.
type beginning struct {
	word   string
	issuer *issuer
}

// beginnings are all of them by their first byte.
var beginnings = func() (out [256][]beginning) {
	for i := range issuers {
		for _, w := range strings.Fields(issuers[i].begins) {
			out[w[0]] = append(out[w[0]], beginning{w, &issuers[i]})
		}
	}
	return out
}()

// bare are tokens with no beginning of their own: of Kubernetes, to join a cluster, and of
// HCP Terraform.
var bare = regexp.MustCompile(`^(?:[a-z0-9]{6}\.[a-z0-9]{16}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,})$`)

// token reports whether text is a token: by its issuer's prefix, or a JWT.
func token(text string) bool {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "Bearer "), "token ")
	if len(text) < 16 || len(text) > maxText || strings.ContainsAny(text, " \n\t") {
		return false
	}
	return issued(text) && !example(text) || jwt(text)
}

func issued(text string) bool {
	for _, b := range beginnings[text[0]] {
		if strings.HasPrefix(text, b.word) && b.word != "eyJ" && b.issuer.is.MatchString(text) {
			return true
		}
	}
	return (len(text) == 23 && text[6] == '.' || strings.Contains(text, ".atlasv1.")) && bare.MatchString(text)
}

// Tokens calls f with the place of each token of a known issuer that stands in text, in
// no order.
func Tokens(text []byte, f func(from, to int)) {
	for i := range issuers {
		if issuers[i].whole {
			continue
		}
		for _, begin := range strings.Fields(issuers[i].begins) {
			issuers[i].each(text, begin, f)
		}
	}
}

// each goes through a text once, however many tokens seem to begin in it: what was looked
// at for one that is none is not looked at again for the next.
func (s *issuer) each(text []byte, begin string, f func(from, to int)) {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(begin))
		if i < 0 {
			return
		}
		from := at + i
		at = from + len(begin)
		if from > 0 && word(text[from-1]) {
			continue
		}
		m := s.at.FindIndex(text[from:])
		if m == nil {
			at = s.past(text, at)
			continue
		}
		switch to := from + m[1]; {
		case to == len(text) || !word(text[to]):
			f(from, to)
			at = to
		case s.through:
			at = to
		}
	}
}

// past is where to go on behind the beginning of what is no token.
func (s *issuer) past(text []byte, at int) int {
	for s.pieces && at < len(text) && (word(text[at]) || text[at] == '-') {
		at++
	}
	return at
}

// word reports whether c goes on with a name, so that no token begins or ends beside it.
func word(c byte) bool { return class(c) != '.' || c == '_' }
