#!/bin/bash
# run.sh [-p "postfix exim opensmtpd"] [-t "in_new in_reuse ..."] [-r ROUNDS] [-o FILE.tsv]
# Runs each test for all peers in turn, ROUNDS times (A B C A B C), and appends rows
# "test peer round metric value" to FILE; report.py makes tables of it. Sizes: N=5000 and others below.
[ "$_BENCH" ] || { export _BENCH=1; exec setsid -w bash "$0" "$@"; }   # no signal reaches the caller's group
cd "$(dirname "$0")"; . ./lib.sh
PEERS="postfix tassis" ROUNDS=3 OUT=$STATE/results.tsv
TESTS="in_new in_reuse in_new5q relay_new5q relay_reuse latency idle raw tls tls_hs multi big syscalls queue"
while getopts p:t:r:o: o; do case $o in p) PEERS=$OPTARG;; t) TESTS=$OPTARG;; r) ROUNDS=$OPTARG;; o) OUT=$OPTARG;; *) exit 2;; esac; done
: "${N:=5000}" "${SIZE:=4096}" "${SESS:=20}" "${QN:=10000}" "${IDLE:=1000}" "${TLSN:=2000}" "${BIG:=26214400}"
ulimit -n 100000 2>/dev/null || ulimit -n "$(ulimit -Hn)"

SINK_PID=
sink_start() { # sink_start [smtp-sink option...]: the next hop, verified to answer
    smtp-sink -u nobody -m 1000 "$@" 127.0.0.1:$SINK 1000 & SINK_PID=$!
    wait_port $SINK 5 && kill -0 $SINK_PID 2>/dev/null || { row error "the sink does not answer"; return 1; }
}
sink_stop() { kill $SINK_PID 2>/dev/null; wait $SINK_PID 2>/dev/null; SINK_PID=; }
sink_wait() { # sink_wait TENTHS: until the sink has had all its messages (-M); false if it did not end by itself with status 0
    local i; for ((i = 0; i < $1; i++)); do kill -0 $SINK_PID 2>/dev/null || break; sleep 0.1; done; SINK_END=$EPOCHREALTIME
    kill -0 $SINK_PID 2>/dev/null && { sink_stop; return 1; }
    wait $SINK_PID
}

row() { printf '%s\t%s\t%s\t%s\t%s\n' "$T" "$PEER" "$R" "$1" "$2" >> "$OUT"; }
calc() { awk "BEGIN{printf \"%.3f\", $1}"; }
field() { grep -o " $1 [0-9.]*" <<< " $2" | awk '{print $2}'; }
busy() { awk '/^cpu /{print ($2+$3+$4+$7+$8)*10}' /proc/stat; }    # ms of CPU, whole machine
up() { p_setup; : > "$ST/log/start"; sync; p_start; wait_port "$PORT" 30 || { row error "does not start"; p_stop; return 1; }; sleep 0.5; }
down() { p_stop; p_wipe; [ $LOCAL = 0 ] || clean_mail; }
warm() { "$BIN/smtpload" -p "$PORT" -s 10 -m 200 -u 200 -d 1 -q > /dev/null; for _ in {1..150}; do [ "$(p_queue)" = 0 ] && break; sleep 0.2; done; sync; sleep 0.5; }
watch_start() { coproc W { exec "$BIN/mdwatch" "$MAIL" "$1" "${2:-180}"; }; exec {WF}<&"${W[0]}"; read -r _ <&$WF; }
watch_end() { read -r _ LAST SEEN <&$WF; exec {WF}<&-; }

