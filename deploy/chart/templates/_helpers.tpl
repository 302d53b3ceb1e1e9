{{- /* The name of a service begins with a letter and has no dot, which that of a release may. */ -}}
{{- define "otp.name" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- regexReplaceAll "-+$" (ternary $name (print "otp-" $name) (regexMatch "^[a-z]" $name) | trunc 50) "" -}}
{{- end }}

{{- define "otp.labels" -}}
app.kubernetes.io/name: otp-service
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Called with a list: the root and the component. */ -}}
{{- define "otp.selector" -}}
app.kubernetes.io/name: otp-service
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "otp.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* Called with a list: the root and the component. What both kinds of pods have alike. */ -}}
{{- define "otp.pod" -}}
{{- $root := index . 0 }}
automountServiceAccountToken: false
serviceAccountName: {{ include "otp.name" $root | quote }}
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "otp.selector" . | nindent 8 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- if $root.Values.policy }}
  - name: policy
    configMap:
      name: {{ include "otp.name" $root }}-policy
{{- end }}
{{- end }}

{{- define "otp.container" -}}
image: {{ include "otp.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
envFrom:
  - configMapRef:
      name: {{ include "otp.name" . | quote }}
  - secretRef:
      name: {{ required "existingSecret: name a secret with the output of `otp-service secrets`" .Values.existingSecret | quote }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
{{- if .Values.policy }}
  - { name: policy, mountPath: /etc/otp, readOnly: true }
{{- end }}
{{- end }}

{{- /* A change of settings or policy replaces the pods. */ -}}
{{- define "otp.annotations" -}}
checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
