#!/usr/bin/env bash
# The whole of probity in one go, on loopback: build, start the simulated
# hospital, read a capture, scan, report, verify, stop. Leaves demo/ to look at.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in go gcc make git; do
  command -v "$tool" >/dev/null || { echo "demo: $tool is missing; install it first (Debian: apt-get install gcc make git; Go from go.dev)" >&2; exit 2; }
done
if ! GOFLAGS=-mod=readonly GOPROXY=off go list -deps ./cmd/probity >/dev/null 2>&1; then
  echo "demo: installing what is missing: Go modules, into your module cache"
  go mod download
fi
echo "demo: building bin/probity (the first time compiles SQLite, about a minute)"
make --no-print-directory build

rm -rf demo
mkdir demo
lab=
stop() {
  if [ -n "$lab" ]; then
    kill "$lab" 2>/dev/null || true
    wait "$lab" 2>/dev/null || true
  fi
}
trap stop EXIT

step() { printf '\n== %s\n' "$*"; printf '   $ %s\n' "$cmd"; }
# run CODES COMMAND...: run it, and accept only exit codes of the list.
run() {
  local want=$1 code=0
  shift
  cmd="$*"
  step "$title"
  "$@" || code=$?
  case " $want " in
    *" $code "*) ;;
    *) echo "demo: exit status $code, expected one of: $want" >&2; exit 1 ;;
  esac
}

echo
echo "== start a simulated hospital of 60 devices on 127.0.0.0/8 (nothing leaves this machine)"
mkfifo demo/.ready
bin/probity lab --devices 60 --seed 1 --dir demo/lab >demo/.ready 2>demo/lab.log &
lab=$!
if ! read -r line <demo/.ready; then
  echo "demo: the lab did not start:" >&2
  cat demo/lab.log >&2
  exit 1
fi
echo "   $line"
rm demo/.ready

db=demo/evidence.db
title="read a capture: DICOM over TLS with client certificates, seen by a listener"
run "0 1 3" bin/probity read fixtures/data/captures/live_dicom_tls12_dcmtk_mtls.pcap --db $db --policy demo/lab/policy.yaml --quiet

title="plan: what a scan would send (first lines)"
cmd="bin/probity plan --targets demo/lab/targets.txt --output demo/plan.txt"
step "$title"
$cmd
head -8 demo/plan.txt
tail -4 demo/plan.txt

# The lab is no device: it may be asked faster than the default of 2 a second.
title="scan the lab"
run "0 1 3" bin/probity scan --targets demo/lab/targets.txt --policy demo/lab/policy.yaml --db $db \
  --rate 1000 --asset-rate 50 --authority "demo on loopback" --checkpoint-out demo/checkpoint.txt --quiet

title="findings"
run "0" bin/probity report --db $db --max 25
title="what devices share that they must not"
run "0" bin/probity duplicates --db $db
title="the same as one HTML page"
run "0" bin/probity report --db $db --format html --output demo/report.html
title="verify the evidence with the pinned key and the checkpoint that the scan gave out"
run "0" bin/probity verify --db $db --pubkey $db.key.pub --checkpoint demo/checkpoint.txt

echo
echo "done: look at demo/report.html, query demo/evidence.db with sqlite3 (docs/contract/views.md), read demo/plan.txt"
