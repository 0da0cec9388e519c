"""``python -m routerlab``."""

import sys

from .cli import main

sys.exit(main())
