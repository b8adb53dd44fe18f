"""Who may use a Ray cluster that this process starts.

Ray's ports run what they are sent. It reads these settings when it is imported, so both
functions must be called before.
"""

from __future__ import annotations

import os
import secrets


def require_own_token() -> None:
    """Admit only those who know a new token: this process and its children."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def stay_on_this_machine() -> None:
    """Have a cluster of one machine listen on loopback only, and ask for a token."""
    require_own_token()
    # "No cluster of several machines", which is the default on other systems; Ray
    # resolves an explicit address 127.0.0.1 to one that others can reach.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
