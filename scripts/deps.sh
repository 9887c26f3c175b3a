#!/bin/bash
# deps [--check] [PURPOSE...]: install missing Debian packages (build postgres test demo bench lint fuzz)
. "$BW_ROOT/scripts/common.sh"

TABLE=$BW_ROOT/scripts/packages.txt
quiet=no check=no purposes=()
for arg in "$@"; do
    case $arg in
    --quiet) quiet=yes ;;
    --check) check=yes ;;
    -*) usage_error "deps: unknown option '$arg'" ;;
    *)
        grep -q "^$arg " "$TABLE" || usage_error "deps: no purpose '$arg'"
        purposes+=("$arg")
        ;;
    esac
done
if [ ${#purposes[@]} -eq 0 ]; then
    mapfile -t purposes < <(awk '!/^#/ && NF { print $1 }' "$TABLE" | sort -u)
fi

installed_version() {
    dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p' || true
}

# Sets `missing` to the packages to install.
find_missing() {
    missing=()
    local purpose package constraint name version ok wanted=" ${purposes[*]} "
    while read -r purpose package constraint; do
        case $purpose in '' | \#*) continue ;; esac
        case $wanted in *" $purpose "*) ;; *) continue ;; esac
        ok=no
        for name in ${package//|/ }; do
            version=$(installed_version "$name")
            [ -n "$version" ] || continue
            if [ -z "$constraint" ] || dpkg --compare-versions "$version" ge "${constraint#>=}"; then
                ok=yes
                break
            fi
        done
        [ $ok = yes ] || missing+=("${package%%|*}")
    done <"$TABLE"
}

if ! command -v dpkg-query >/dev/null; then
    die "this is not a Debian or Ubuntu system: install the equivalents of $TABLE yourself and build with CMake"
fi
find_missing
if [ ${#missing[@]} -eq 0 ]; then
    [ $quiet = yes ] || say "nothing is missing for: ${purposes[*]}"
    exit 0
fi
if [ $check = yes ]; then
    say "missing: ${missing[*]}"
    exit 1
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    say "these packages are missing and this user may not install them (neither root nor password-less sudo):"
    say "    apt-get install --no-install-recommends ${missing[*]}"
    exit 1
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Installing PostgreSQL would also start a cluster of the system's. We have no use for one, so it is asked not
# to, for this one installation only.
no_cluster=/etc/postgresql-common/createcluster.d/bailiwick-install.conf
hold_cluster=no
case " ${missing[*]} " in
*" postgresql "*)
    if [ -z "$(installed_version postgresql-common)" ]; then
        hold_cluster=yes
        "${as_root[@]}" mkdir -p "${no_cluster%/*}"
        echo "create_main_cluster = false" | "${as_root[@]}" tee "$no_cluster" >/dev/null
    fi
    ;;
esac
release_cluster() { [ $hold_cluster = no ] || "${as_root[@]}" rm -f "$no_cluster"; }
trap release_cluster EXIT

say "installing: ${missing[*]}"
log=$BW_ROOT/build/log/deps.log
# A stale index is worth a try: what is wanted may well be in it.
quietly "$log" apt update || say "apt-get update failed; going on with the package lists at hand"
quietly "$log" apt install --no-install-recommends "${missing[@]}"

find_missing
[ ${#missing[@]} -eq 0 ] || die "still missing, or too old, after the installation: ${missing[*]}"
