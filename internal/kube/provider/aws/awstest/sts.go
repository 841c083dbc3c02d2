package awstest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) stsActions() map[string]func(request) (any, *failure) {
	return map[string]func(request) (any, *failure){
		"GetCallerIdentity": func(r request) (any, *failure) {
			return "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:" + r.who +
				"</Arn><UserId>x</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>", nil
		},
		"AssumeRole":                s.assumeRole,
		"GetSessionToken":           s.sessionToken,
		"AssumeRoleWithWebIdentity": s.assumeRoleByToken,
	}
}

func denied(r request, arn string) *failure {
	return &failure{http.StatusForbidden, "AccessDenied", "User: " + r.who + " is not authorized to perform: sts:" + r.action + " on resource: " + arn}
}

// sessionToken gives a session of a user's key, and none of a session.
func (s *Server) sessionToken(r request) (any, *failure) {
	if !strings.HasPrefix(r.who, "user/") {
		return nil, &failure{http.StatusForbidden, "AccessDenied", "Cannot call GetSessionToken with session credentials"}
	}
	return s.session(r, r.who), nil
}

func (s *Server) assumeRole(r request) (any, *failure) {
	arn := r.form.Get("RoleArn")
	role, ok := s.roles[arn]
	tags := map[string]string{}
	for i := 1; r.form.Get(fmt.Sprintf("Tags.member.%d.Key", i)) != ""; i++ {
		tags[r.form.Get(fmt.Sprintf("Tags.member.%d.Key", i))] = r.form.Get(fmt.Sprintf("Tags.member.%d.Value", i))
	}
	if !ok || role.WebToken+role.Subject != "" || !strings.HasSuffix(r.who, role.By) || r.form.Get("ExternalId") != role.ExternalID || !maps.Equal(tags, nonNil(role.Tags)) {
		return nil, denied(r, arn)
	}
	return s.session(r, arn), nil
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (s *Server) assumeRoleByToken(r request) (any, *failure) {
	arn := r.form.Get("RoleArn")
	role, token := s.roles[arn], r.form.Get("WebIdentityToken")
	if (role.WebToken == "" || role.WebToken != token) && (role.Subject == "" || !about(token, role.Subject)) {
		return nil, denied(r, arn)
	}
	return s.session(r, arn), nil
}

// about reports whether a JSON Web Token is for STS and about subject. Whether the
// API server signed it is not looked at.
func about(token, subject string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Sub string   `json:"sub"`
		Aud []string `json:"aud"`
	}
	return err == nil && json.Unmarshal(raw, &claims) == nil && claims.Sub == subject && slices.Equal(claims.Aud, []string{"sts.amazonaws.com"})
}

// session makes a session's credentials; the token has the canary of KeySecret.
func (s *Server) session(r request, arn string) string {
	s.made++
	s.sessions = append(s.sessions, r.form.Get("RoleSessionName"))
	id := fmt.Sprintf("ASIAEXAMPLE%09d", s.made)
	k := key{secret: fmt.Sprintf("%s-%d", KeySecret, s.made), token: fmt.Sprintf("%s-token-%d", KeySecret, s.made), who: arn, expires: s.now().Add(s.lifetime)}
	s.keys[id] = k
	return fmt.Sprintf("<%sResponse><%sResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken>"+
		"<Expiration>%s</Expiration></Credentials></%sResult></%sResponse>",
		r.action, r.action, id, k.secret, k.token, k.expires.UTC().Format(time.RFC3339), r.action, r.action)
}
