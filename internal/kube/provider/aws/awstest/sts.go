package awstest

import (
	"fmt"
	"maps"
	"net/http"
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
		"AssumeRoleWithWebIdentity": s.assumeRoleByToken,
	}
}

func denied(r request, arn string) *failure {
	return &failure{http.StatusForbidden, "AccessDenied", "User: " + r.who + " is not authorized to perform: sts:" + r.action + " on resource: " + arn}
}

func (s *Server) assumeRole(r request) (any, *failure) {
	arn := r.form.Get("RoleArn")
	role, ok := s.roles[arn]
	tags := map[string]string{}
	for i := 1; r.form.Get(fmt.Sprintf("Tags.member.%d.Key", i)) != ""; i++ {
		tags[r.form.Get(fmt.Sprintf("Tags.member.%d.Key", i))] = r.form.Get(fmt.Sprintf("Tags.member.%d.Value", i))
	}
	if !ok || role.WebToken != "" || !strings.HasSuffix(r.who, role.By) || r.form.Get("ExternalId") != role.ExternalID || !maps.Equal(tags, nonNil(role.Tags)) {
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
	if role, ok := s.roles[arn]; !ok || role.WebToken == "" || role.WebToken != r.form.Get("WebIdentityToken") {
		return nil, denied(r, arn)
	}
	return s.session(r, arn), nil
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
