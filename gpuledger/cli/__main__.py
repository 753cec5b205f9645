"""`python -m gpuledger.cli` is the `gpuledger` command."""

from __future__ import annotations

import sys

from gpuledger.cli.main import main

sys.exit(main())
