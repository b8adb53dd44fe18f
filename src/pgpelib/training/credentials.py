"""Passwords that do not belong on command lines and in configs."""

from __future__ import annotations

import re

HINT = (
    "others on this machine can read it; put it in an environment variable and "
    "write $NAME in its place"
)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?P<rest>\S+)", re.IGNORECASE)
# USER:PASSWORD@HOST, which programs take without a scheme, too.
_PLAIN = re.compile(r"(?:-+\w+=)?(?P<rest>[\w.%+-]*:\S*@\S+)")
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)")
# Parameters of database URLs such as tlsCertificateKeyFilePassword.
_SECRET_PARAMETER = re.compile(
    r"[?&][\w.-]*(?:password|secret|token)[\w.-]*=(?P<value>[^&#]*)", re.IGNORECASE
)


def has_literal_password(text: str) -> bool:
    """Return whether a URL, or what stands for one, has a password in it.

    `$NAME` and `${NAME}` stand for environment variables and are not passwords. A
    password with a character that URLs do not allow there, such as `/`, counts, too.

    Parameters
    ----------
    text
        An argument or a value of a config.
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
