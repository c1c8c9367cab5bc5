# What runs of a deployment on a host, as key=value lines; sent on standard input, only reads.
{{ docker }}
project={{ project | sh }} name={{ deployment | sh }} url={{ url | sh }}
{% raw %}
say() { printf '%s=%s\n' "$1" "$2"; }
label=label=com.docker.compose
[ -e "$project/docker-compose.yml" ] && say deployed yes
command -v docker >/dev/null || exit 0
say engine "$(docker version -f '{{.Server.Version}}' 2>/dev/null)"
say compose "$(docker compose version --short 2>/dev/null)"
container=$(docker ps -aq --filter "$label.project=$name" --filter $label.service=openclaw-gateway \
  --filter $label.oneoff=False 2>/dev/null | head -n 1)
[ -n "$container" ] || exit 0
# Never .Config.Env: it holds the secrets.
docker inspect -f 'state={{.State.Status}}
health={{if .State.Health}}{{.State.Health.Status}}{{end}}
started={{.State.StartedAt}}
restarts={{.RestartCount}}
image={{.Config.Image}}
image_id={{.Image}}
ports={{json .NetworkSettings.Ports}}
version={{index .Config.Labels "org.opencontainers.image.version"}}' "$container"
image=$(docker inspect -f '{{.Image}}' "$container")
docker image inspect -f 'digests={{json .RepoDigests}}
inputs={{index .Config.Labels "openclaw-pyinfra.inputs"}}' "$image"
docker exec "$container" sed -n 's/^  "version": "\(.*\)",$/package=\1/p' package.json 2>/dev/null
command -v curl >/dev/null && say readyz "$(curl -s -o /dev/null --noproxy '*' -m 5 -w '%{http_code}' "$url/readyz")"
exit 0
{% endraw %}
