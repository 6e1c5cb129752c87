"""`python -m lamella` is the command `lamella`."""

from __future__ import annotations

import sys

from lamella.cli import main

sys.exit(main())
