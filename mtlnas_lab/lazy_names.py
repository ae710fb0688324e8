"""Names that load their module when they are first used, so that an import loads nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(
    package: str, lives_in: Mapping[str, str], modules: Mapping[str, str] | None = None
) -> tuple[Callable, Callable]:
    """A package's `__getattr__` and `__dir__`.

    Args:
        package: The package's `__name__`.
        lives_in: Name → the module that holds it, seen from the package: {"Search": "core.search"}.
        modules: Name → the module that it names: {"presets": "experiments.presets"}.

    Example:
        >>> get, names = lazy_names("mtlnas_lab", {"MTLNASError": "errors"})
        >>> get("MTLNASError").__name__, "MTLNASError" in names()
        ('MTLNASError', True)
    """

    modules = modules or {}

    def get(name: str):
        if name in modules:
            value = import_module(f"{package}.{modules[name]}")
        elif name in lives_in:
            value = getattr(import_module(f"{package}.{lives_in[name]}"), name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)  # the next use does not come here
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *lives_in, *modules})

    return get, names
