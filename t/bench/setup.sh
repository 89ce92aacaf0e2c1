#!/bin/bash
# setup.sh: on a Debian 12 as root: installs Postfix, builds the tools, makes the certificate, and each peer's users and Maildirs.
# tassis must be installed before, with its accounts (./check does it, into .check/gcc/prefix; TASSIS_PREFIX names another place).
set -e
cd "$(dirname "$0")"; . ./lib.sh
export DEBIAN_FRONTEND=noninteractive
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
dpkg -s postfix strace >/dev/null 2>&1 || { apt-get update -q; apt-get install -y -q --no-install-recommends postfix strace; } >/dev/null
mkdir -p "$BIN"
make -s -C tools B="$BIN"
[ -e "$KEY" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$KEY" -out "$CERT" -days 3650 -subj /CN=mx.host.test 2>/dev/null
chmod 644 "$CERT"; chmod 600 "$KEY"
for p in peers/*.sh; do load_peer "$(basename "$p" .sh)"; mkdir -p "$ST"; [ $LOCAL = 0 ] || make_mail; p_setup; echo "$PEER ${VERSION:-?} port $PORT"; done