inbound() { # inbound MESSAGES COPIES CLIENT...: times a client until all copies are in Maildirs
    local n=$1 k=$2 t0 t1 b0 b1; shift 2
    [ $LOCAL = 1 ] || return 0
    up || return; warm; watch_start $((n * k)); b0=$(busy); t0=$EPOCHREALTIME
    "$@" > "$STATE/client.out" 2>&1 || row error "$(tail -c 100 "$STATE/client.out" | tr '\t\n' '  ')"
    t1=$EPOCHREALTIME; watch_end; b1=$(busy)
    row accepted_per_s "$(calc "$n/($t1-$t0)")"; row copies "$SEEN"
    row delivered_per_s "$(calc "$SEEN/($LAST-$t0)")"; row cpu_ms_per_msg "$(calc "($b1-$b0)/$n")"
    down
}
t_in_new() { inbound $N 1 smtp-source -s $SESS -m $N -l $SIZE -N -f s@src.test -t "u@$DOMAIN" 127.0.0.1:$PORT; }
t_in_reuse() { inbound $N 1 smtp-source -d -s $SESS -m $N -l $SIZE -N -f s@src.test -t "u@$DOMAIN" 127.0.0.1:$PORT; }
t_in_new5q() { inbound $N 1 "$BIN/smtpload" -p $PORT -s 5 -m $N -l $SIZE -u $USERS -d 1 -q; }   # does not wait for the reply to QUIT
t_multi() { inbound 500 50 smtp-source -s $SESS -m 500 -r 50 -l $SIZE -f s@src.test -t "u@$DOMAIN" 127.0.0.1:$PORT; }

t_relay() {
    local t0 t1 b0 b1
    # one sink for the warm-up's 200 and the N: a sink restarted between them looks like a failed next hop
    sink_start -M $((N + 200)) || return; up || { sink_stop; return; }; "$BIN/smtpload" -p $PORT -s 5 -m 200 -t ext.test -q > /dev/null || row error "warm-up"
    for _ in {1..150}; do [ "$(p_queue)" = 0 ] && break; sleep 0.2; done; sync; sleep 1
    b0=$(busy); t0=$EPOCHREALTIME
    "${RELAY_CLIENT[@]}" > "$STATE/client.out" 2>&1 || row error "$(tail -c 100 "$STATE/client.out" | tr '\t\n' '  ')"
    t1=$EPOCHREALTIME
    if sink_wait 1800; then row relayed_per_s "$(calc "$N/($SINK_END-$t0)")"; else row error "sink: not all came; queued $(p_queue)"; fi; b1=$(busy)
    row accepted_per_s "$(calc "$N/($t1-$t0)")"; row cpu_ms_per_msg "$(calc "($b1-$b0)/$N")"
    down
}
t_relay_new5q() { RELAY_CLIENT=("$BIN/smtpload" -p $PORT -s 5 -m $N -l $SIZE -t ext.test -d 1 -q); t_relay; }
t_relay_reuse() { RELAY_CLIENT=(smtp-source -d -s $SESS -m $N -l $SIZE -N -f s@src.test -t u@ext.test 127.0.0.1:$PORT); t_relay; }

t_latency() { # sequential, one message alone; then with the time until the file shows in the Maildir
    local o
    up || return; warm
    if [ $LOCAL = 1 ]; then o=$("$BIN/smtpload" -p $PORT -s 1 -m 500 -l $SIZE -u 1 -d 1 -q -W "$MAIL/1u/new")
    else o=$("$BIN/smtpload" -p $PORT -s 1 -m 500 -l $SIZE -t ext.test -d 1 -q); fi
    for m in data_p50 data_p99 vis_p50 vis_p99 fail; do [ "$(field $m "$o")" ] && row ${m}_ms "$(field $m "$o")"; done
    o=$("$BIN/smtpload" -p $PORT -s 1 -m 50 -l $SIZE -u 1 -d 1); row quit_reply_p50_ms "$(field lat_p50 "$o")"; sleep 1
    down
}

