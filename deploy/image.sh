#!/usr/bin/env bash
# Builds the image of the core with buildah, and tries it: `make image`.
#
#   TAG    what to call it                                       loa:latest
#   BASE   a Debian 12 image to build on; without it one is made here from Debian's own packages (debootstrap)
#
# No container engine is needed. What this machine's apt and pip must know (mirrors, certificates) is lent to the build
# and stays out of the image.
# apt, and the shell in the image, expand what stands in single quotes.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/.."
TAG=${TAG:-loa:latest}
BASE=${BASE:-}
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
[ "$(id -u)" = 0 ] || { echo "loa: an image is built as root; please run: sudo make image" >&2; exit 1; }

work=$(mktemp -d)
container=""
clean_up() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT

# A Debian of the kind that debian:bookworm-slim is: the essential packages, without manuals and translations.
make_base() {
    local mirror
    mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Identifier: Packages' |
        awk '$2 == "bookworm" { print $1; exit }')
    [ -n "$mirror" ] || { echo "loa: apt knows no mirror of Debian 12; name a base image: BASE=…" >&2; return 1; }
    debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; return 1; }
    apt-get indextargets --format 'deb $(SITE) $(RELEASE) main' 'Identifier: Packages' |
        awk '$3 ~ /^bookworm/' | sort -u >"$work/base/etc/apt/sources.list"
    find "$work/base/usr/share/doc" -type f ! -name copyright -delete
    rm -rf "$work/base"/usr/share/{man,info,locale,lintian}/* "$work/base"/var/cache/apt/* \
        "$work/base"/var/lib/apt/lists/* "$work/base"/var/log/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$work/base" / >/dev/null
    buildah commit --quiet --rm "$container" localhost/loa-base:bookworm >/dev/null
    container=""
    rm -rf --one-file-system "$work/base"
}

if [ -z "$BASE" ]; then
    echo "making a base from Debian's packages"
    make_base
    BASE=localhost/loa-base:bookworm
fi

lent=()
lend() {
    [ ! -s "$2" ] || lent+=(--secret "id=$1,src=$2")
}
apt-config dump Acquire | grep -v '^Acquire::Languages' >"$work/apt" || true
lend apt "$work/apt"
lend pip "${PIP_CONFIG_FILE:-/etc/pip.conf}"
lend certificates "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"

echo "building $TAG on $BASE"
buildah bud --format docker --network host --build-arg "BASE=$BASE" "${lent[@]}" --tag "$TAG" . >"$work/log" 2>&1 ||
    { tail -30 "$work/log" >&2; exit 1; }

echo "trying it"
container=$(buildah from --pull-never "$TAG")
buildah run --network host "$container" -- /opt/loa/bin/loa --help >/dev/null
buildah run "$container" -- sh -c 'for tool in gcc make pip pip3 curl; do
        ! command -v $tool || { echo "loa: $tool is in the image" >&2; exit 1; }
    done
    ! find / -xdev -type f -perm /6000 2>/dev/null | grep . || { echo "loa: programs are setuid" >&2; exit 1; }'
# Its own user, its own settings but for the ports: those of this machine may be taken.
buildah run --network host --env LOA_HTTP_HOST=127.0.0.1 --env LOA_HTTP_PORT=0 --env LOA_MEDIA_PORT=0 \
    "$container" -- sh -c '
        set -e
        [ "$(id -u)" = 10001 ]
        loa serve >/tmp/said & core=$!
        for _ in $(seq 100); do grep -q "^loa: ready on " /tmp/said && break; sleep 0.2; done
        url=$(sed -n "s/^loa: ready on //p" /tmp/said)
        python -m loa.app.healthcheck "$url/healthz"
        python -m loa.app.healthcheck "$url/readyz"
        kill -TERM $core
        wait $core' 2>"$work/log" || { tail -20 "$work/log" >&2; exit 1; }
buildah rm "$container" >/dev/null
container=""
buildah images --format '{{.Name}}:{{.Tag}} {{.Size}}' --filter "reference=$TAG"
