"""`python -m caravan`: the command line."""

import sys

from caravan.cli.main import main

sys.exit(main())
