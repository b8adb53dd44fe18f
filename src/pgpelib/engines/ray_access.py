"""Access control for Ray clusters that this process starts.

Ray executes whatever its ports receive. It reads these settings when it is imported, so
call both functions before that.
"""

from __future__ import annotations

import os
import secrets


def require_own_token() -> None:
    """Require a new random token, which only this process and its children know."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def stay_on_this_machine() -> None:
    """Make a single-machine cluster listen on loopback only, and require a token."""
    require_own_token()
    # Despite its name, the variable disables multi-node clusters on Linux, too. An
    # explicit 127.0.0.1 would not do: Ray resolves it to an address that other
    # machines can reach.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
