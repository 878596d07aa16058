#!/usr/bin/env bash
# Starts the release server on the default model, streams one answer into the terminal and keeps the server up until
# ctrl-C. Settings are the server's own: PORT=9000 make run, a .env file, and so on.
set -uo pipefail
cd "$(dirname "$0")/.."

binary=build/release/sutazai
log=build/run.log
server=
status=0

end_server() {
    trap '' INT TERM HUP
    if [ -n "$server" ] && kill -0 "$server" 2> /dev/null; then
        echo
        echo "Stopping"
        kill -TERM "$server"
        wait "$server" || status=$?
        server=
    fi
    exit "$status"
}
trap end_server INT TERM HUP

stop_with() {
    echo "$1" >&2
    tail -n 20 "$log" >&2
    status=1
    end_server
}

# A session of its own: ctrl-C reaches this script alone, and the server gets exactly one signal.
: > "$log"
setsid "$binary" serve >> "$log" 2>&1 < /dev/null &
server=$!

echo "Starting the server (log: $log)"
url=
until [ -n "$url" ] && curl --silent --fail --output /dev/null --max-time 2 "$url/ready"; do
    kill -0 "$server" 2> /dev/null || { wait "$server"; stop_with "The server ended before it was ready (exit code $?):"; }
    sleep 0.1
    url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$log" | head -n 1)
done

# One more line for those who set API keys; the first key will do.
authorisation=()
key=${API_KEYS:-${ADMIN_API_KEYS:-}}
if [ -n "$key" ]; then authorisation=(-H "Authorization: Bearer ${key%%,*}"); fi

question=${QUESTION:-What does BATCH_SIZE do?}
body=$(jq -cn --arg question "$question" '{messages: [{role: "user", content: $question}], max_tokens: 200}')
echo
echo "> $question"
answer=$(mktemp)
curl --silent --no-buffer "${authorisation[@]}" -H 'Content-Type: application/json' -d "$body" \
    "$url/api/v1/streaming/chat/stream" | tee "$answer" | sed -un 's/^data: //p' |
    jq --unbuffered -j 'if .type == "chunk" then .content elif .type == "error" then "\(.)\n" else empty end'
echo
grep -q '"complete"' "$answer" || { cat "$answer" >&2; rm -f "$answer"; stop_with "The answer did not complete:"; }
rm -f "$answer"

cat << END

The server is up at $url. Ask it something:

  curl -N ${authorisation[0]:+-H 'Authorization: Bearer KEY' }$url/api/v1/streaming/chat/stream -H 'Content-Type: application/json' \\
    -d '{"messages": [{"role": "user", "content": "How do I tune for low latency?"}]}'

ctrl-C ends it.
END

wait "$server" || status=$?
server=
if [ "$status" -ne 0 ]; then stop_with "The server ended by itself (exit code $status):"; fi
