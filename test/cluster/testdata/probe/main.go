// Command probe is what the cluster's tests run in pods. It says in its log what
// it sees: who it is to the API server, the Secret it mounts whenever that
// changes, and what the host serves.
//
//	probe           watch and serve
//	probe say TEXT  print TEXT, for exec
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	secretFile  = "/secret/value"
	accountDir  = "/var/run/secrets/kubernetes.io/serviceaccount/"
	reviewPath  = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	reviewBody  = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	serviceHost = "KUBERNETES_SERVICE_HOST"
	servicePort = "KUBERNETES_SERVICE_PORT"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "say" {
		fmt.Println(os.Args[2])
		return
	}
	say("user", whoAmI)
	say("host", askHost)
	go http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "served by a pod")
	}))
	last := ""
	for range time.Tick(20 * time.Millisecond) {
		b, err := os.ReadFile(secretFile)
		if err == nil && string(b) != last {
			last = string(b)
			fmt.Println("secret=" + last)
		}
	}
}

func say(what string, ask func() (string, error)) {
	answer, err := ask()
	if err != nil {
		answer = "error: " + err.Error()
	}
	fmt.Println(what + "=" + answer)
}

// whoAmI asks the API server, at its Service, by the ServiceAccount's token.
func whoAmI() (string, error) {
	token, err := os.ReadFile(accountDir + "token")
	if err != nil {
		return "", err
	}
	ca, err := os.ReadFile(accountDir + "ca.crt")
	if err != nil {
		return "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	url := "https://" + net.JoinHostPort(os.Getenv(serviceHost), os.Getenv(servicePort)) + reviewPath
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(reviewBody)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+string(token))
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var review struct {
		Status struct{ UserInfo struct{ Username string } }
	}
	err = json.NewDecoder(response.Body).Decode(&review)
	return review.Status.UserInfo.Username, err
}

func askHost() (string, error) {
	response, err := http.Get(os.Getenv("HOST_URL"))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}
