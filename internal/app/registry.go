package app

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	genv1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/awskms"
	"github.com/strongkeep/strongkeep/internal/keystore/azurekms"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/keystore/gcpkms"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	transitkey "github.com/strongkeep/strongkeep/internal/keystore/transit"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/acr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/ecr"
	fakegenerator "github.com/strongkeep/strongkeep/internal/kube/generator/fake"
	"github.com/strongkeep/strongkeep/internal/kube/generator/gcr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/github"
	"github.com/strongkeep/strongkeep/internal/kube/generator/password"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sshkey"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sts"
	"github.com/strongkeep/strongkeep/internal/kube/generator/uuid"
	"github.com/strongkeep/strongkeep/internal/kube/generator/vaultdynamic"
	webhookgenerator "github.com/strongkeep/strongkeep/internal/kube/generator/webhook"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec01"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec02"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec03"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec05"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec06"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec07"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec08"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec10"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec11"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec12"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec13"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec14"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/inject"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stale"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/start"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stuck"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	kubernetesstore "github.com/strongkeep/strongkeep/internal/kube/provider/kubernetes"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	webhookstore "github.com/strongkeep/strongkeep/internal/kube/provider/webhook"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/awskey"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/certificate"
	databasetarget "github.com/strongkeep/strongkeep/internal/kube/rotate/target/database"
	kvtarget "github.com/strongkeep/strongkeep/internal/kube/rotate/target/kv"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/manual"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/webhook"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
	"github.com/strongkeep/strongkeep/internal/vault/audit/socket"
	"github.com/strongkeep/strongkeep/internal/vault/audit/syslog"
	"github.com/strongkeep/strongkeep/internal/vault/auth/approle"
	"github.com/strongkeep/strongkeep/internal/vault/auth/cert"
	"github.com/strongkeep/strongkeep/internal/vault/auth/jwt"
	"github.com/strongkeep/strongkeep/internal/vault/auth/kubernetes"
	authtoken "github.com/strongkeep/strongkeep/internal/vault/auth/token"
	"github.com/strongkeep/strongkeep/internal/vault/auth/userpass"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/cubbyhole"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/mysql"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/postgresql"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/redis"
	"github.com/strongkeep/strongkeep/internal/vault/engine/evidence"
	"github.com/strongkeep/strongkeep/internal/vault/engine/kv"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit"
	identityapi "github.com/strongkeep/strongkeep/internal/vault/identity/api"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
	"github.com/strongkeep/strongkeep/internal/vault/sys"
	"github.com/strongkeep/strongkeep/internal/vault/sys/catalog"
	"github.com/strongkeep/strongkeep/internal/vault/sys/cors"
	"github.com/strongkeep/strongkeep/internal/vault/sys/custody"
	"github.com/strongkeep/strongkeep/internal/vault/sys/explain"
	"github.com/strongkeep/strongkeep/internal/vault/sys/leases"
	"github.com/strongkeep/strongkeep/internal/vault/sys/namespaces"
	"github.com/strongkeep/strongkeep/internal/vault/sys/node"
	"github.com/strongkeep/strongkeep/internal/vault/sys/openapi"
	"github.com/strongkeep/strongkeep/internal/vault/sys/quotas"
	"github.com/strongkeep/strongkeep/internal/vault/sys/readers"
	"github.com/strongkeep/strongkeep/internal/vault/sys/snapshots"
	"github.com/strongkeep/strongkeep/internal/vault/sys/tools"
	"github.com/strongkeep/strongkeep/internal/vault/sys/ui"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// secretsEngines are what sys/mounts can mount.
func secretsEngines() map[string]engine.Factory {
	return map[string]engine.Factory{
		"kv":        kv.New,
		"cubbyhole": cubbyhole.New,
		"pki":       pki.New,
		"transit":   transit.New,
		"database":  database.New(databases()...),
		"evidence":  evidence.New,
	}
}

// databases are what the database engine can make users in.
func databases() []driver.Type {
	return []driver.Type{
		postgresql.Type(),
		mysql.Type(),
		mysql.Legacy(),
		redis.Type(),
	}
}

// authMethods are what sys/auth can enable.
func authMethods() map[string]engine.Factory {
	return map[string]engine.Factory{
		"approle":    approle.New,
		"cert":       cert.New,
		"kubernetes": kubernetes.New,
		"jwt":        jwt.New,
		"oidc":       jwt.New,
		"userpass":   userpass.New,
	}
}

