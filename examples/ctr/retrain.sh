#!/usr/bin/env bash
# What plumb on-trigger runs when a model has become worse: the trigger is on the standard input.
exec "$PLUMB_CTR_PYTHON" "$(dirname "${BASH_SOURCE[0]}")/train.py"
