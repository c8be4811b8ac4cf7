"""`python3 -IS .../pydock_runtime VERB ...`: the runtime without an installation. Run by pydockd and by hand."""

import os
import sys

# Python puts this folder first on the path, where its modules would be found under the wrong names.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from pydock_runtime.cli import main  # noqa: E402 - the path comes first

sys.exit(main())