// systemMounts are part of every vault and see the whole store.
func systemMounts(v *unsealed.Vault, self node.Config, kept *keeper.Keeper, ofMembers []engine.Route, reload func() error) map[string]engine.Factory {
	return map[string]engine.Factory{
		"system": func(cfg engine.Config) (engine.Engine, error) {
			desk := custody.New(custody.Config{
				Barrier: v.Barrier, Tokens: v.Tokens, Policies: v.Policies, Caller: v.Caller, Reload: reload, Now: cfg.Now, Log: cfg.Log,
			})
			return sys.New(sys.Config{
				Closers: []func(){desk.Close},
				Mounts:  v.Mounts, Namespaces: v.Namespaces, Reach: v.Reach, Subject: v.Subject, Caller: v.Caller, Policies: v.Policies,
				Tokens: v.Tokens, Leases: v.Leases, Reads: v.Reads, Audit: v.Audit,
				Barrier: v.Barrier, AskSeal: v.AskSeal, Random: cfg.Random, Version: Version, Nodes: v.Nodes, AskStepDown: v.AskStepDown,
				Others: [][]engine.Route{
					v.Wrapping.Routes(),
					leases.Routes(leases.Config{Mounts: v.Mounts, Leases: v.Leases, Tokens: v.Tokens, RevokeTokens: v.RevokeTokens, Now: cfg.Now}),
					quotas.Routes(quotas.Config{Mounts: v.Mounts, Namespaces: v.Namespaces, Quotas: v.Quotas}),
					namespaces.Routes(namespaces.Config{Mounts: v.Mounts, Namespaces: v.Namespaces, Policies: v.Policies, Leases: v.Leases, Reads: v.Reads}),
					explain.New(explain.Config{
						Policies: v.Policies, Tokens: v.Tokens, Mounts: v.Mounts, Namespaces: v.Namespaces,
						Subject: v.Subject, Reach: v.Reach,
					}).Routes(),
					readers.New(readers.Config{
						Audit: v.Audit, Mounts: v.Mounts, Namespaces: v.Namespaces, Tokens: v.Tokens, Leases: v.Leases, Reads: v.Reads, Shared: self.Shared,
					}).Routes(),
					catalog.Routes(catalog.Config{Mounts: v.Mounts, Version: Version}),
					ui.Routes(ui.Config{Policies: v.Policies, Namespaces: v.Namespaces, Subject: v.Caller}),
					tools.Routes(cfg.Random),
					openapi.Routes(openapi.Config{Mounts: v.Mounts, Policies: v.Policies, Version: Version, Subject: v.Caller}),
					cors.Routes(), node.Routes(self), ofMembers,
					snapshots.Routes(snapshots.Config{
						Keys: v.Barrier.Keyring(), Keeper: kept, Mounts: v.Mounts, Namespaces: v.Namespaces, Policies: v.Policies, Caller: v.Caller, Leader: v.Leader,
						Decrypt: func(raw store.Store) (store.Store, error) { return decrypted(raw, v.Barrier.Keyring()) },
					}),
					desk.Routes(),
				},
			}), nil
		},
		"identity": identityapi.New(identityapi.Config{Identity: v.Identity, Mounts: v.Mounts}),
		"token": authtoken.New(authtoken.Config{Tokens: v.Tokens, Limits: v.TokenLimits, Missing: v.MissingPolicies,
			Reach: v.Reach, IdentityPolicies: v.IdentityPolicies, EntityOfAlias: v.EntityOfAlias}),
	}
}

// auditDevices are what sys/audit can enable.
func auditDevices(c *ServerConfig) map[string]audit.Factory {
	files := file.Config{Dir: c.AuditDir, Log: c.Log, Now: c.Now}
	return map[string]audit.Factory{
		"file":   file.New(files),
		"stdout": file.NewStdout(files),
		"socket": socket.New,
		"syslog": syslog.New(syslog.Config{Now: c.Now}),
	}
}

// storeType is a store that storage can name.
type storeType struct {
	open func(context.Context, *ServerConfig) (store.Store, error)
	// silence is how long the store's watch may give no sign of life before the
	// cache is not believed; 0 = for ever, since nobody else writes to it, or can.
	silence time.Duration
}

