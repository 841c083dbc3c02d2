package looks

import (
	"regexp"
	"strings"
)

// words splits a name such as dbPassword, DB_PASSWORD or spring.datasource.password: a
// word is capital letters, then small ones and digits.
func words(name string) []string {
	var out []string
	for i := 0; i < len(name); {
		from := i
		for i < len(name) && class(name[i]) == 'A' {
			i++
		}
		for i < len(name) && (class(name[i]) == 'a' || class(name[i]) == '0') {
			i++
		}
		if i == from {
			i++ // a mark
			continue
		}
		out = append(out, name[from:i])
	}
	return out
}

// strongNames are what holds a secret and nothing else; weakNames also hold names of
// objects, numbers and switches.
var (
	strongNames = set(`password passwd passwds passwords pwd passphrase pw pass apikey accesskey secretkey privatekey authtoken accesstoken
		refreshtoken bottoken clientsecret appsecret storepass keypass pgpassword htpasswd userpass signingkey encryptionkey masterkey`)
	weakNames = set(`secret secrets token tokens credential credentials creds cred bearer jwt dsn psk salt pepper`)
	// keyed are the words that make a "key" behind them one that is to be kept.
	keyed = set(`api access secret private encryption encrypt signing sign master auth shared account license hmac aes crypto
		cipher session cookie jwt webhook storage service deploy ssh tls write admin root rsa pgp gpg`)
	// dropped say nothing of what a name holds when it ends with them.
	dropped = set(`value text plain plaintext raw base64 b64 encoded current previous prev old new next default prod production dev
		staging test env hash base primary secondary main backup`)
	// ends by which a run-together word is known: MYSQLPASSWORD, githubtoken.
	ends = []string{"password", "passwd", "passphrase", "apikey", "secretkey", "accesskey", "privatekey"}
)

func set(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(text) {
		out[w] = true
	}
	return out
}

// secretName reports what a name says: that it holds a secret, or that it may.
// It is its end that counts: TOKEN_TTL, secretName and PASSWORD_FILE hold none.
func secretName(name string) (strong, weak bool) {
	list := pieces(name)
	if len(list) == 0 {
		return false, false
	}
	last := strings.TrimRight(list[len(list)-1], "0123456789")
	if last == "key" || last == "keys" {
		return false, len(list) > 1 && keyed[list[len(list)-2]]
	}
	for _, end := range ends {
		if strings.HasSuffix(last, end) {
			return true, false
		}
	}
	if strings.HasSuffix(last, "token") || strings.HasSuffix(last, "secret") {
		return false, true
	}
	return strongNames[last], weakNames[last]
}

// pieces are the words of a name in lower case, without what says nothing at its end.
func pieces(name string) []string {
	if len(name) > 256 {
		return nil
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 && extension(name[i+1:]) {
		name = name[:i]
	}
	list := words(name[strings.LastIndexAny(name, "/.")+1:])
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	for len(list) > 1 && (dropped[list[len(list)-1]] || number(list[len(list)-1])) {
		list = list[:len(list)-1]
	}
	return list
}

// extension reports whether the end of a name is one of a file, which says
// nothing: password.txt, token.json.
func extension(end string) bool {
	switch strings.ToLower(end) {
	case "txt", "json", "yaml", "yml", "properties", "conf", "cfg", "ini", "env":
		return true
	}
	return false
}

func number(text string) bool { return strings.Trim(text, "0123456789") == "" }

var (
	paths = regexp.MustCompile(`^(?:~|\.{1,2})?(?:/[A-Za-z0-9_.@$(){}-]{1,64})+/?$`)
	// variables are what something else is put in the place of.
	variables = regexp.MustCompile(`^(?:\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_][A-Za-z0-9_]*|\{\{.*\}\}|%[A-Za-z_{(].*[%})]|<[^>]*>|\[[A-Za-z_ -]*\]|@[A-Za-z_.]+@)$`)
	// elsewhere are references of tools to where a secret is kept.
	elsewhere = regexp.MustCompile(`^(?:file:|vault:|secret://|ref\+|op://|arn:aws|env:|awssm:|gcpsm:|azurekv:|sops:|ENC\[AES|ssm:|projects/[^/]+/secrets/|keyvault:|bao:|AgB[A-Za-z0-9+/=]{200,}$)`)
	// refers are the beginnings of elsewhere, which are looked for first.
	refers = byFirst(`file: vault: secret:// ref+ op:// arn:aws env: awssm: gcpsm: azurekv: sops: ENC[AES ssm: projects/ keyvault: bao: AgB`)
	urls   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s@]*$`)
)

// reference reports whether text says where something is and is not it.
func reference(text string) bool {
	switch text[0] {
	case '$', '{', '%', '<', '[', '@':
		return variables.MatchString(text)
	case '/', '.', '~':
		return paths.MatchString(text) && !scrambled(text)
	}
	return refers.begin(text) && elsewhere.MatchString(text) || strings.Contains(text, "://") && urls.MatchString(text)
}

var (
	switches = set(`true false yes no on off none null nil undefined enabled disabled enable disable required optional always never
		auto automatic inherit unset todo tbd n/a na ~ allow deny basic bearer oauth oauth2 opaque plain text string file env
		redacted masked hidden encrypted replace_me replaceme placeholder`)
	durations  = regexp.MustCompile(`^[0-9.]+ ?(?:ns|us|ms|s|m|h|d|w|y|[kmgt]i?b?|%|seconds|minutes|hours|days)?(?:[0-9]+(?:m|s|h))*$`)
	stars      = regexp.MustCompile(`^(?:[*xX•.#-]+|\.\.\.)$`)
	yourTokens = regexp.MustCompile(`(?i)^(?:your|my|insert|enter|put|add|the|some|a)[-_ ].*(?:here|password|token|secret|key|value)$|^(?:replace|change)[-_ ].*(?:this|here|with)`)
)

// longestSwitch is how long the longest of switches is.
const longestSwitch = 11

// nothing reports whether text is no secret whatever its name is: a switch, a
// duration with its unit, stars, or a hint to put one here.
func nothing(text string) bool {
	if len(text) <= longestSwitch && switches[strings.ToLower(text)] || strings.IndexByte("*xX•.#-", text[0]) >= 0 && stars.MatchString(text) || strings.ContainsAny(text, "-_ ") && yourTokens.MatchString(text) {
		return true
	}
	if text[0] > '9' {
		return false
	}
	return durations.MatchString(text) && !number(text) || number(text) && len(text) < 4
}

// names are the ones of objects, files, keys and the like: words in lower case with marks
// between them, or one word.
var names = regexp.MustCompile(`^(?:[a-z]+(?:[-._:/][a-z0-9]{1,12})*|[A-Z]+(?:_[A-Z0-9]{1,12})+|[A-Z]?[a-z]+(?:[A-Z][a-z]+)*)$`)

// plain reports whether text is more likely a name or a number than a secret.
func plain(text string) bool {
	return number(strings.Trim(text, "-.,")) || names.MatchString(text) && !scrambled(text) || strings.ContainsAny(text, "\n")
}

// first are words by their first byte.
type first [256][]string

func byFirst(words string) *first {
	var out first
	for _, w := range strings.Fields(words) {
		out[w[0]] = append(out[w[0]], w)
	}
	return &out
}

// begin reports whether text, which is not empty, begins with one of them.
func (f *first) begin(text string) bool {
	for _, w := range f[text[0]] {
		if strings.HasPrefix(text, w) {
			return true
		}
	}
	return false
}
