#!/usr/bin/env bash
# numba 0.68.0: after a class has been renamed, a function that was compiled with cache=True can no longer be called.
# What a cache holds is thrown away when the source file is newer; so an author may rename the named tuple that a
# function takes, and expect that the next call compiles anew, as after any other edit. But the index of the cache is
# unpickled before its date is looked at, and it names the class: the call ends in an AttributeError that names neither
# the cache nor a file to delete. Whoever pulls a new version of a sampler into an old clone meets it, and its author,
# whose continuous integration starts from a clean one, does not.
#
#   a named tuple Plan, a function compiled for it; then "Plan" becomes "Rounds" in file and caller
#   seen, first version:                       3
#         the same with one more comment:      3   (compiled anew)
#         the same with the class renamed:     AttributeError: Can't get attribute 'Plan' on <module 'loops' …>
#         and after __pycache__ is gone:       3
#
# Source: numba/core/caching.py (IndexDataCacheFile._load_index) of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "numba==0.68.0" "numpy==2.5.5"
cd "$folder"
cat > loops.py <<'PYTHON'
from typing import NamedTuple

from numba import njit


class Plan(NamedTuple):
    rounds: int


@njit(cache=True)
def run(plan):
    return plan.rounds
PYTHON
echo "import loops; print(loops.run(loops.Plan(3)))" > call.py

call() { { "$folder/env/bin/python" call.py 2>&1 || true; } | tail -1; }

echo "numba $("$folder/env/bin/python" -c 'import numba; print(numba.__version__)')"
first=$(call)
sleep 1.1
echo "# one more comment" >> loops.py
edited=$(call)
sleep 1.1
sed -i 's/Plan/Rounds/' loops.py call.py
renamed=$(call)
rm -r __pycache__
cleaned=$(call)
printf '%s\n' "first: $first" "edited: $edited" "renamed: $renamed" "cleaned: $cleaned"
[ "$first" = 3 ] && [ "$edited" = 3 ] && [ "$cleaned" = 3 ]
[[ "$renamed" == *"AttributeError: Can't get attribute 'Plan'"* ]]
