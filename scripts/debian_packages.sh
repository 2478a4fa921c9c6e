#!/bin/sh
# Installs the Debian packages of deploy/debian-packages.txt that the given users ("demo", "test") need.
# Where it may not install, it says in one line what is missing and fails.
set -eu
list="$(dirname "$0")/../deploy/debian-packages.txt"
missing=""
for user in "$@"; do
    for package in $(awk -v user="$user" '$1 == user { print $2 }' "$list"); do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
            missing="$missing $package"
        fi
    done
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "loa: Debian packages are missing; please run: apt-get install$missing" >&2
    exit 1
fi
echo "installing from Debian:$missing"
export DEBIAN_FRONTEND=noninteractive
# Tests want a package's programs, never its service: it is neither started now nor at the next boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
# shellcheck disable=SC2086
{ $as_root apt-get update -q && $as_root apt-get install -q -y --no-install-recommends $missing; } >/dev/null ||
    { echo "loa: could not install; please run: apt-get install$missing" >&2; exit 1; }
for package in $missing; do
    if command -v systemctl >/dev/null && dpkg -L "$package" | grep -q "/system/$package.service\$"; then
        $as_root systemctl disable --quiet "$package.service" 2>/dev/null ||
            echo "loa: the service $package is enabled; nothing here needs it" >&2
    fi
done
