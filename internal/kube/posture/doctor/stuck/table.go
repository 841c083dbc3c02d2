package stuck

import (
	"regexp"

	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
)

// saying is what the words of a store mean.
type saying struct {
	symptom    string
	words      *regexp.Regexp
	cause      string // after "ExternalSecret NAME does not sync: "
	fix        string
	confidence doctor.Confidence
}

// table is asked from its beginning: the first words that are found count.
var table = []saying{
	{"TokenExpired", regexp.MustCompile(`(?i)expired?\b.*(token|credential|certificate)|(token|credentials?|certificate)\b.*\b(has |is |have )?expired|ExpiredToken|token is expired`),
		"the store's credentials have expired", "renew what the store logs in with (below its spec.provider, auth), or use a login that renews itself, such as auth.kubernetes", doctor.Likely},
	{"Webhook", regexp.MustCompile(`(?i)(admission webhook|failed calling webhook|conversion webhook)`),
		"a webhook of the cluster refuses what is to be written, or does not answer", "look at the webhook that the message names: its Service must have ready endpoints", doctor.Likely},
	{"LoginRefused", regexp.MustCompile(`(?i)logging in|invalid token|unauthenticated|unauthorized|status code:? 401|code: 401|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|invalid_client|invalid role or secret`),
		"the store does not accept the login", "check the role and the credentials below the store's spec.provider (auth)", doctor.Likely},
	{"AccessDenied", regexp.MustCompile(`(?i)access ?denied|not authorized to perform|permission ?denied|forbidden|code: 403|status code:? 403|no identity-based policy|; give the policies of`),
		"the store knows who asks and refuses", "give the role of the store's login the right to read what the message names (AWS: secretsmanager:GetSecretValue on its ARN; Vault: capability read on its path)", doctor.Likely},
	{"PathNotFound", regexp.MustCompile(`(?i)secret does not exist|ResourceNotFoundException|secret .*(not found|does not exist)|can't find the specified secret|no secret|code: 404|SecretNotFound|has no property|cannot find secret|(key|property) .*(not found|does not exist)`),
		"the store has nothing at the path, or no such property in it", "correct remoteRef.key and property, or write the secret into the store", doctor.Likely},
	{"StoreUnreachable", regexp.MustCompile(`(?i)x509|certificate signed by unknown|connection refused|no such host|i/o timeout|deadline exceeded|no answer in time|connection reset|TLS handshake|network is unreachable|service unavailable|code: 50[0-9]|is sealed`),
		"the store cannot be reached, or is not what it was taken for", "check its address, its certificate, and that the operator's network policy lets it out", doctor.Likely},
	{"StoreMissing", regexp.MustCompile(`(?i)(SecretStore|ClusterSecretStore) .*(does not exist|not found)|could not get (Cluster)?SecretStore`),
		"the store that it names does not exist", "create the store, or correct secretStoreRef", doctor.Likely},
	{"StoreNotAdmitted", regexp.MustCompile(`does not admit namespace|using cluster store .* is not allowed from namespace`),
		"its ClusterSecretStore does not admit the namespace", "add the namespace to the store's spec.conditions", doctor.Sure},
	{"TargetTaken", regexp.MustCompile(`is not overwritten|target is owned by|is owned by another|owned by another ExternalSecret`),
		"the Secret of that name is somebody else's", "choose another spec.target.name, or use creationPolicy Merge, or delete the Secret", doctor.Sure},
	{"TargetImmutable", regexp.MustCompile(`target is immutable`),
		"its Secret is immutable", "delete the Secret, and it is made anew; or choose another spec.target.name", doctor.Sure},
	{"Throttled", regexp.MustCompile(`(?i)throttl|rate exceeded|too many requests|code: 429|quota`),
		"the store answers that it is asked too often", "ask less often (spec.refreshInterval), or raise the store's quota", doctor.Likely},
}

// meaning returns what a message means, nil if no line of table knows.
func meaning(message string) *saying {
	for i := range table {
		if table[i].words.MatchString(message) {
			return &table[i]
		}
	}
	return nil
}
