import sys

from punks.cli import main

sys.exit(main())
