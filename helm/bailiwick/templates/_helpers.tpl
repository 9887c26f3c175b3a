{{- define "bailiwick.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select; call with (dict "root" $ "component" "daemon"). */}}
{{- define "bailiwick.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "bailiwick.labels" -}}
{{ include "bailiwick.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bailiwick
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "bailiwick.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "bailiwick.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bailiwick.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bailiwick.cell" -}}
{{- $cell := default .Release.Name .Values.cell -}}
{{- if not (regexMatch "^[a-z0-9][a-z0-9-]{0,62}$" $cell) -}}
{{- fail (printf "cell: %q is not a cell's name (a-z, 0-9 and -): set cell" $cell) -}}
{{- end -}}
{{- $cell -}}
{{- end -}}

{{/* Under which name the service is reached in the cluster. */}}
{{- define "bailiwick.host" -}}
{{- printf "%s.%s.svc" (include "bailiwick.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "bailiwick.endpoint" -}}
{{- default (printf "%s:%d" (include "bailiwick.host" .) (int .Values.daemon.service.port)) .Values.daemon.endpoint -}}
{{- end -}}

{{- define "bailiwick.databaseCaSecret" -}}
{{- default (printf "%s-db-ca" (include "bailiwick.fullname" .)) .Values.database.caSecret -}}
{{- end -}}

{{/* Whole numbers come out of values as floating point, and large ones would be written as 2e+07. */}}
{{- define "bailiwick.map" -}}
{{- $out := dict -}}
{{- range $key, $value := . -}}
{{- if kindIs "float64" $value -}}{{- $value = int64 $value -}}{{- end -}}
{{- $_ := set $out $key $value -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}

{{/* A libpq connection string; call with (dict "root" $ "user" … "name" …): `name` tells the files of one user from
     those of another. With a client certificate there is no password; otherwise it is in a passfile, which libpq reads
     only if nobody else may. */}}
{{- define "bailiwick.conninfo" -}}
{{- $db := .root.Values.database -}}
{{- $host := default (printf "%s-db-rw" (include "bailiwick.fullname" .root)) $db.host -}}
{{- $words := list (printf "host=%s" $host) (printf "port=%d" (int $db.port)) (printf "dbname=%s" $db.name)
      (printf "user=%s" .user.user) (printf "sslmode=%s" $db.sslMode) "connect_timeout=10" -}}
{{- if has $db.sslMode (list "verify-ca" "verify-full") -}}
{{- $words = append $words "sslrootcert=/etc/bailiwick/database-ca/ca.crt" -}}
{{- end -}}
{{- if .user.clientCertificateSecret -}}
{{- $words = append $words (printf "sslcert=/etc/bailiwick/database-client/%s/tls.crt" .name) -}}
{{- $words = append $words (printf "sslkey=/etc/bailiwick/database-client/%s/tls.key" .name) -}}
{{- else -}}
{{- $words = append $words (printf "passfile=/run/bailiwick/credentials/%s" .name) -}}
{{- end -}}
{{- join " " $words -}}
{{- end -}}

{{/* bailiwickd.yaml; call with (dict "root" $ "name" "serve" "user" .Values.database), or "migrate" and its user. */}}
{{- define "bailiwick.daemonConfig" -}}
{{- $v := .root.Values -}}
apiVersion: bailiwick/v1
kind: DaemonConfig
cell: {{ include "bailiwick.cell" .root | quote }}
{{- with $v.trustDomain }}
trustDomain: {{ . | quote }}
{{- end }}
stateDirectory: /var/lib/bailiwick/state
operators: {{ toJson $v.daemon.operators }}
{{- if or $v.daemon.topology.fleet $v.daemon.topology.existingConfigMap }}
topology: /etc/bailiwick/topology/fleet.yaml
{{- end }}
{{- if $v.daemon.geoDatabase.existingClaim }}
geoDatabase: {{ printf "/var/lib/bailiwick/geo/%s" $v.daemon.geoDatabase.path | quote }}
{{- end }}
listen:
  address: {{ $v.daemon.bindAddress | quote }}
  port: 7443
  endpoint: {{ include "bailiwick.endpoint" .root | quote }}
  tls:
    certificate: /etc/bailiwick/tls/tls.crt
    key: /etc/bailiwick/tls/tls.key
    ca: /etc/bailiwick/tls/ca.crt
    {{- with $v.daemon.tls.crlKey }}
    crl: {{ printf "/etc/bailiwick/tls/%s" . | quote }}
    {{- end }}
database:
  conninfo: {{ include "bailiwick.conninfo" (dict "root" .root "name" .name "user" .user) | quote }}
  schema: /usr/share/bailiwick/schema
  allowUnsafeStandbys: {{ $v.database.allowUnsafeStandbys }}
signer:
  key: /etc/bailiwick/signer/signer.key
  {{- if $v.daemon.signer.issuesCertificates }}
  caCertificate: /etc/bailiwick/signer/ca.crt
  caKey: /etc/bailiwick/signer/ca.key
  {{- end }}
{{- if and $v.vault.enabled (eq .name "serve") }}
vault:
  conninfo: {{ include "bailiwick.conninfo" (dict "root" .root "name" "vault" "user" $v.vault) | quote }}
  keyring: /etc/bailiwick/vault/vault.keyring
  serviceKey: /etc/bailiwick/vault/vault.key
  servicePublicKey: /etc/bailiwick/vault/vault.pub
  sweep: {{ $v.vault.sweep }}
{{- end }}
http:
  address: {{ $v.daemon.bindAddress | quote }}
  port: 9443
quality:
  flush: {{ $v.daemon.quality.flush }}
log:
  {{- include "bailiwick.map" $v.daemon.log | nindent 2 }}
limits:
  {{- include "bailiwick.map" $v.daemon.limits | nindent 2 }}
  drain: {{ int $v.daemon.drainSeconds }}s
{{- end -}}

{{/* The relay's control planes: those of the values, or the one of this release. */}}
{{- define "bailiwick.relayCells" -}}
{{- range .Values.relay.cells }}
- name: {{ .name | quote }}
  endpoints: {{ toJson .endpoints }}
  {{- with .capacity }}
  capacity: {{ int . }}
  {{- end }}
  tls:
    ca: /etc/bailiwick/tls/ca.crt
    certificate: /etc/bailiwick/tls/tls.crt
    key: /etc/bailiwick/tls/tls.key
    {{- if and .serverName .serverSpiffeId }}
    {{- fail (printf "relay.cells: %s has serverName and serverSpiffeId: give one of them" .name) }}
    {{- else if .serverSpiffeId }}
    serverSpiffeId: {{ .serverSpiffeId | quote }}
    {{- else }}
    serverName: {{ default (first .endpoints | splitList ":" | first) .serverName | quote }}
    {{- end }}
{{- else }}
{{- if not .Values.daemon.enabled }}
{{- fail "relay.cells: with daemon.enabled false, say which control planes the relays are enrolled with" }}
{{- end }}
- name: {{ include "bailiwick.cell" . | quote }}
  endpoints: [{{ include "bailiwick.endpoint" . | quote }}]
  tls:
    ca: /etc/bailiwick/tls/ca.crt
    certificate: /etc/bailiwick/tls/tls.crt
    key: /etc/bailiwick/tls/tls.key
    serverName: {{ include "bailiwick.endpoint" . | splitList ":" | first | quote }}
{{- end }}
{{- end -}}

{{/* relay.yaml; call with (dict "root" $ "relay" …). */}}
{{- define "bailiwick.relayConfig" -}}
{{- $v := .root.Values -}}
apiVersion: bailiwick/v1
kind: RelayConfig
name: {{ .relay.name | quote }}
capacity: {{ int .relay.capacity }}
media:
  listen: {{ printf "0.0.0.0:%d" (int $v.relay.port) | quote }}
  advertise: {{ toJson .relay.advertise }}
  {{- with .relay.peerAddress }}
  peerAddress: {{ . | quote }}
  {{- end }}
{{- with .relay.claims }}
claims:
  {{- toYaml . | nindent 2 }}
{{- end }}
cells:
  {{- include "bailiwick.relayCells" .root | trim | nindent 2 }}
status:
  socket: /run/bailiwick/status.sock
log:
  {{- include "bailiwick.map" $v.relay.log | nindent 2 }}
limits:
  {{- include "bailiwick.map" $v.relay.limits | nindent 2 }}
  drain: {{ int $v.relay.drainSeconds }}s
{{- end -}}

{{- define "bailiwick.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.podSecurity.runAsUser }}
runAsGroup: {{ int64 .Values.podSecurity.runAsGroup }}
fsGroup: {{ int64 .Values.podSecurity.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "bailiwick.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Users of the database that a pod connects as: (dict "root" $ "name" "serve" or "migrate"), as a list of
     {name, passfile, certificate}. */}}
{{- define "bailiwick.users" -}}
{{- $full := include "bailiwick.fullname" .root -}}
{{- $v := .root.Values -}}
{{- $users := list -}}
{{- if eq .name "migrate" -}}
{{- $users = append $users (dict "name" "migrate" "passfile" (default (printf "%s-db-app" $full) $v.migration.passfileSecret) "certificate" $v.migration.clientCertificateSecret) -}}
{{- else -}}
{{- $users = append $users (dict "name" "serve" "passfile" (default (printf "%s-db-serve" $full) $v.database.passfileSecret) "certificate" $v.database.clientCertificateSecret) -}}
{{- if $v.vault.enabled -}}
{{- $users = append $users (dict "name" "vault" "passfile" (default (printf "%s-db-vault" $full) $v.vault.passfileSecret) "certificate" $v.vault.clientCertificateSecret) -}}
{{- end -}}
{{- end -}}
{{- toYaml $users -}}
{{- end -}}

{{/* libpq ignores a passfile that its group may read, and that is how a Secret arrives in a pod that is not
     root: an init container makes the copies that it takes, in memory. Call as bailiwick.users. */}}
{{- define "bailiwick.passfileContainers" -}}
{{- $files := list -}}
{{- range include "bailiwick.users" . | fromYamlArray -}}
{{- if not .certificate -}}{{- $files = append $files (printf "/etc/bailiwick/passfiles/%s" .name) -}}{{- end -}}
{{- end -}}
{{- if $files }}
initContainers:
  - name: passfiles
    image: {{ include "bailiwick.image" .root | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: {{ toJson (concat (list "install" "-m" "0400" "-t" "/run/bailiwick/credentials") $files) }}
    securityContext:
      {{- include "bailiwick.containerSecurityContext" .root | nindent 6 }}
    resources:
      requests: { cpu: 10m, memory: 16Mi }
      limits: { memory: 32Mi }
    volumeMounts:
      - { name: passfiles, mountPath: /etc/bailiwick/passfiles, readOnly: true }
      - { name: credentials, mountPath: /run/bailiwick/credentials }
{{- end }}
{{- end -}}

{{/* How a pod comes to the database; call as bailiwick.users. */}}
{{- define "bailiwick.databaseMounts" -}}
{{- if has .root.Values.database.sslMode (list "verify-ca" "verify-full") }}
- { name: database-ca, mountPath: /etc/bailiwick/database-ca, readOnly: true }
{{- end }}
{{- $passfiles := false }}
{{- range include "bailiwick.users" . | fromYamlArray }}
{{- if .certificate }}
- { name: database-client-{{ .name }}, mountPath: /etc/bailiwick/database-client/{{ .name }}, readOnly: true }
{{- else }}
{{- $passfiles = true }}
{{- end }}
{{- end }}
{{- if $passfiles }}
- { name: credentials, mountPath: /run/bailiwick/credentials, readOnly: true }
{{- end }}
{{- end -}}

{{- define "bailiwick.databaseVolumes" -}}
{{- if has .root.Values.database.sslMode (list "verify-ca" "verify-full") }}
- name: database-ca
  secret:
    secretName: {{ include "bailiwick.databaseCaSecret" .root }}
    items: [{ key: ca.crt, path: ca.crt }]
{{- end }}
{{- $passfiles := list }}
{{- range include "bailiwick.users" . | fromYamlArray }}
{{- if .certificate }}
- name: database-client-{{ .name }}
  secret: { secretName: {{ .certificate }}, defaultMode: 0440 }
{{- else }}
{{- $passfiles = append $passfiles . }}
{{- end }}
{{- end }}
{{- if $passfiles }}
- name: passfiles
  projected:
    defaultMode: 0440
    sources:
      {{- range $passfiles }}
      - secret: { name: {{ .passfile }}, items: [{ key: pgpass, path: {{ .name }} }] }
      {{- end }}
- name: credentials
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{- end }}
{{- end -}}

{{/* What the service reads, for itself and for the doctor. */}}
{{- define "bailiwick.daemonMounts" -}}
- { name: config, mountPath: /etc/bailiwick/bailiwickd.yaml, subPath: bailiwickd.yaml, readOnly: true }
- { name: tls, mountPath: /etc/bailiwick/tls, readOnly: true }
- { name: signer, mountPath: /etc/bailiwick/signer, readOnly: true }
{{- if .Values.vault.enabled }}
- { name: vault, mountPath: /etc/bailiwick/vault, readOnly: true }
{{- end }}
{{- if or .Values.daemon.topology.fleet .Values.daemon.topology.existingConfigMap }}
- { name: topology, mountPath: /etc/bailiwick/topology, readOnly: true }
{{- end }}
{{- if .Values.daemon.geoDatabase.existingClaim }}
- { name: geo, mountPath: /var/lib/bailiwick/geo, readOnly: true }
{{- end }}
{{- include "bailiwick.databaseMounts" (dict "root" . "name" "serve") }}
{{- end -}}

{{- define "bailiwick.daemonVolumes" -}}
{{- $full := include "bailiwick.fullname" . -}}
- name: config
  configMap:
    name: {{ $full }}
    items: [{ key: bailiwickd.yaml, path: bailiwickd.yaml }]
- name: tls
  secret: { secretName: {{ default (printf "%s-tls" $full) .Values.daemon.tls.secret }}, defaultMode: 0440 }
- name: signer
  secret: { secretName: {{ default (printf "%s-signer" $full) .Values.daemon.signer.secret }}, defaultMode: 0440 }
{{- if .Values.vault.enabled }}
- name: vault
  secret: { secretName: {{ default (printf "%s-vault" $full) .Values.vault.secret }}, defaultMode: 0440 }
{{- end }}
{{- if or .Values.daemon.topology.fleet .Values.daemon.topology.existingConfigMap }}
- name: topology
  configMap:
    name: {{ default $full .Values.daemon.topology.existingConfigMap }}
    items: [{ key: fleet.yaml, path: fleet.yaml }]
{{- end }}
{{- with .Values.daemon.geoDatabase.existingClaim }}
- name: geo
  persistentVolumeClaim: { claimName: {{ . }}, readOnly: true }
{{- end }}
{{- include "bailiwick.databaseVolumes" (dict "root" . "name" "serve") }}
{{- end -}}
