package migrate_test

// stores are those of the namespace: one that is moved, and one of our class from the
// beginning.
const stores = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      version: v2
      caProvider: {type: ConfigMap, name: vault-ca, key: ca.crt}
      auth: {tokenSecretRef: {name: vault-token, key: token}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: owned, labels: {team: a}, annotations: {note: b}}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  data: [{secretKey: v, remoteRef: {key: app/db, property: password}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: extracted}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target: {deletionPolicy: Delete}
  dataFrom: [{extract: {key: app/db}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: found}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  dataFrom: [{find: {path: app, name: {regexp: db}}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: templated}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target:
    name: templated-target
    template:
      engineVersion: v2
      type: kubernetes.io/basic-auth
      metadata: {labels: {made: here}, annotations: {made: there}}
      data:
        username: "{{ .username }}"
        password: "{{ .password | trim }}"
        url: "db://{{ .username }}:{{ .password | urlquery }}@db"
  dataFrom: [{extract: {key: app/db}}]
---
apiVersion: v1
kind: Secret
metadata: {name: shared}
stringData: {other: canary-77c0-other}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: merged}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target: {name: shared, creationPolicy: Merge}
  dataFrom: [{extract: {key: app/db}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: orphaned}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target: {creationPolicy: Orphan}
  data: [{secretKey: v, remoteRef: {key: app/db, property: password}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: gate}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target: {creationPolicy: None}
  data: [{secretKey: v, remoteRef: {key: app/db, property: password}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: fixed}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  target: {immutable: true}
  data: [{secretKey: v, remoteRef: {key: app/fixed, property: token}}]
---
apiVersion: generators.external-secrets.io/v1alpha1
kind: Password
metadata: {name: drawn}
spec: {length: 24, digits: 5, symbols: 2, noUpper: false, allowRepeat: true}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: drawn}
spec:
  refreshInterval: 1h
  dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: drawn}}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: mixed}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  data: [{secretKey: v, remoteRef: {key: app/db, property: password}}]
  dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: drawn}}}]
---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: spread-NAMESPACE}
spec:
  externalSecretName: spread
  namespaceSelectors: [{matchLabels: {test: NAMESPACE}}]
  refreshTime: 1h
  externalSecretSpec:
    refreshInterval: 1h
    secretStoreRef: {name: vault}
    data: [{secretKey: v, remoteRef: {key: app/db, property: password}}]
---
apiVersion: v1
kind: Secret
metadata: {name: source}
stringData: {token: canary-77c0-pushed}
---
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata: {name: push}
spec:
  refreshInterval: 1h
  secretStoreRefs: [{name: vault, kind: SecretStore}]
  selector: {secret: {name: source}}
  data: [{match: {secretKey: token, remoteRef: {remoteKey: pushed, property: token}}}]
`

// mine is of our class from the beginning.
const mine = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: mine}
spec:
  controller: strongkeep
  provider: {fake: {data: [{key: a, value: canary-77c0-mine}]}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: mine}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: mine}
  data: [{secretKey: v, remoteRef: {key: a}}]
`
