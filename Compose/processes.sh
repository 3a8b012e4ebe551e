# shellcheck shell=bash
# Helper processes of a script: each is gone when the script is, however that ends. Sourced; expects `folder`, where their logs go.

# Becomes a command that the system signals when this script dies, even if that was before it could be asked to.
attached() { # SIGNAL COMMAND...
  exec setpriv --pdeathsig "$1" bash -c '[[ $PPID == "$0" ]] && exec "$@"' $$ "${@:2}"
}

# Each helper is in a session of its own, so that Ctrl-C reaches this script alone and it can stop them in order.
declare -A pids=()
launch() { # NAME COMMAND...: runs it in the background, with its output in the folder
  local name=$1
  shift
  : > "$folder/$name.log"
  attached KILL setsid "$@" > "$folder/$name.log" 2>&1 &
  pids[$name]=$!
}

stop() { # NAME: lets it end in its own way, but not for ever
  local pid=${pids[$1]:-}
  [[ -n "$pid" ]] || return 0
  unset "pids[$1]"
  kill -TERM "$pid" 2> /dev/null || true
  for _ in {1..300}; do
    kill -0 "$pid" 2> /dev/null || return 0
    sleep 0.05
  done
  kill -KILL "$pid" 2> /dev/null || true
}

finish() { # NAME: the same; its exit status. Not in a trap: bash may wait there for a process that has gone.
  local pid=${pids[$1]}
  stop "$1"
  wait "$pid"
}

await() { # NAME PATTERN: waits for a line in a helper's log and prints what the pattern's group matches
  local found
  for _ in {1..600}; do
    found=$(sed -nE "s/.*$2.*/\1/p" "$folder/$1.log" | head -n 1)
    if [[ -n "$found" ]]; then
      echo "$found"
      return
    fi
    kill -0 "${pids[$1]}" 2> /dev/null || fail "$1 has ended"
    sleep 0.05
  done
  fail "$1 has not started within 30 s"
}
