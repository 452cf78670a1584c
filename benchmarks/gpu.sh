#!/bin/sh
# What waits for a GPU: benchmarks/gpu.sh [OUT [STEP...]]. All steps by default, in the order of what
# they tell. Each is interrupted after MINUTES and goes on from what it has kept when it is called
# again; what it prints is in OUT/STEP.log as well.
set -eu
OUT=${1:-gpu-results}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- tests resume speed compiled public scoring source sweep
MINUTES=${MINUTES:-9}
JOBS=${JOBS:-16}
PYTHON=${PYTHON:-python3}
export FSGAN_BENCH_DEVICE="${DEVICE:-cuda}" FSGAN_BENCH_TEST_DEVICE="${DEVICE:-cuda}"
mkdir -p "$OUT"

bench="$PYTHON -m fsgan_bench"
command_of() {
    case $1 in
        tests) echo "$PYTHON -m pytest -n $JOBS --dist loadfile --no-loadscope-reorder -q" ;;
        resume) echo "for m in tgan bsa freezed minegan ewc cdc dcl; do $bench check \$m; done" ;;
        speed) echo "$PYTHON benchmarks/methods_256.py --iterations 20" ;;
        compiled) echo "$PYTHON benchmarks/methods_256.py --iterations 20 --compile" ;;
        public) echo "$PYTHON benchmarks/run.py --only cdc --out $OUT/public.json" ;;
        scoring) echo "$PYTHON benchmarks/run.py --only intra-lpips,scoring --out $OUT/scoring.json" ;;
        source) echo "$bench pretrain --data faces --batch 64 --iterations 100000 --out $OUT/source" ;;
        sweep) echo "$bench run --methods all --target sunglasses,watercolours,sketches,ink" \
            "--seeds 0-2 --budget standard --jobs $JOBS --out $OUT/results" ;;
        *) echo "There is no step $1." >&2; exit 2 ;;
    esac
}

# Cells at a time share the GPU by a daemon of its driver, which changes no setting of it.
share_gpu() {
    command -v nvidia-cuda-mps-control >/dev/null || return 0
    nvidia-cuda-mps-control -d && trap 'echo quit | nvidia-cuda-mps-control' EXIT || true
}

for name; do
    echo "== $name"
    [ "$name" != sweep ] || share_gpu
    command=$(command_of "$name")
    { timeout -s INT -k 30 "${MINUTES}m" sh -c "$command" || echo "$name ended with status $?"; } 2>&1 |
        tee "$OUT/$name.log"
done
