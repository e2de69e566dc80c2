#!/bin/sh
# Train on one GPU for a few minutes: the UNet in the foreground, other networks beside it where they are named.
#
#   tools/pocket/gpu.sh OUT [MINUTES [decoder] [clip] [mask] [judge]]
#
# OUT gets the weights in half precision, in files under 16 MiB, and log.txt. MINUTES (8) are of training: loading
# comes before it, a few seconds of writing after it. Runs on the packed folder $PACKED (by default .pocket, made by
# `python -m tools.pocket.pack --to .pocket`) and goes on in $POCKET_WORK (.pocket-work) when run there again.
#
#   UNET="..."     options of train_live, e.g. "--early 0.3 --cooldown 0.6 --batch 2048"
#   DECODER, CLIP, MASK, JUDGE="..."  options of the others
#   MPS=1          run CUDA's multi-process service meanwhile, so that processes share the GPU at the same time
set -eu
out=${1:?folder for the weights}
minutes=${2:-8}
[ $# -ge 2 ] && shift 2 || shift 1
python=${PYTHON:-python}
export POCKET_WORK="${POCKET_WORK:-$PWD/.pocket-work}"
mkdir -p "$out" "$POCKET_WORK"
begun=$(date +%s) status=0

if [ "${MPS:-0}" = 1 ] && command -v nvidia-cuda-mps-control >/dev/null; then
    CUDA_MPS_PIPE_DIRECTORY=$(mktemp -d)
    CUDA_MPS_LOG_DIRECTORY=$CUDA_MPS_PIPE_DIRECTORY
    export CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
    nvidia-cuda-mps-control -d
    trap 'echo quit | nvidia-cuda-mps-control' EXIT
fi

"$python" -m tools.pocket.pack --from "${PACKED:-.pocket}" >"$out/log.txt"

# Minutes left of those asked for.
left() { "$python" -c "import time; print(max(0.05, $minutes - (time.time() - $begun) / 60))"; }
# What follows needs a UNet that draws: the packed one, or the one in training after its first checkpoint.
unet_there() { until [ -f "$POCKET_WORK/checkpoints/unet.pt" ]; do sleep 1; done; }

for name in "$@"; do
    case $name in
    decoder) (
        unet_there
        # shellcheck disable=SC2086
        "$python" -m tools.pocket.train_decoder --unet unet --minutes "$(left)" --out "$out" ${DECODER:---batch 48}
    ) ;;
    clip) (
        unet_there
        for held in "" --held-out; do
            [ -f "$POCKET_WORK/drawings${held:+-held-out}.pt" ] || "$python" -m tools.pocket.drawings --unet unet $held
        done
        # shellcheck disable=SC2086
        "$python" -m tools.pocket.train_clip --minutes "$(left)" --out "$out" ${CLIP:---batch 256 --drawn 48}
    ) ;;
    # shellcheck disable=SC2086
    mask) "$python" -m tools.pocket.train_mask --minutes "$(left)" --out "$out" ${MASK:---batch 96} ;;
    # shellcheck disable=SC2086
    judge) "$python" -m tools.pocket.train_judge --minutes "$(left)" --out "$out" ${JUDGE:---batch 256} ;;
    *) echo "There is no training called $name: decoder, clip, mask or judge." ;;
    esac >"$out/$name.txt" 2>&1 &
done

# shellcheck disable=SC2086
"$python" -m tools.pocket.train_live --minutes "$minutes" --out "$out" ${UNET:-} >>"$out/log.txt" 2>&1 || status=$?
wait
for name in "$@"; do
    echo "== $name" >>"$out/log.txt"
    cat "$out/$name.txt" >>"$out/log.txt"
    rm "$out/$name.txt"
done
tail -n 3 "$out/log.txt"
exit "$status"
