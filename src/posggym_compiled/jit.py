"""Compiling kernels with Numba, cached on disk for later processes.

Numba notices when the file of a cached function changes, but not when a function that
it calls does. All kernels therefore share a cache folder that is named by a digest of
this package's sources: any change compiles again, and versions that are installed side
by side do not disturb each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba.core import caching, config
from numba.core.compiler_lock import global_compiler_lock
from numba.misc.appdirs import AppDirs

PACKAGE = pathlib.Path(__file__).parent

# Floats keep IEEE 754's rules and the order of the source, so the bits of a result do
# not depend on the processor; division by zero gives an infinity instead of a branch.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    # Said explicitly, because it is inherited from callers otherwise.
    "_nrt": True,
}
# Without Numba's runtime there are no reference counts, which take most of the time of
# code that looks at parts of small arrays; such code cannot make arrays.
LEAN = {**OPTIONS, "_nrt": False}
# Helpers cannot be called from Python, which saves a fifth of the time of compiling.
HELPER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# For what is called once or is short: a call costs dozens of arguments, because arrays
# are passed field by field.
INLINED = {**LEAN, **HELPER, "forceinline": True}


@functools.cache
def sources_digest() -> str:
    """Return a digest of all sources of this package."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_folder() -> pathlib.Path:
    """Return the folder of the cached kernels of these sources.

    It is below `NUMBA_CACHE_DIR` where that is set, and in the user's cache otherwise.
    """
    base = config.CACHE_DIR or AppDirs("posggym_compiled", False).user_cache_dir
    return pathlib.Path(base) / f"posggym_compiled-{sources_digest()[:16]}"


class _Locator(caching._CacheLocator):
    """Tells Numba where to keep a kernel, and what its freshness depends on."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._name = f"{pathlib.Path(py_file).stem}-{py_func.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return sources_digest()

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 (Numba's own attribute)


class _Cache(caching.Cache):
    """A cache that is left out wherever its folder cannot be read or written."""

    _impl_class = _CacheImpl

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._lock_name = f"{function.__module__}.{function.__qualname__}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(OSError):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        # All signatures share an index, which is read and written again.
        with contextlib.suppress(OSError), _only_process(self._lock_name):
            super().save_overload(sig, data)

    @contextlib.contextmanager
    def compiling(self, sig: Any) -> Iterator[None]:
        """Wait for other processes that compile for the same types."""
        digest = hashlib.sha256(str(sig).encode()).hexdigest()[:16]
        with _only_process(f"{self._lock_name}-{digest}"):
            yield


@contextlib.contextmanager
def _only_process(name: str) -> Iterator[None]:
    """Wait for other processes with the same lock, where files can be locked."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            cache_folder().mkdir(parents=True, exist_ok=True)
            path = cache_folder() / f"{name}.lock"
            fcntl.flock(stack.enter_context(path.open("a")), fcntl.LOCK_EX)
        yield


def _cached(dispatcher: Any) -> Any:
    """Keep a kernel on disk; of several processes that need it, one compiles it."""
    cache = _Cache(dispatcher.py_func)
    dispatcher._cache, compile_here = cache, dispatcher.compile

    @functools.wraps(compile_here)
    def compile_once(signature: Any) -> Any:
        # In this order: a thread that compiles may need a kernel inside of another.
        with global_compiler_lock, cache.compiling(signature):
            return compile_here(signature)

    dispatcher.compile = compile_once
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, and keep it on disk.

    A home that cannot be written is no error: the kernel is compiled by each process.
    """
    return _cached(numba.njit(**OPTIONS)(function))


def lean_kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel that makes no arrays and copies none: it is faster."""
    return _cached(numba.njit(**LEAN)(function))


def _only_for_kernels(dispatcher: Any) -> Any:
    """Refuse calls from Python, for which there is no machine code."""

    def keep(result: Any) -> None:
        dispatcher.overloads[tuple(result.signature.args)] = result

    def refuse(*_: Any, **__: Any) -> Any:
        name = dispatcher.py_func.__qualname__
        raise TypeError(f"{name} is a helper: only kernels can call it")

    dispatcher.add_overload, dispatcher._compile_for_args = keep, refuse
    return dispatcher


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call: it is cached as a part of them."""
    return _only_for_kernels(numba.njit(**OPTIONS, **HELPER)(function))


def lean_helper(function: Callable[..., Any]) -> Any:
    """Compile a helper that makes no arrays and copies none: it is faster."""
    return _only_for_kernels(numba.njit(**LEAN, **HELPER)(function))


def inlined_helper(function: Callable[..., Any]) -> Any:
    """Compile a lean helper into its callers, for what is called once or is short."""
    return _only_for_kernels(numba.njit(**INLINED)(function))
