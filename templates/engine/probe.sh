command -v dockerd >/dev/null && echo installed=
command -v docker >/dev/null && timeout 10 docker -H {{ ("unix://" + socket) | sh }} info --format '{% raw %}server={{.ServerVersion}}
live-restore={{.LiveRestoreEnabled}}
swarm={{.Swarm.LocalNodeState}}
containers={{.ContainersRunning}}
data-root={{.DockerRootDir}}
{{range .ClientInfo.Plugins}}{{.Name}}={{.Version}}
{{end}}{% endraw %}' | grep -E '^(server|live-restore|swarm|containers|data-root|compose|buildx)=.'
if [ -d /run/systemd/system ]; then echo "enabled=$(systemctl is-enabled docker.service)"
else echo 'enabled=no systemd'; fi
[ -s /var/run/docker.pid ] &&
  echo "arguments=$(tr '\0' ' ' <"/proc/$(cat /var/run/docker.pid)/cmdline")"
# Passwords in addresses are not shown.
show() { [ -e "$2" ] && { echo "$1="; sed -e 's#://[^/@"]*@#://***@#g' -e "s/^/$1=/" "$2"; }; }
show daemon {{ daemon }}
show previous {{ previous }}
echo "members=$(getent group docker | cut -d: -f4)"
{% for user in users %}
id -u {{ user | sh }} >/dev/null || echo stranger={{ user | sh }}
{% endfor %}
{% if url %}
. /etc/os-release
# The user's own source of Docker's repository: a second one with another key would break apt.
grep -lsF {{ url | sh }} /etc/apt/sources.list /etc/apt/sources.list.d/* |
  grep -vxF {{ source }} | sed 's/^/other-source=/'
command -v dockerd >/dev/null && exit 0
{% include "packages/download.sh" %}
if reason=$(download {{ url | sh }}"/$ID/dists/$VERSION_CODENAME/InRelease"); then
  echo repository=reachable
else
  echo "repository=${reason:-no answer}"
fi
{% endif %}
