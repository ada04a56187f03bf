#!/usr/bin/env bash
# ALminer pins an old pyvo, so it is installed without what it asks for; the environment has newer ones that work.
set -euo pipefail
python -m pip install --quiet --no-deps alminer==0.1.3