t_idle() { # IDLE: numbers of idle connections; PROCS lets process-per-connection servers hold them
    local n p0 p1 o b h
    for n in $IDLE; do
        PROCS=$((n + 50)); up || return; sleep 1; p0=($(pss $(p_pids)))
        coproc C { exec "$BIN/idleconns" $PORT $n 120 4; }; read -r o <&"${C[0]}"; sleep 1; p1=($(pss $(p_pids)))
        h=$(field held "$o"); row "$n:held" "$h"; row "$n:open_secs" "$(field secs "$o")"
        row "$n:pss_kib_before" "${p0[0]}"; row "$n:procs_before" "${p0[1]}"; row "$n:pss_kib_with" "${p1[0]}"; row "$n:procs_with" "${p1[1]}"
        row "$n:bytes_per_conn" "$(calc "(${p1[0]}-${p0[0]})*1024/$n")"
        b=$(for _ in 1 2 3 4 5; do "$BIN/idleconns" $PORT 1 10 </dev/null | sed 's/.*secs //'; done | sort -n | sed -n 3p); row "$n:banner_s" "$b"
        row "$n:msg_ok_of_20" "$(o=$("$BIN/smtpload" -p $PORT -s 1 -m 20 -u 20 -d 1 -t "$DOMAIN" -q); echo $((20 - $(field fail "$o"))))"
        eval "exec ${C[1]}>&-"; wait "$C_PID" 2>/dev/null; sleep 0.5; unset PROCS; down
    done
}

t_raw() { # limits of the disk and of the dialog; once per round, under the name "machine"
    local o t0 v; [ "$PEER" = "${PEERS%% *}" ] || return 0
    local PEER=machine
    for v in 1:2000 20:20000; do rm -rf "$STATE/fs"; sync; o=$("$BIN/fsyncbench" "$STATE/fs" ${v%:*} ${v#*:})
        row fsync_t${v%:*}_per_s "$(field per_s "$o")"; row fsync_t${v%:*}_p50_ms "$(field p50_ms "$o")"; row fsync_t${v%:*}_p99_ms "$(field p99_ms "$o")"; done; rm -rf "$STATE/fs"
    for v in new reuse newq; do
        sink_start || return; t0=$EPOCHREALTIME
        case $v in new) smtp-source -s $SESS -m 20000 -l $SIZE -f s@src.test -t u@x.test 127.0.0.1:$SINK;; reuse) smtp-source -d -s $SESS -m 20000 -l $SIZE -f s@src.test -t u@x.test 127.0.0.1:$SINK;;
            newq) "$BIN/smtpload" -p $SINK -s $SESS -m 20000 -l $SIZE -d 1 -q > /dev/null;; esac
        row dialog_${v}_per_s "$(calc "20000/($EPOCHREALTIME-$t0)")"; sink_stop
    done
}

t_tls() { # STARTTLS with a full handshake, one message, per connection; 20 at a time
    local o b0 b1 u; up || return; "$BIN/smtpload" -p $PORT -s 1 -m 1 -T -d 1 -u 20 > /dev/null || { row error "no TLS"; down; return; }; warm; b0=$(busy)
    TIMEFORMAT='%U %S'; { time o=$("$BIN/smtpload" -p $PORT -s $SESS -m $TLSN -l $SIZE -T -d 1 -q "$@"); } 2> "$STATE/time.out"; b1=$(busy)
    row per_s "$(field per_s "$o")"; row lat_p50_ms "$(field lat_p50 "$o")"; row lat_p99_ms "$(field lat_p99 "$o")"; row fail "$(field fail "$o")"
    row client_cpu_ms_per_conn "$(awk -v n=$TLSN '{printf "%.3f",($1+$2)*1000/n}' "$STATE/time.out")"; row cpu_ms_per_conn "$(calc "($b1-$b0)/$TLSN")"
    for _ in {1..150}; do [ "$(p_queue)" = 0 ] && break; sleep 0.2; done; down
}
t_tls_hs() { t_tls -H; }

