from __future__ import annotations

import sys

from tests.fakecloud.cli import main

sys.exit(main())
