package custom

import "strings"

// Kind is a line of the table: a resource that may refer to Secrets.
type Kind struct {
	Group, Resource, Kind string
	// Global says that it lies in no namespace.
	Global bool
	// Names are paths of fields that name a Secret in a way that their names do not tell:
	// a text, or an object with name. [] goes through a list, * through a map.
	Names []string
	// Makes are paths of fields that name a Secret which it makes or fills. They are no
	// uses. "=" is a Secret of its own name.
	Makes []string
	// Values are paths of fields in which somebody writes values as they like.
	Values []string
	// Namespace is where the Secrets are that objects without one name without one: that
	// of their operator, where it is usually installed.
	Namespace string
}

// Kinds is the table. Of kinds that are not in it, references in files are found by
// the names of their fields.
var Kinds = []Kind{
	// Kubernetes and what belongs to it.
	{Group: "networking.k8s.io", Resource: "ingresses", Kind: "Ingress"},
	{Resource: "persistentvolumes", Kind: "PersistentVolume", Global: true},
	{Group: "storage.k8s.io", Resource: "storageclasses", Kind: "StorageClass", Global: true},
	{Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Kind: "ValidatingWebhookConfiguration", Global: true},
	{Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations", Kind: "MutatingWebhookConfiguration", Global: true},
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies", Kind: "ValidatingAdmissionPolicy", Global: true},
	{Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings", Kind: "ValidatingAdmissionPolicyBinding", Global: true},
	{Group: "gateway.networking.k8s.io", Resource: "gateways", Kind: "Gateway", Names: []string{"spec.listeners[].tls.certificateRefs[]"}},
	{Group: "snapshot.storage.k8s.io", Resource: "volumesnapshotclasses", Kind: "VolumeSnapshotClass", Global: true},
	{Group: "apiregistration.k8s.io", Resource: "apiservices", Kind: "APIService", Global: true},
	// What makes Secrets.
	{Group: "external-secrets.io", Resource: "externalsecrets", Kind: "ExternalSecret"},
	{Group: "external-secrets.io", Resource: "clusterexternalsecrets", Kind: "ClusterExternalSecret", Global: true},
	{Group: "external-secrets.io", Resource: "pushsecrets", Kind: "PushSecret"},
	{Group: "external-secrets.io", Resource: "secretstores", Kind: "SecretStore"},
	{Group: "external-secrets.io", Resource: "clustersecretstores", Kind: "ClusterSecretStore", Global: true},
	{Group: "strongkeep.io", Resource: "rotations", Kind: "Rotation"},
	{Group: "secrets-store.csi.x-k8s.io", Resource: "secretproviderclasses", Kind: "SecretProviderClass", Makes: []string{"spec.secretObjects[].secretName"}},
	{Group: "bitnami.com", Resource: "sealedsecrets", Kind: "SealedSecret", Makes: []string{"spec.template.metadata.name", "="}},
	{Group: "cert-manager.io", Resource: "certificates", Kind: "Certificate", Makes: []string{"spec.secretName"}},
	{Group: "cert-manager.io", Resource: "issuers", Kind: "Issuer", Names: []string{"spec.ca.secretName"}},
	{Group: "cert-manager.io", Resource: "clusterissuers", Kind: "ClusterIssuer", Global: true, Namespace: "cert-manager", Names: []string{"spec.ca.secretName"}},
	{Group: "trust.cert-manager.io", Resource: "bundles", Kind: "Bundle", Global: true, Namespace: "cert-manager", Names: []string{"spec.sources[].secret"}},
	{Group: "secrets.hashicorp.com", Resource: "vaultstaticsecrets", Kind: "VaultStaticSecret", Makes: []string{"spec.destination.name"}},
	{Group: "secrets.hashicorp.com", Resource: "vaultdynamicsecrets", Kind: "VaultDynamicSecret", Makes: []string{"spec.destination.name"}},
	{Group: "secrets.hashicorp.com", Resource: "vaultpkisecrets", Kind: "VaultPKISecret", Makes: []string{"spec.destination.name"}},
	{Group: "secrets.hashicorp.com", Resource: "vaultauths", Kind: "VaultAuth"},
	{Group: "secrets.hashicorp.com", Resource: "vaultconnections", Kind: "VaultConnection", Names: []string{"spec.caCertSecretRef"}},
	{Group: "isindir.github.com", Resource: "sopssecrets", Kind: "SopsSecret", Makes: []string{"spec.secretTemplates[].name"}},
	{Group: "onepassword.com", Resource: "onepassworditems", Kind: "OnePasswordItem", Makes: []string{"="}},
	{Group: "secrets.doppler.com", Resource: "dopplersecrets", Kind: "DopplerSecret", Names: []string{"spec.tokenSecret"}, Makes: []string{"spec.managedSecret"}},
	{Group: "secrets.infisical.com", Resource: "infisicalsecrets", Kind: "InfisicalSecret", Makes: []string{"spec.managedSecretReference", "spec.managedKubeSecretReferences[]"}},
	// GitOps.
	{Group: "source.toolkit.fluxcd.io", Resource: "gitrepositories", Kind: "GitRepository"},
	{Group: "source.toolkit.fluxcd.io", Resource: "helmrepositories", Kind: "HelmRepository"},
	{Group: "source.toolkit.fluxcd.io", Resource: "ocirepositories", Kind: "OCIRepository"},
	{Group: "source.toolkit.fluxcd.io", Resource: "buckets", Kind: "Bucket"},
	{Group: "kustomize.toolkit.fluxcd.io", Resource: "kustomizations", Kind: "Kustomization", Names: []string{"spec.postBuild.substituteFrom[]?Secret"}, Values: []string{"spec.postBuild.substitute"}},
	{Group: "helm.toolkit.fluxcd.io", Resource: "helmreleases", Kind: "HelmRelease", Names: []string{"spec.valuesFrom[]?Secret"}, Values: []string{"spec.values"}},
	{Group: "notification.toolkit.fluxcd.io", Resource: "providers", Kind: "Provider"},
	{Group: "notification.toolkit.fluxcd.io", Resource: "receivers", Kind: "Receiver"},
	{Group: "image.toolkit.fluxcd.io", Resource: "imagerepositories", Kind: "ImageRepository"},
	{Group: "argoproj.io", Resource: "workflows", Kind: "Workflow"},
	{Group: "argoproj.io", Resource: "workflowtemplates", Kind: "WorkflowTemplate"},
	{Group: "argoproj.io", Resource: "clusterworkflowtemplates", Kind: "ClusterWorkflowTemplate", Global: true},
	{Group: "argoproj.io", Resource: "cronworkflows", Kind: "CronWorkflow"},
	{Group: "argoproj.io", Resource: "eventsources", Kind: "EventSource"},
	{Group: "argoproj.io", Resource: "sensors", Kind: "Sensor"},
	{Group: "argoproj.io", Resource: "applications", Kind: "Application", Values: helmOf("spec.")},
	{Group: "argoproj.io", Resource: "applicationsets", Kind: "ApplicationSet", Values: helmOf("spec.template.spec.")},
	{Group: "argoproj.io", Resource: "appprojects", Kind: "AppProject"},
	{Group: "tekton.dev", Resource: "taskruns", Kind: "TaskRun"},
	{Group: "tekton.dev", Resource: "pipelineruns", Kind: "PipelineRun"},
	{Group: "tekton.dev", Resource: "tasks", Kind: "Task"},
	{Group: "tekton.dev", Resource: "pipelines", Kind: "Pipeline"},
	{Group: "triggers.tekton.dev", Resource: "eventlisteners", Kind: "EventListener"},
	// Monitoring.
	{Group: "monitoring.coreos.com", Resource: "servicemonitors", Kind: "ServiceMonitor", Names: basicAuth("spec.endpoints[].")},
	{Group: "monitoring.coreos.com", Resource: "podmonitors", Kind: "PodMonitor", Names: basicAuth("spec.podMetricsEndpoints[].")},
	{Group: "monitoring.coreos.com", Resource: "probes", Kind: "Probe", Names: basicAuth("spec.")},
	{Group: "monitoring.coreos.com", Resource: "scrapeconfigs", Kind: "ScrapeConfig", Names: basicAuth("spec.")},
	{Group: "monitoring.coreos.com", Resource: "prometheuses", Kind: "Prometheus", Names: append(basicAuth("spec.remoteWrite[]."), "spec.additionalScrapeConfigs", "spec.additionalAlertManagerConfigs", "spec.secrets[]", "spec.thanos.objectStorageConfig")},
	{Group: "monitoring.coreos.com", Resource: "alertmanagers", Kind: "Alertmanager", Names: []string{"spec.configSecret", "spec.secrets[]"}},
	{Group: "monitoring.coreos.com", Resource: "alertmanagerconfigs", Kind: "AlertmanagerConfig", Names: []string{
		"spec.receivers[].slackConfigs[].apiURL", "spec.receivers[].pagerdutyConfigs[].routingKey", "spec.receivers[].pagerdutyConfigs[].serviceKey",
		"spec.receivers[].opsgenieConfigs[].apiKey", "spec.receivers[].emailConfigs[].authPassword", "spec.receivers[].telegramConfigs[].botToken",
		"spec.receivers[].pushoverConfigs[].token", "spec.receivers[].pushoverConfigs[].userKey", "spec.receivers[].victoropsConfigs[].apiKey",
		"spec.receivers[].wechatConfigs[].apiSecret", "spec.receivers[].discordConfigs[].apiURL", "spec.receivers[].msteamsConfigs[].webhookUrl",
	}},
	{Group: "monitoring.coreos.com", Resource: "thanosrulers", Kind: "ThanosRuler", Names: []string{"spec.objectStorageConfig"}},
	{Group: "grafana.integreatly.org", Resource: "grafanas", Kind: "Grafana", Names: []string{"spec.external.apiKey", "spec.external.adminUser", "spec.external.adminPassword"}},
	{Group: "grafana.integreatly.org", Resource: "grafanadatasources", Kind: "GrafanaDatasource"},
	{Group: "opentelemetry.io", Resource: "opentelemetrycollectors", Kind: "OpenTelemetryCollector"},
	{Group: "loki.grafana.com", Resource: "lokistacks", Kind: "LokiStack", Names: []string{"spec.storage.secret"}},
	{Group: "tempo.grafana.com", Resource: "tempostacks", Kind: "TempoStack", Names: []string{"spec.storage.secret"}},
	{Group: "logging.banzaicloud.io", Resource: "outputs", Kind: "Output"},
	{Group: "logging.banzaicloud.io", Resource: "clusteroutputs", Kind: "ClusterOutput"},
	{Group: "operator.victoriametrics.com", Resource: "vmagents", Kind: "VMAgent", Names: append(basicAuth("spec.remoteWrite[]."), "spec.secrets[]")},
	{Group: "datadoghq.com", Resource: "datadogagents", Kind: "DatadogAgent", Names: []string{"spec.global.credentials.apiSecret", "spec.global.credentials.appSecret"}},
	// Data.
	{Group: "kafka.strimzi.io", Resource: "kafkas", Kind: "Kafka"},
	{Group: "kafka.strimzi.io", Resource: "kafkausers", Kind: "KafkaUser", Makes: []string{"="}},
	{Group: "kafka.strimzi.io", Resource: "kafkaconnects", Kind: "KafkaConnect"},
	{Group: "kafka.strimzi.io", Resource: "kafkamirrormaker2s", Kind: "KafkaMirrorMaker2"},
	{Group: "kafka.strimzi.io", Resource: "kafkabridges", Kind: "KafkaBridge"},
	{Group: "postgresql.cnpg.io", Resource: "clusters", Kind: "Cluster", Names: []string{
		"spec.superuserSecret", "spec.bootstrap.initdb.secret", "spec.bootstrap.recovery.secret", "spec.bootstrap.pg_basebackup.secret", "spec.managed.roles[].passwordSecret",
		"spec.certificates.serverTLSSecret", "spec.certificates.serverCASecret", "spec.certificates.clientCASecret", "spec.certificates.replicationTLSSecret",
		"spec.externalClusters[].password", "spec.externalClusters[].sslKey", "spec.externalClusters[].sslCert", "spec.externalClusters[].sslRootCert",
		"spec.backup.barmanObjectStore.s3Credentials.accessKeyId", "spec.backup.barmanObjectStore.s3Credentials.secretAccessKey",
		"spec.backup.barmanObjectStore.azureCredentials.storageKey", "spec.backup.barmanObjectStore.azureCredentials.storageSasToken",
		"spec.backup.barmanObjectStore.azureCredentials.connectionString", "spec.backup.barmanObjectStore.googleCredentials.applicationCredentials",
	}},
	{Group: "postgresql.cnpg.io", Resource: "poolers", Kind: "Pooler", Names: []string{"spec.pgbouncer.authQuerySecret"}},
	{Group: "acid.zalan.do", Resource: "postgresqls", Kind: "postgresql", Names: []string{"spec.tls.secretName"}},
	{Group: "postgres-operator.crunchydata.com", Resource: "postgresclusters", Kind: "PostgresCluster", Names: []string{"spec.customTLSSecret", "spec.customReplicationTLSSecret"}},
	{Group: "mysql.oracle.com", Resource: "innodbclusters", Kind: "InnoDBCluster"},
	{Group: "k8s.mariadb.com", Resource: "mariadbs", Kind: "MariaDB"},
	{Group: "k8s.mariadb.com", Resource: "users", Kind: "User"},
	{Group: "psmdb.percona.com", Resource: "perconaservermongodbs", Kind: "PerconaServerMongoDB", Names: []string{"spec.secrets.users", "spec.secrets.encryptionKey", "spec.secrets.ssl", "spec.secrets.keyFile"}},
	{Group: "pxc.percona.com", Resource: "perconaxtradbclusters", Kind: "PerconaXtraDBCluster", Names: []string{"spec.secretsName", "spec.sslSecretName", "spec.vaultSecretName"}},
	{Group: "mongodbcommunity.mongodb.com", Resource: "mongodbcommunity", Kind: "MongoDBCommunity"},
	{Group: "rabbitmq.com", Resource: "rabbitmqclusters", Kind: "RabbitmqCluster", Names: []string{"spec.tls.secretName", "spec.tls.caSecretName"}},
	{Group: "rabbitmq.com", Resource: "users", Kind: "User", Names: []string{"spec.importCredentialsSecret"}},
	{Group: "redis.redis.opstreelabs.in", Resource: "redis", Kind: "Redis", Names: []string{"spec.kubernetesConfig.redisSecret"}},
	{Group: "elasticsearch.k8s.elastic.co", Resource: "elasticsearches", Kind: "Elasticsearch", Names: []string{"spec.secureSettings[]", "spec.auth.fileRealm[]", "spec.auth.roles[]"}},
	{Group: "kibana.k8s.elastic.co", Resource: "kibanas", Kind: "Kibana", Names: []string{"spec.secureSettings[]"}},
	{Group: "minio.min.io", Resource: "tenants", Kind: "Tenant", Names: []string{"spec.configuration", "spec.users[]", "spec.credsSecret"}},
	{Group: "ceph.rook.io", Resource: "cephclusters", Kind: "CephCluster"},
	{Group: "velero.io", Resource: "backupstoragelocations", Kind: "BackupStorageLocation", Names: []string{"spec.credential"}},
	{Group: "velero.io", Resource: "volumesnapshotlocations", Kind: "VolumeSnapshotLocation", Names: []string{"spec.credential"}},
	{Group: "longhorn.io", Resource: "backuptargets", Kind: "BackupTarget", Names: []string{"spec.credentialSecret"}},
	// Traffic.
	{Group: "networking.istio.io", Resource: "gateways", Kind: "Gateway"},
	{Group: "networking.istio.io", Resource: "destinationrules", Kind: "DestinationRule"},
	{Group: "traefik.io", Resource: "ingressroutes", Kind: "IngressRoute"},
	{Group: "traefik.io", Resource: "ingressroutetcps", Kind: "IngressRouteTCP"},
	{Group: "traefik.io", Resource: "middlewares", Kind: "Middleware", Names: []string{"spec.basicAuth.secret", "spec.digestAuth.secret", "spec.forwardAuth.tls.certSecret", "spec.forwardAuth.tls.caSecret"}},
	{Group: "traefik.io", Resource: "tlsoptions", Kind: "TLSOption", Names: []string{"spec.clientAuth.secretNames[]"}},
	{Group: "traefik.io", Resource: "tlsstores", Kind: "TLSStore"},
	{Group: "traefik.io", Resource: "serverstransports", Kind: "ServersTransport", Names: []string{"spec.certificatesSecrets[]", "spec.rootCAsSecrets[]"}},
	{Group: "projectcontour.io", Resource: "httpproxies", Kind: "HTTPProxy", Names: []string{"spec.virtualhost.tls.clientValidation.caSecret", "spec.routes[].services[].validation.caSecret"}},
	{Group: "projectcontour.io", Resource: "tlscertificatedelegations", Kind: "TLSCertificateDelegation"},
	{Group: "configuration.konghq.com", Resource: "kongconsumers", Kind: "KongConsumer", Names: []string{"credentials[]"}},
	{Group: "configuration.konghq.com", Resource: "kongplugins", Kind: "KongPlugin"},
	{Group: "gateway.envoyproxy.io", Resource: "securitypolicies", Kind: "SecurityPolicy", Names: []string{"spec.basicAuth.users", "spec.oidc.clientSecret", "spec.apiKeyAuth.credentialRefs[]"}},
	{Group: "getambassador.io", Resource: "tlscontexts", Kind: "TLSContext", Names: []string{"spec.secret", "spec.ca_secret"}},
	{Group: "getambassador.io", Resource: "hosts", Kind: "Host", Names: []string{"spec.acmeProvider.privateKeySecret", "spec.tlsSecret"}},
	{Group: "apisix.apache.org", Resource: "apisixtlses", Kind: "ApisixTls", Names: []string{"spec.secret", "spec.client.caSecret"}},
	{Group: "cloud.google.com", Resource: "backendconfigs", Kind: "BackendConfig", Names: []string{"spec.iap.oauthclientCredentials.secretName"}},
	// Scaling, functions, clouds, clusters.
	{Group: "keda.sh", Resource: "triggerauthentications", Kind: "TriggerAuthentication", Names: []string{"spec.secretTargetRef[]"}},
	{Group: "keda.sh", Resource: "clustertriggerauthentications", Kind: "ClusterTriggerAuthentication", Global: true, Namespace: "keda", Names: []string{"spec.secretTargetRef[]"}},
	{Group: "serving.knative.dev", Resource: "services", Kind: "Service"},
	{Group: "sources.knative.dev", Resource: "containersources", Kind: "ContainerSource"},
	{Group: "eventing.knative.dev", Resource: "brokers", Kind: "Broker"},
	{Group: "pkg.crossplane.io", Resource: "providers", Kind: "Provider", Global: true, Names: []string{"spec.packagePullSecrets[]"}},
	{Group: "aws.crossplane.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "aws.upbound.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "gcp.upbound.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "azure.upbound.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "kubernetes.crossplane.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "helm.crossplane.io", Resource: "providerconfigs", Kind: "ProviderConfig", Global: true},
	{Group: "rds.services.k8s.aws", Resource: "dbinstances", Kind: "DBInstance", Names: []string{"spec.masterUserPassword"}},
	{Group: "rds.services.k8s.aws", Resource: "dbclusters", Kind: "DBCluster", Names: []string{"spec.masterUserPassword"}},
	{Group: "elasticache.services.k8s.aws", Resource: "replicationgroups", Kind: "ReplicationGroup", Names: []string{"spec.authToken"}},
	{Group: "mq.services.k8s.aws", Resource: "brokers", Kind: "Broker", Names: []string{"spec.users[].password"}},
	{Group: "services.k8s.aws", Resource: "fieldexports", Kind: "FieldExport"},
	{Group: "sql.cnrm.cloud.google.com", Resource: "sqlusers", Kind: "SQLUser"},
	{Group: "infra.contrib.fluxcd.io", Resource: "terraforms", Kind: "Terraform", Names: []string{"spec.varsFrom[]?Secret"}},
	{Group: "app.terraform.io", Resource: "workspaces", Kind: "Workspace"},
	{Group: "cluster.x-k8s.io", Resource: "machines", Kind: "Machine", Names: []string{"spec.bootstrap.dataSecretName"}},
	{Group: "metal3.io", Resource: "baremetalhosts", Kind: "BareMetalHost", Names: []string{"spec.bmc.credentialsName"}},
	{Group: "actions.github.com", Resource: "autoscalingrunnersets", Kind: "AutoscalingRunnerSet", Names: []string{"spec.githubConfigSecret"}},
	{Group: "k8s.keycloak.org", Resource: "keycloaks", Kind: "Keycloak", Names: []string{"spec.db.usernameSecret", "spec.db.passwordSecret", "spec.http.tlsSecret"}},
	{Group: "goharbor.io", Resource: "harborclusters", Kind: "HarborCluster"},
	{Group: "operator.tigera.io", Resource: "installations", Kind: "Installation", Global: true},
	// Policies. Gatekeeper's constraints are kinds of their own; see Constraints.
	{Group: "kyverno.io", Resource: "clusterpolicies", Kind: "ClusterPolicy", Global: true},
	{Group: "kyverno.io", Resource: "policies", Kind: "Policy"},
	{Group: "policies.kyverno.io", Resource: "validatingpolicies", Kind: "ValidatingPolicy", Global: true},
}

// Constraints is the group of Gatekeeper's constraints, each a kind of its own.
const Constraints = "constraints.gatekeeper.sh"

// basicAuth are the fields by which Prometheus' operator names Secrets.
func basicAuth(at string) []string {
	return []string{
		at + "basicAuth.username", at + "basicAuth.password", at + "bearerTokenSecret", at + "authorization.credentials", at + "oauth2.clientId.secret", at + "oauth2.clientSecret",
		at + "tlsConfig.keySecret", at + "tlsConfig.ca.secret", at + "tlsConfig.cert.secret",
	}
}

// helmOf are the fields in which Argo CD has values of charts; its parameters are pairs of
// name and value.
func helmOf(at string) []string {
	var out []string
	for _, source := range []string{"source", "sources[]"} {
		out = append(out, at+source+".helm.values", at+source+".helm.valuesObject", at+source+".kustomize.commonAnnotations", at+source+".plugin.env")
	}
	return out
}

// byKind finds lines of the table.
var byKind = func() map[[2]string]*Kind {
	out := make(map[[2]string]*Kind, len(Kinds))
	for i := range Kinds {
		out[[2]string{Kinds[i].Group, Kinds[i].Kind}] = &Kinds[i]
	}
	return out
}()

// Fills returns what objects of k fill in a snapshot, beside uses: "sources",
// "stores", "admissions"; or "uses", if nothing else.
func (k *Kind) Fills() string {
	_, source := sources[k.Kind+"."+k.Group]
	switch {
	case source:
		return "sources"
	case k.Group == "external-secrets.io":
		return "stores"
	case k.Group == "admissionregistration.k8s.io", strings.HasSuffix(k.Group, "kyverno.io"):
		return "admissions"
	}
	return "uses"
}
