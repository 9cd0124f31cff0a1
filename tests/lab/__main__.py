from __future__ import annotations

import sys

from tests.lab.cli import main

sys.exit(main())
