#!/usr/bin/env bash
# Install Debian packages (the arguments) without starting any service that comes with them; called by setup.sh as root.
set -euo pipefail
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d/renzheng.conf
kept=''

said=$(mktemp)

restore() {
  local code=$?
  rm -f "$policy" "$clusters"; rmdir --ignore-fail-on-non-empty "$(dirname "$clusters")"
  if [ -n "$kept" ]; then mv "$kept" "$policy"; fi
  if [ "$code" != 0 ]; then tail -n 40 "$said" >&2; fi
  rm -f "$said"
}

if [ -e "$policy" ] || [ -L "$policy" ]; then kept=$(mktemp "$policy.XXXXXX"); mv "$policy" "$kept"; fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
mkdir -p "$(dirname "$clusters")"
echo 'create_main_cluster = false' >"$clusters"     # the tests make a database of their own; the system gets none

export DEBIAN_FRONTEND=noninteractive
apt-get -q update &>"$said"
apt-get -q -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "$@" &>>"$said"
