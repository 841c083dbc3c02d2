{{ define "shop.database" }}{{ .Release.Name }}-database{{ end }}
