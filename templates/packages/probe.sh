facts=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' |
  awk -v names=' {{ known | join(" ") }} ' -v required='{{ required | join(" ") }}' '
    $1 ~ /^.i/ { there[$2] = 1; if (index(names, " " $2 " ")) print "installed", $2, $3 }
    $1 ~ /^.[UHFWt]/ { broken = 1 }
    END {
      if (broken) print "interrupted"
      count = split(required, list, " ")
      for (i = 1; i <= count; i++) if (!(list[i] in there)) print "missing", list[i]
    }')
echo "$facts"
find /var/lib/dpkg/updates -name '[0-9]*' | sed -n '1s/.*/interrupted/p'

{% if image_packages %}
# Whether the image's packages exist can be told only by the lists of its own Debian release.
. /etc/os-release
if [ "$VERSION_CODENAME" = {{ image_suite }} ] &&
  [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit)" ]; then
  known=$(apt-cache policy {{ image_packages | join(" ") }} | sed -n 's/^\([^ ]*\):$/\1/p' | tr '\n' ' ')
  for name in {{ image_packages | join(" ") }}; do
    case " $known" in *" $name "*) ;; *) echo "unknown $name" ;; esac
  done
fi
{% endif %}

# The mirror is asked only when something must come from it.
missing=$(echo "$facts" | grep missing)
{% if engine %}
command -v dockerd >/dev/null || missing=yes
{% endif %}
[ -n "$missing" ] || exit 0
{% include "packages/download.sh" %}
. /etc/os-release
uris=$(apt-get update --print-uris | sed -n "s/^'\([^']*\)InRelease'.*/\1/p")
uri=$(echo "$uris" | grep "/dists/$VERSION_CODENAME/" | head -1)
uri=${uri:-$(echo "$uris" | head -1)}
echo "mirror $(echo "$uri" | sed 's#//[^/@]*@#//#; s#dists/.*##')"
reason=$(download "${uri}InRelease") || echo "mirror-problem ${reason:-no answer}"
