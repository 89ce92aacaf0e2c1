# Shared by run.sh, setup.sh and the adaptors in peers/. Sourced, not run.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STATE=${BENCH_STATE:-$here/.state}      # queues, Maildirs, logs: must be on a real disk
BIN=$STATE/bin PKG=$STATE/pkg
DOMAIN=bench.test                        # local domain, users 1u..${USERS}u and u
USERS=5000
SINK=2599                                # port of the next hop for all other domains
MAILUID=$(id -u vmail 2>/dev/null || echo 5000)   # the account that owns Maildirs
CERT=$STATE/cert.pem KEY=$STATE/key.pem
PATH=$PATH:/usr/sbin:/sbin

load_peer() { # load_peer NAME|FILE: sets PEER, ST (its state folder), MAIL (Maildir root) and sources the adaptor
    local f=$here/peers/$1.sh; case $1 in */*) f=$1;; esac
    PEER=$(basename "$f" .sh); ST=$STATE/run/$PEER MAIL=$STATE/run/$PEER/mail
    unset -f p_setup p_start p_stop p_pids p_queue p_list p_flush p_wipe
    LOCAL=1                              # 0: the peer delivers to no Maildir
    . "$f"
}

tree() { # tree PID...: the PIDs and all their descendants
    ps -e -o pid= -o ppid= | awk -v r="$*" 'BEGIN{n=split(r,a," ");for(i=1;i<=n;i++)w[a[i]]=1}
        {p[NR]=$1;pp[NR]=$2} END{do{c=0;for(i=1;i<=NR;i++)if((pp[i] in w)&&!(p[i] in w)){w[p[i]]=1;c=1}}while(c)
        for(i=1;i<=NR;i++)if(p[i] in w)print p[i]}'
}

wait_port() { # wait_port PORT [SECONDS]: until a 220 banner is read
    local end=$((SECONDS + ${2:-30})) out
    while ((SECONDS <= end)); do
        out=$("$BIN/idleconns" "$1" 1 2 </dev/null) && [[ $out == "held 1 "* ]] && return 0
        sleep 0.02
    done
    return 1
}

kill_wait() { # kill_wait SIGNAL PID: signals it, then waits up to 30 s until it is gone
    local s=$1 p; shift
    [[ $# = 1 && $1 -gt 1 ]] || return 0
    kill -"$s" "$@" 2>/dev/null
    for p; do for _ in {1..300}; do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done; done
}

make_mail() { # the Maildirs, made once per peer, owned by the one delivery uid
    [ -e "$MAIL/u/new" ] && return
    mkdir -p "$MAIL"
    (cd "$MAIL" && { echo u; seq -f '%gu' 1 $USERS; } | xargs -I{} echo {}/new {}/cur {}/tmp | xargs mkdir -p)
    chown -R $MAILUID:$MAILUID "$MAIL"; chmod -R go-rwx "$MAIL"; chmod 755 "$MAIL"
}
clean_mail() { # moved aside, not deleted: mass deletes slow the file system's next files down
    [ -e "$MAIL" ] || return 0
    mkdir -p "$STATE/old"; mv "$MAIL" "$STATE/old/$PEER.$$.$EPOCHREALTIME"; make_mail
}

pss() { # pss PID...: "kB processes"
    local f=(); for p; do f+=("/proc/$p/smaps_rollup"); done
    cat "${f[@]}" 2>/dev/null | awk '/^Pss:/{s+=$2;n++} END{print s+0,n+0}'
}
