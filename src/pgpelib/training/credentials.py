"""Detection of passwords on command lines and in configs, where they do not belong."""

from __future__ import annotations

import re

HINT = (
    "other users of this machine can read it; put it in an environment variable and "
    "write $NAME instead"
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?P<rest>\S+)", re.IGNORECASE)
# USER:PASSWORD@HOST, which programs also accept without a scheme.
_PLAIN = re.compile(r"(?:-+\w+=)?(?P<rest>[\w.%+-]*:\S*@\S+)")
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)")
# Parameters of database URLs such as tlsCertificateKeyFilePassword.
_SECRET_PARAMETER = re.compile(
    r"[?&][\w.-]*(?:password|secret|token)[\w.-]*=(?P<value>[^&#]*)", re.IGNORECASE
)


def has_literal_password(text: str) -> bool:
    """Return whether a text is a URL, or `USER:PASSWORD@HOST`, with a password in it.

    `$NAME` and `${NAME}` refer to environment variables and do not count as passwords.
    Passwords with characters that are not allowed in URLs, such as `/`, do count.

    Parameters
    ----------
    text
        A command-line argument or a value from a config.
    """
    match = _URL.search(text) or _PLAIN.fullmatch(text)
    if match is None:
        return False
    values = [found["value"] for found in _SECRET_PARAMETER.finditer(match["rest"])]
    return _is_literal(*_userinfo(match["rest"]), *values)


def _userinfo(text: str) -> tuple[str, ...]:
    """Return the password before the last `@`, if there is one."""
    before, at, _ = text.rpartition("@")
    _, colon, password = before.partition(":")
    return (password,) if at and colon else ()


def _is_literal(*values: str) -> bool:
    return any(value and not _VARIABLE.fullmatch(value) for value in values)