t_big() { # one message of 25 MiB, five times
    local o max=0 m p c; up || return; warm
    "$BIN/smtpload" -p $PORT -s 1 -m 5 -l $BIG -u 5 -d 1 -q > "$STATE/big.out" & c=$!
    while kill -0 $c 2>/dev/null; do m=$(for p in $(p_pids); do cat /proc/$p/status 2>/dev/null; done | awk '/^VmHWM/{if($2>m)m=$2} END{print m+0}'); ((m > max)) && max=$m; sleep 0.03; done
    o=$(<"$STATE/big.out"); row accept_mb_per_s "$(calc "5*$BIG/1e6/$(field secs "$o")")"; row fail "$(field fail "$o")"
    for _ in {1..300}; do [ "$(p_queue)" = 0 ] && break; sleep 0.1; done
    m=$(for p in $(p_pids); do cat /proc/$p/status 2>/dev/null; done | awk '/^VmHWM/{if($2>m)m=$2} END{print m+0}'); ((m > max)) && max=$m
    row peak_rss_kib_any_process "$max"; down
}

t_syscalls() { # all system calls of all the server's processes for 500 messages (slow: strace; no timing)
    local s n=500 f=$STATE/strace; [ $LOCAL = 1 ] || return 0; up || return; warm; rm -f "$f".*
    strace -f -c -qq -o "$f.sum" $(p_pids | sed 's/^/-p /') & s=$!; sleep 2; watch_start $n 300
    smtp-source -s 5 -m $n -l $SIZE -N -f s@src.test -t "u@$DOMAIN" 127.0.0.1:$PORT; watch_end; sleep 3; kill -INT $s; wait $s 2>/dev/null
    awk -v n=$n '$NF=="total"{print "total",$(NF-1)~/^[0-9]+$/?($3):0} ' "$f.sum" > /dev/null
    awk '/^ *[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9]+/ {print $NF, $4}' "$f.sum" | while read -r k c; do
        case $k in total) row syscalls_per_msg "$(calc "$c/$n")";; fsync|fdatasync|rename|link|unlink|openat|clone|clone3|vfork|execve|write|writev|read|close|fchmod|futex|poll|epoll_wait|connect|accept|sendto|recvfrom|sendmsg|recvmsg|fcntl|flock|mkdir|newfstatat|alarm|rt_sigaction) row "$k" "$(calc "$c/$n")";; esac; done
    cp "$f.sum" "$STATE/strace.$PEER.txt"; down
}

t_queue() { # QN messages for a next hop that refuses; restart; list; then the next hop comes back and all is flushed
    local t0 q; up || return; t0=$EPOCHREALTIME
    "$BIN/smtpload" -p $PORT -s $SESS -m $QN -l $SIZE -t ext.test -d 100 -q > /dev/null; row inject_per_s "$(calc "$QN/($EPOCHREALTIME-$t0)")"; sleep 10
    p_stop; sync; q=$(p_queue); row queued "$q"; t0=$EPOCHREALTIME; p_start; wait_port $PORT 120; row restart_s "$(calc "$EPOCHREALTIME-$t0")"; sleep 5
    row all_rss_kib "$(for p in $(p_pids); do cat /proc/$p/status 2>/dev/null; done | awk '/^VmRSS/{s+=$2} END{print s}')"; q=($(pss $(p_pids))); row all_pss_kib "${q[0]}"
    row manager_rss_kib "$(for p in $(p_qmgr); do cat /proc/$p/status 2>/dev/null; done | awk '/^VmHWM/{if($2>m)m=$2} END{print m}')"
    t0=$EPOCHREALTIME; row listed_lines "$(p_list | wc -l)"; row list_s "$(calc "$EPOCHREALTIME-$t0")"
    sink_start -M $QN || { down; return; }; t0=$EPOCHREALTIME; p_flush > /dev/null 2>&1 &
    if sink_wait 2400; then row flush_per_s "$(calc "$QN/($SINK_END-$t0)")"; else row error "flush: not all came in 240 s, $(p_queue) left"; fi; down
}

for T in $TESTS; do for R in $(seq 1 "$ROUNDS"); do for p in $PEERS; do
    load_peer "$p"; echo "$(date +%T) $T round $R $p" >&2; "t_$T"
done; done; done