// stores are what storage can name.
func stores() map[string]storeType {
	return map[string]storeType{
		"pebble": {open: func(_ context.Context, c *ServerConfig) (store.Store, error) {
			return pebble.Open(pebble.Config{Dir: filepath.Join(c.DataDir, "store"), Log: c.Log})
		}},
		"etcd":           {open: openEtcd, silence: etcd.MaxSilence},
		settings.Storage: {open: openCluster, silence: etcd.MaxSilence},
		"mem":            {open: func(context.Context, *ServerConfig) (store.Store, error) { return mem.New(mem.Config{}), nil }},
	}
}

// KeyStores are where a key may lie that unseals a vault, or with which a KMS plugin
// encrypts, by the key of their settings.
func KeyStores() map[string]keystore.Opener {
	return map[string]keystore.Opener{
		"awskms":   awskms.Open,
		"azurekms": azurekms.Open,
		"file":     keyfile.Open,
		"gcpkms":   gcpkms.Open,
		"pkcs11":   pkcs11.Open,
		"transit":  transitkey.Open,
	}
}

// targets are what a Rotation can turn, by their key under spec.target. private
// are the private networks that a Rotation's addresses may be in.
func targets(private []netip.Prefix) map[string]target.Kind {
	return map[string]target.Kind{
		"awsAccessKey": awskey.Kind{Private: private},
		"certificate":  certificate.Kind{},
		"database":     databasetarget.Kind{},
		"kv":           kvtarget.Kind{},
		"manual":       manual.Kind{},
		"webhook":      webhook.Kind{Private: private},
	}
}

// generators are what generatorRef can name, by kind. private are the private
// networks that their addresses may be in.
func generators(ambient provider.Ambient, private []netip.Prefix) map[string]generator.Kind {
	cloud := aws.Provider{Getenv: os.Getenv, Ambient: ambient}
	return map[string]generator.Kind{
		genv1.KindACRAccessToken:        acr.Kind{Azure: azure.Provider{Getenv: os.Getenv, Ambient: ambient}},
		genv1.KindECRAuthorizationToken: ecr.Kind{AWS: cloud},
		genv1.KindFake:                  fakegenerator.Kind{},
		genv1.KindGCRAccessToken:        gcr.Kind{Google: gcp.Provider{Getenv: os.Getenv, Ambient: ambient}},
		genv1.KindGithubAccessToken:     github.Kind{Private: private},
		genv1.KindPassword:              password.Kind{},
		genv1.KindSSHKey:                sshkey.New(),
		genv1.KindSTSSessionToken:       sts.Kind{AWS: cloud},
		genv1.KindUUID:                  uuid.Kind{},
		genv1.KindVaultDynamicSecret:    vaultdynamic.Kind{Vault: vault.Provider{Getenv: os.Getenv, Ambient: ambient}},
		genv1.KindWebhook:               webhookgenerator.Kind{Private: private},
	}
}

// providers are the external stores that a SecretStore can name, by their key
// under spec.provider. ambient says which may use the operator's own identity, out
// which addresses a store may name, and own reaches our own API server.
func providers(ambient provider.Ambient, out outbound.Config, own *rest.Config) map[string]provider.Provider {
	return map[string]provider.Provider{
		aws.Name:             aws.Provider{Getenv: os.Getenv, Ambient: ambient},
		azure.Name:           azure.Provider{Getenv: os.Getenv, Ambient: ambient},
		fake.Name:            fake.Provider{},
		gcp.Name:             gcp.Provider{Getenv: os.Getenv, Ambient: ambient},
		kubernetesstore.Name: kubernetesstore.Provider{Outbound: out, Own: own},
		webhookstore.Name:    webhookstore.Provider{Private: out.Private},
		vault.Name:           vault.Provider{Getenv: os.Getenv, Ambient: ambient},
		vault.OpenBao:        vault.Provider{Getenv: os.Getenv, Ambient: ambient},
	}
}

// Checks are the questions of the checklist (docs/checks/), in their order.
func Checks() []check.Check {
	return []check.Check{
		sec01.Check(),
		sec02.Check(),
		sec03.Check(),
		sec04.Check(),
		sec05.Check(),
		sec06.Check(),
		sec07.Check(),
		sec08.Check(),
		sec09.Check(),
		sec10.Check(),
		sec11.Check(),
		sec12.Check(),
		sec13.Check(),
		sec14.Check(),
	}
}

// Symptoms are what doctor looks for.
func Symptoms() []doctor.Symptom {
	return []doctor.Symptom{start.Symptom(), stuck.Symptom(), stale.Symptom(), inject.Symptom()}
}
