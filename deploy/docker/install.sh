#!/bin/sh
# Makes an environment at $1 with the packages pinned in $2 and the wheel in the folder $3. There is no pip in it.
#
# Byte code is compiled here: a container with a read-only root could not keep it and would compile at each start. It is
# `unchecked`, since the sources never change.
set -eu
target=$1 pins=$2 wheels=$3
export PIP_DISABLE_PIP_VERSION_CHECK=1

python -m venv --without-pip "$target"
python -m pip --python "$target/bin/python" install --quiet --no-deps --no-compile --require-hashes -r "$pins"
python -m pip --python "$target/bin/python" install --quiet --no-deps --no-compile --no-index "$wheels"/*.whl
"$target/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$target/lib"
